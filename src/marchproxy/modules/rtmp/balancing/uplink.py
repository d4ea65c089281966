"""Uplink: what a publisher sends goes to an origin as it comes, and goes on at another one with a keyframe.

The two need not know of each other: one may be lost before there is another, or both have the stream for a moment.
"""

import copy
from collections.abc import Iterable
from typing import Final, Protocol

from marchproxy.modules.rtmp.balancing.asking import Asking
from marchproxy.modules.rtmp.balancing.link import OriginLink
from marchproxy.wire.rtmp import answers, control
from marchproxy.wire.rtmp.answers import Code, Level
from marchproxy.wire.rtmp.chunks import ChunkReader
from marchproxy.wire.rtmp.commands import Command
from marchproxy.wire.rtmp.message import COMMAND_TYPES, Message
from marchproxy.wire.rtmp.skimmer import Passed, Skimmer

#: Bytes in which the frame is looked for with which another origin begins: less than a head and what is read behind it.
_STEP: Final = 16
_OVER: Final = frozenset(code.value for code in (Code.UNPUBLISHED, Code.CONNECT_CLOSED))


class Source(Protocol):
    """Whose stream it is."""

    def lost(self, link: "Uplink") -> None:
        """The connection has ended, and nobody here wanted that."""
        ...

    def sent_away(self) -> None:
        """The origin asks to go elsewhere."""
        ...

    def held_up(self) -> None:
        """The origin reads more slowly than it is written to."""
        ...

    def caught_up(self) -> None:
        """It has caught up."""
        ...


class Uplink(OriginLink):
    """Of what an origin says to publishers only the end counts."""

    def __init__(self, address: str, asking: Asking, source: Source) -> None:
        super().__init__(address, asking)
        self._source = source
        self._reader = ChunkReader()

    def take(self, data: bytes) -> None:
        """As an OriginLink's."""
        for message in self._reader.feed(data):
            self.heed(message)

    def told(self, command: Command) -> None:
        """As an OriginLink's."""
        status = answers.read_status(command)
        if status.code == Code.RECONNECT:
            self._source.sent_away()
        elif command.name == "close" or status.level == Level.ERROR or status.code in _OVER:
            self.abort(f"the origin ends it: {status.description or status.code or command.name}")

    def lost(self) -> None:
        """As an OriginLink's."""
        self._source.lost(self)

    def pause_writing(self) -> None:
        """As a Link's."""
        super().pause_writing()
        self._source.held_up()

    def resume_writing(self) -> None:
        """As a Link's."""
        super().resume_writing()
        self._source.caught_up()


def passes(message: Message) -> Message | None:
    """What origins get of a publisher's commands and metadata: we have said the former in its stead."""
    return None if message.type in COMMAND_TYPES else message


class Conveyor:
    """Brings one publisher's bytes to where they go."""

    def __init__(self) -> None:
        self.link: Uplink | None = None
        self._skimmer = Skimmer(rewrites=True, replace=passes)
        self._next: tuple[Uplink, Skimmer] | None = None

    @property
    def waiting(self) -> bool:
        """Whether frames are left out, or another origin waits, until a keyframe comes."""
        return self._next is not None or (self.link is not None and self._skimmer.waiting)

    @property
    def is_full(self) -> bool:
        """Whether an origin reads more slowly than it is written to."""
        links = (self.link, None if self._next is None else self._next[0])
        return any(link is not None and link.is_full for link in links)

    def begin(self, link: Uplink) -> None:
        """All that is fed from now on goes there, which is all that there is."""
        self._skimmer.restart(video=False, stream_id=link.asking.stream_id)
        self._take(link)

    def feed(self, data: bytes) -> list[Passed]:
        """What was read; what begins to pass in it. Raises ProtocolFault."""
        if self._next is not None and self.link is not None:
            return self._feed_both(self.link, *self._next, data)
        events = self._skimmer.feed(data)
        if self.link is not None:
            self.link.write(self._skimmer.forward)
        return events

    def go_on(self, link: Uplink, preface: Iterable[Message], *, video: bool) -> None:
        """Go on there with the next keyframe, without `video` with the next frame, and until then as before. The preface comes first."""
        skimmer = self._skimmer if self.link is None else copy.deepcopy(self._skimmer)
        link.say(control.set_chunk_size(skimmer.chunk_size))
        stream_id = link.asking.stream_id
        link.say(*(one._replace(stream_id=stream_id) for one in preface))
        skimmer.restart(video=video, stream_id=stream_id)
        if self.link is None:
            self._take(link)
        else:
            self._drop_next()
            self._next = (link, skimmer)

    def hurry(self) -> None:
        """No keyframe comes: go on with the next frame."""
        link, skimmer = self._next or (self.link, self._skimmer)
        if link is not None:
            skimmer.restart(video=False, stream_id=link.asking.stream_id)

    def forget(self, link: Uplink) -> bool:
        """A link that was lost; whether nothing goes anywhere now."""
        if self._next is not None and link is self._next[0]:
            self._next = None
        elif link is self.link:
            self.link = None
            if self._next is not None:
                link, self._skimmer = self._next
                self._next = None
                self._take(link)
        return self.link is None

    def end(self, *, said: bool) -> None:
        """Nothing more comes; `said`: the publisher has said so."""
        link, self.link = self.link, None
        if link is not None:
            link.end(*(link.asking.farewell() if said else ()))
        self._drop_next()

    def _feed_both(self, before: Uplink, link: Uplink, skimmer: Skimmer, data: bytes) -> list[Passed]:
        """Where the next one begins, the one before ends: neither misses a frame, and no frame goes to both."""
        scout = copy.deepcopy(skimmer)
        events = skimmer.feed(data)
        if skimmer.waiting:
            self._skimmer.feed(data)
            before.write(self._skimmer.forward)
            link.write(skimmer.forward)
            return events
        out: list[bytes] = []
        for at in range(0, len(data), _STEP):
            step = data[at : at + _STEP]
            scout.feed(step)
            if not scout.waiting:
                break
            self._skimmer.feed(step)
            out.append(self._skimmer.forward)
        before.write(b"".join(out))
        before.end()
        link.write(skimmer.forward)
        self._skimmer, self._next = skimmer, None
        self._take(link)
        return events

    def _take(self, link: Uplink) -> None:
        self.link, link.encode = link, self._skimmer.inject

    def _drop_next(self) -> None:
        if self._next is not None:
            self._next[0].end()
            self._next = None
