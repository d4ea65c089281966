"""Preface: what somebody who joins a stream must be told before its first frame."""

from collections.abc import Iterator
from typing import Final, TypeAlias

from marchproxy.wire.rtmp.commands import METADATA, SET_DATA_FRAME, bare_metadata
from marchproxy.wire.rtmp.media import LASTING, Packet, Tracks, look
from marchproxy.wire.rtmp.message import AUDIO, DATA_TYPES, VIDEO, Message

#: Tracks, with their configurations and metadata; a stream has a handful.
_MOST: Final = 128
_NAMES = tuple(name.encode() for name in (METADATA, SET_DATA_FRAME))
_Key: TypeAlias = tuple[int, Packet, Tracks, int]


class Preface:
    """The last onMetaData of a stream, and the last configuration of each track."""

    __slots__ = ("_media", "metadata")

    def __init__(self) -> None:
        self.metadata: Message | None = None
        """As players get it."""
        self._media: dict[_Key, Message] = {}

    def copy(self) -> "Preface":
        """One of its own, which may be changed."""
        made = Preface()
        made.metadata, made._media = self.metadata, self._media.copy()
        return made

    def note(self, message: Message) -> bool:
        """Keep what is of this kind, and tell whether it was."""
        if message.type in DATA_TYPES:
            is_metadata = (
                message.payload[:40].find(_NAMES[0]) >= 0 or message.payload[:40].find(_NAMES[1]) >= 0
            )
            if is_metadata:
                self.metadata = bare_metadata(message)
            return is_metadata
        media = look(message.type, message.payload)
        if media.packet not in LASTING:
            return False
        key = (message.type, media.packet, media.tracks, media.track)
        if key in self._media or len(self._media) < _MOST:
            self._media[key] = message
        return True

    def messages(self, timestamp: int) -> Iterator[Message]:
        """All of it, as if it were of this time: metadata, then video's, then audio's."""
        if self.metadata is not None:
            yield self.metadata._replace(timestamp=timestamp)
        for kind in (VIDEO, AUDIO):
            for message in self._media.values():
                if message.type == kind:
                    yield message._replace(timestamp=timestamp)

    def config(self, kind: int) -> Message | None:
        """The configuration of the first track of audio or video."""
        found = (
            message
            for (of, packet, _, _), message in self._media.items()
            if (of, packet) == (kind, Packet.CONFIG)
        )
        return next(found, None)
