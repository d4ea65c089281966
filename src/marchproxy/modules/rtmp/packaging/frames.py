"""Frames as they come from a stream, and the segments that they are cut into. Milliseconds of the stream's own clock."""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from marchproxy.wire.cmaf import Sample
from marchproxy.wire.codecs.record import AudioRecord, VideoRecord

Record: TypeAlias = VideoRecord | AudioRecord

#: The tracks of what is published; those of a ladder are named for their height: v720.
VIDEO, AUDIO = "v", "a"


class Frame(NamedTuple):
    """One frame: when it is decoded (64 bits, never wraps), how much later it is shown, whether decoding may begin here."""

    time: int
    shift: int
    key: bool
    data: bytes

    @property
    def shown(self) -> int:
        """When it is shown."""
        return self.time + self.shift


@dataclass(frozen=True, slots=True)
class Era:
    """A time in which a stream's clock runs on and its codecs stay. `anchor`: the Unix time of the clock's 0.

    `origin`: when the era's first frame is shown. `tracks` of what is published that it has.
    """

    number: int
    anchor: float
    origin: int
    tracks: frozenset[str]


@dataclass(frozen=True, slots=True)
class Cut:
    """A segment of a track: when it is shown, and for how long."""

    track: str
    era: Era
    record: Record
    begins: int
    duration: int
    samples: tuple[Sample, ...]
