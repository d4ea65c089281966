"""Segments: `moof` and `mdat` of samples in a row (ISO/IEC 14496-12, 8.8; ISO/IEC 23000-19, 7.3.2)."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from marchproxy.wire.cmaf.head import TRACK, full
from marchproxy.wire.codecs.record import box

_STYP = box(b"styp", b"cmfs", bytes(4), b"cmfsmsdh")
_BASE_IS_MOOF = 0x020000
_OFFSET, _DURATIONS, _SIZES, _FLAGS, _COMPOSITION = 0x1, 0x100, 0x200, 0x400, 0x800
_KEY, _OTHER = 0x02000000, 0x01010000  # needs no other sample; needs others and is no place to begin


@dataclass(frozen=True, slots=True)
class Sample:
    """One frame: when it is decoded, for how long it lasts, how much later it is shown; milliseconds."""

    time: int
    duration: int
    shift: int
    key: bool
    data: bytes


def segment(samples: Sequence[Sample], number: int) -> bytes:
    """The samples, one or more in the order of their times, as the segment of that number. Every time is 0 or more."""
    table = _table(samples)
    header = full(b"mfhd", (number & 0xFFFFFFFF).to_bytes(4))
    track = full(b"tfhd", TRACK.to_bytes(4), flags=_BASE_IS_MOOF)
    start = full(b"tfdt", samples[0].time.to_bytes(8), version=1)
    flags = _OFFSET | _DURATIONS | _SIZES | _FLAGS | _COMPOSITION
    offset = 8 + len(header) + 8 + len(track) + len(start) + 20 + len(table) + 8
    run = full(b"trun", struct.pack(">II", len(samples), offset), table, version=1, flags=flags)
    size = 8 + sum(len(sample.data) for sample in samples)
    head = [_STYP, box(b"moof", header, box(b"traf", track, start, run)), size.to_bytes(4), b"mdat"]
    return b"".join([*head, *(sample.data for sample in samples)])


def _table(samples: Sequence[Sample]) -> bytes:
    rows: list[int] = []
    for sample in samples:
        flags = _KEY if sample.key else _OTHER
        rows += (sample.duration, len(sample.data), flags, sample.shift & 0xFFFFFFFF)
    return struct.pack(f">{len(rows)}I", *rows)
