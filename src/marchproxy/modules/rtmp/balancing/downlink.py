"""Downlink: what an origin sends to one player goes to him as it comes, from where he can begin."""

from collections.abc import Sequence
from typing import Final, Protocol

from marchproxy.modules.rtmp.balancing.asking import Asking
from marchproxy.modules.rtmp.balancing.link import OriginLink
from marchproxy.wire.rtmp.answers import Code, read_status
from marchproxy.wire.rtmp.chunking import ChunkWriter, encode
from marchproxy.wire.rtmp.commands import Command, read_command
from marchproxy.wire.rtmp.control import Event, read_user_control, set_chunk_size
from marchproxy.wire.rtmp.message import AUDIO, COMMAND_TYPES, VIDEO, Message, Type, elapsed
from marchproxy.wire.rtmp.preface import Preface
from marchproxy.wire.rtmp.skimmer import Began, Passed, Skimmer

_MEDIA: Final = frozenset({AUDIO, VIDEO})
#: So many milliseconds back is no frame out of step, but a clock that was set.
_BACK: Final = 5_000
#: For which frames come of which none is one to go on with: no keyframe, or another time than at the origin before.
_PATIENCE: Final = 15.0
#: What players have heard already, from us, when they go on elsewhere; and what is for us alone.
_UNHEARD: Final = frozenset(
    code.value
    for code in (Code.PLAY_RESET, Code.PLAY_START, Code.PLAY_PUBLISHED, Code.DATA_START, Code.RECONNECT)
)
#: With which an origin says that nobody publishes there any more.
ENDS: Final = frozenset(code.value for code in (Code.PLAY_STOP, Code.PLAY_UNPUBLISHED))


class Progress:
    """What a player has got so far."""

    __slots__ = ("has_video", "latest")

    def __init__(self) -> None:
        self.latest: int | None = None
        """The latest timestamp of a frame: of video, if there was some, for audio may be ahead of the next keyframe."""
        self.has_video = False

    def note(self, event: Began) -> None:
        """A message begins to go to him."""
        if event.type == VIDEO and not self.has_video:
            self.has_video, self.latest = True, event.timestamp
        elif event.type == VIDEO or (event.type == AUDIO and not self.has_video):
            step = 1 if self.latest is None else elapsed(self.latest, event.timestamp)
            if step > 0 or step < -_BACK:
                self.latest = event.timestamp


class Sink(Protocol):
    """Who plays it."""

    progress: Progress

    @property
    def stream_id(self) -> int:
        """What he calls the stream."""
        ...

    @property
    def is_kept(self) -> bool:
        """Whether it is not for the origin to say when it is over for him."""
        ...

    def opened(self, link: "Downlink", data: bytes) -> None:
        """Frames begin to come, behind what he must be told first."""
        ...

    def passed(self, data: bytes) -> None:
        """More of what has begun."""
        ...

    def said(self, link: "Downlink", command: Command) -> None:
        """The origin has said this, which he has heard, unless it is of beginnings, or of ends while he `is_kept`."""
        ...

    def finished(self, link: "Downlink") -> None:
        """The origin has no more of it."""
        ...

    def lost(self, link: "Downlink") -> None:
        """The connection has ended, and nobody here wanted that."""
        ...


class Downlink(OriginLink):
    """Until frames come with which he can go on, nothing of it goes to him."""

    def __init__(self, address: str, asking: Asking, sink: Sink) -> None:
        super().__init__(address, asking)
        self.is_open = False
        self.is_finished = False
        """Whether the origin has said that it has no more, and has sent no frame since."""
        self._player = sink
        self._preface = Preface()
        self._sees_frames = self._is_hurried = False
        self._frames_since: float | None = None
        self._skimmer = Skimmer(rewrites=True, replace=self._replace)

    @property
    def chunk_size(self) -> int:
        """Of what goes to the player now."""
        return self._skimmer.chunk_size

    def take(self, data: bytes) -> None:
        """As an OriginLink's."""
        if not self.is_open:
            self._open(data)
            return
        skimmer = self._skimmer
        events = skimmer.feed(data)
        self._player.passed(skimmer.forward)
        if events:
            self._note(events)

    def told(self, command: Command) -> None:
        """As an OriginLink's."""
        if read_status(command).code in ENDS:
            self._finish()
        self._player.said(self, command)

    def lost(self) -> None:
        """As an OriginLink's."""
        self._player.lost(self)

    def between(self, message: Message) -> bytes:
        """A message of ours to the player: what to write at once; the rest comes with what is taken next."""
        return self._skimmer.inject(message)

    def rest(self) -> bytes:
        """What ends the message of which the player has a part."""
        return self._skimmer.finish() if self.is_open else b""

    def hurry(self, now: float) -> None:
        """Called now and then while frames are waited for: go on with any, if that takes too long."""
        if self._frames_since is None:
            self._frames_since = now if self._sees_frames else None
        elif now - self._frames_since > _PATIENCE:
            self._is_hurried = True

    def _open(self, data: bytes) -> None:
        """See whether he can begin: with the first frame, or, if he has had video, with a keyframe later than that."""
        skimmer, sink = self._skimmer, self._player
        size, before = skimmer.chunk_size, tuple(self._preface.messages(sink.progress.latest or 0))
        video, after = sink.progress.has_video, sink.progress.latest
        if self._is_hurried:
            video, after = False, None
        skimmer.restart(video=video, after=after, stream_id=sink.stream_id)
        events = skimmer.feed(data)
        self._note(events)
        if skimmer.waiting or not self.is_live:
            return
        self.is_open = True
        preface = _written(before, size, sink.stream_id)
        sink.opened(self, encode(set_chunk_size(size)) + preface + skimmer.forward)

    def _note(self, events: Sequence[Passed]) -> None:
        is_open, progress = self.is_open or not self._skimmer.waiting, self._player.progress
        for event in events:
            if not isinstance(event, Began):
                self.heed(event)
                if _is_end(event):
                    self._finish()
                if not self.is_open:
                    self._preface.note(event)
            elif is_open:
                self.is_finished = False
                progress.note(event)
            elif event.type in _MEDIA:
                self._sees_frames = True

    def _replace(self, message: Message) -> Message | None:
        if message.type not in COMMAND_TYPES:
            return None if _is_end(message) and self._player.is_kept else message
        code = read_status(read_command(message)).code
        is_heard = not self._player.is_kept if code in ENDS else code not in _UNHEARD
        return message if self.is_open and is_heard else None

    def _finish(self) -> None:
        self.is_finished = True
        self._player.finished(self)


def _is_end(message: Message) -> bool:
    return message.type == Type.USER_CONTROL and read_user_control(message).event == Event.STREAM_EOF


def _written(messages: Sequence[Message], size: int, stream_id: int) -> bytes:
    writer = ChunkWriter(size)
    return b"".join(writer.write(one._replace(stream_id=stream_id)) for one in messages)
