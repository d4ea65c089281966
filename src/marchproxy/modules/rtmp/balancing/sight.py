"""Sight: what shows of a stream that is skimmed. Pure."""

from collections.abc import Iterator
from typing import Final

from marchproxy.wire.rtmp.media import FIRST, is_keyframe
from marchproxy.wire.rtmp.message import AUDIO, DATA_TYPES, VIDEO, Message, elapsed
from marchproxy.wire.rtmp.preface import Preface
from marchproxy.wire.rtmp.skimmer import Began

_KEY_BITS: Final = 0x70
_KEY: Final = 0x10


class Sight:
    """One direction of one connection."""

    __slots__ = ("_key_at", "audio", "frames", "gop", "latest", "metadata", "preface", "video")

    def __init__(self) -> None:
        self.preface = Preface()
        self.metadata: Message | None = None
        """As it came."""
        self.latest: int | None = None
        """The timestamp of the last frame."""
        self.video = self.audio = b""
        """How the first frame of each began; empty: there was none."""
        self.frames = 0
        """Of video."""
        self.gop = 0
        """Milliseconds between the last two keyframes; 0: there were no two."""
        self._key_at: int | None = None

    def began(self, event: Began) -> bool:
        """A message begins to pass; whether it is a frame."""
        kind, first = event.type, event.first
        if kind == VIDEO:
            self.frames += 1
            if not self.video:
                self.video = first[:FIRST]
            if first and first[0] & _KEY_BITS == _KEY and is_keyframe(kind, first):
                self._keyed(event.timestamp)
        elif kind != AUDIO:
            return False
        elif not self.audio:
            self.audio = first[:FIRST]
        self.latest = event.timestamp
        return True

    def note(self, message: Message) -> None:
        """A message has passed that was read whole."""
        if self.preface.note(message) and message.type in DATA_TYPES:
            self.metadata = message

    def restart(self) -> Iterator[Message]:
        """What another origin must be told of it before the next frame, as the publisher said it."""
        if self.metadata is not None:
            yield self.metadata
        timestamp = self.latest or 0
        yield from (one for one in self.preface.messages(timestamp) if one.type in {AUDIO, VIDEO})

    def _keyed(self, timestamp: int) -> None:
        if self._key_at is not None:
            self.gop = max(0, elapsed(self._key_at, timestamp))
        self._key_at = timestamp
