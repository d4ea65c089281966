"""Init segments: `ftyp` and `moov` of one track without samples (ISO/IEC 14496-12, clause 8; ISO/IEC 23000-19, 7.3)."""

import struct

from marchproxy.wire.codecs.record import AudioRecord, VideoRecord, box

#: Units of all times in a second: RTMP's.
TIMESCALE = 1000
#: The id of the one track in a file.
TRACK = 1
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_RESOLUTION = struct.pack(">II", 0x480000, 0x480000)  # 72 dpi, which nobody reads
_UNDETERMINED = (0x55C4).to_bytes(2)  # the language "und"


def init_segment(record: VideoRecord | AudioRecord) -> bytes:
    """The init segment of a track whose samples are as `record` says."""
    brands = b"cmfc" + bytes(4) + b"cmfciso6dash"
    extends = box(b"mvex", full(b"trex", struct.pack(">5I", TRACK, 1, 0, 0, 0)))
    return box(b"ftyp", brands) + box(b"moov", _movie_header(), _track(record), extends)


def full(kind: bytes, *content: bytes, version: int = 0, flags: int = 0) -> bytes:
    """A box with version and flags."""
    return box(kind, bytes((version,)) + flags.to_bytes(3), *content)


def _movie_header() -> bytes:
    times = struct.pack(">4I", 0, 0, TIMESCALE, 0)
    return full(
        b"mvhd", times, struct.pack(">IH", 0x10000, 0x100), bytes(10), _MATRIX, bytes(24), b"\0\0\0\2"
    )


def _track(record: VideoRecord | AudioRecord) -> bytes:
    video = isinstance(record, VideoRecord)
    width, height = (record.width, record.height) if isinstance(record, VideoRecord) else (0, 0)
    header = full(
        b"tkhd",
        struct.pack(">5I", 0, 0, TRACK, 0, 0),
        bytes(12) + (bytes(2) if video else b"\1\0") + bytes(2),
        _MATRIX,
        struct.pack(">II", width << 16, height << 16),
        flags=3,  # enabled, and in the movie
    )
    media_header = full(b"mdhd", struct.pack(">4I", 0, 0, TIMESCALE, 0), _UNDETERMINED, bytes(2))
    kind, name = (b"vide", b"video\0") if video else (b"soun", b"sound\0")
    handler = full(b"hdlr", bytes(4), kind, bytes(12), name)
    return box(b"trak", header, box(b"mdia", media_header, handler, _information(record, video=video)))


def _information(record: VideoRecord | AudioRecord, *, video: bool) -> bytes:
    head = full(b"vmhd", bytes(8), flags=1) if video else full(b"smhd", bytes(4))
    here = box(b"dinf", full(b"dref", b"\0\0\0\1", full(b"url ", flags=1)))
    empty = [full(kind, bytes(4)) for kind in (b"stts", b"stsc", b"stco")]
    entries = full(b"stsd", b"\0\0\0\1", _entry(record))
    return box(b"minf", head, here, box(b"stbl", entries, *empty, full(b"stsz", bytes(8))))


def _entry(record: VideoRecord | AudioRecord) -> bytes:
    start = bytes(6) + b"\0\1"
    if isinstance(record, VideoRecord):
        size = struct.pack(">HH", record.width, record.height)
        rest = bytes(4) + b"\0\1" + bytes(32) + b"\0\x18\xff\xff"
        return box(record.entry, start, bytes(16), size, _RESOLUTION, rest, record.box)
    rate = (
        record.rate << 16 if record.rate <= 0xFFFF else 0
    )  # more does not fit; decoders read it in their own record
    sound = struct.pack(">8xHH4xI", record.channels, 16, rate)
    return box(record.entry, start, sound, record.box)
