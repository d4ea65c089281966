"""H.264: its decoder configuration record (ISO/IEC 14496-15, 5.3.3.1) and the size that its SPS says (ITU-T H.264, 7.3.2.1)."""

from marchproxy.wire.codecs.bits import Bits, unescape
from marchproxy.wire.codecs.record import VideoRecord, box
from marchproxy.wire.fault import ProtocolFault

# profiles whose SPS tells of chroma and depth (7.3.2.1.1)
_HIGH = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})


def read(record: bytes) -> VideoRecord:
    """The set-up in an AVCDecoderConfigurationRecord, which is what RTMP's sequence header holds. Raises ProtocolFault."""
    if len(record) < 8 or record[0] != 1 or not record[5] & 0x1F:
        raise ProtocolFault("the H.264 sequence header is no decoder configuration record with an SPS")
    sps = record[8 : 8 + int.from_bytes(record[6:8])]
    width, height = _size(sps)
    return VideoRecord(b"avc1", f"avc1.{record[1:4].hex()}", box(b"avcC", record), width, height)


def _size(sps: bytes) -> tuple[int, int]:
    bits = Bits(unescape(sps[1:]))
    profile = bits.take(8)
    bits.take(16)
    bits.golomb()
    chroma, apart = _chroma(bits) if profile in _HIGH else (1, 0)
    bits.golomb()
    _skip_order(bits)
    bits.golomb()
    bits.take(1)
    width = (bits.golomb() + 1) * 16
    map_units = bits.golomb() + 1
    frames_only = bits.take(1)
    if not frames_only:
        bits.take(1)
    bits.take(1)
    height = (2 - frames_only) * map_units * 16
    if bits.take(1):
        left, right, top, bottom = (bits.golomb() for _ in range(4))
        across = 2 if chroma in {1, 2} and not apart else 1
        down = (2 if chroma == 1 and not apart else 1) * (2 - frames_only)
        width -= (left + right) * across
        height -= (top + bottom) * down
    return _checked(width, height)


def _chroma(bits: Bits) -> tuple[int, int]:
    chroma = bits.golomb()
    apart = bits.take(1) if chroma == 3 else 0
    bits.golomb()
    bits.golomb()
    bits.take(1)
    if bits.take(1):
        for index in range(12 if chroma == 3 else 8):
            if bits.take(1):
                _skip_scaling(bits, 16 if index < 6 else 64)
    return chroma, apart


def _skip_scaling(bits: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed_golomb()) % 256
        last = following or last


def _skip_order(bits: Bits) -> None:
    kind = bits.golomb()
    if kind == 0:
        bits.golomb()
    elif kind == 1:
        bits.take(1)
        bits.signed_golomb()
        bits.signed_golomb()
        cycle = bits.golomb()
        if cycle > 255:
            raise ProtocolFault("the H.264 SPS has a cycle of more than 255 pictures")
        for _ in range(cycle):
            bits.signed_golomb()


def _checked(width: int, height: int) -> tuple[int, int]:
    if not (0 < width <= 0xFFFF and 0 < height <= 0xFFFF):
        raise ProtocolFault(f"the H.264 SPS says {width}x{height} pixels")
    return width, height
