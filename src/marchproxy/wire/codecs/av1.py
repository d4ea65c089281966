"""AV1: its codec configuration record (AV1 in ISOBMFF, 2.3), its name (section 5) and the size in its sequence header."""

from marchproxy.wire.codecs.bits import Bits
from marchproxy.wire.codecs.record import VideoRecord, box
from marchproxy.wire.fault import ProtocolFault

_SEQUENCE_HEADER = 1


def read(record: bytes) -> VideoRecord:
    """The set-up in an AV1CodecConfigurationRecord. Size 0 where it has no sequence header. Raises ProtocolFault."""
    if len(record) < 4 or record[0] != 0x81:
        raise ProtocolFault("the AV1 sequence header is no codec configuration record of version 1")
    level, tier = record[1] & 0x1F, "H" if record[2] & 0x80 else "M"
    depth = (12 if record[2] & 0x20 else 10) if record[2] & 0x40 else 8
    width, height = _size(record[4:])
    codec = f"av01.{record[1] >> 5}.{level:02d}{tier}.{depth:02d}"
    return VideoRecord(b"av01", codec, box(b"av1C", record), width, height)


def _size(units: bytes) -> tuple[int, int]:
    """Of the sequence header among some open bitstream units (AV1 5.3)."""
    at = 0
    while at < len(units):
        head, sized = units[at], units[at] & 0x02
        at += 2 if head & 0x04 else 1
        length, at = _leb128(units, at) if sized else (len(units) - at, at)
        if (head >> 3) & 0x0F == _SEQUENCE_HEADER:
            return _header_size(Bits(units[at : at + length]))
        at += length
    return 0, 0


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(data[at : at + 8]):
        value |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            return value, at + index + 1
    raise ProtocolFault("the AV1 sequence header is cut short")


def _header_size(bits: Bits) -> tuple[int, int]:
    bits.take(4)
    if bits.take(1):  # reduced_still_picture_header
        bits.take(5)
    else:
        delay = _timing(bits)
        _operating_points(bits, delay)
    across, down = bits.take(4) + 1, bits.take(4) + 1
    return bits.take(across) + 1, bits.take(down) + 1


def _timing(bits: Bits) -> int:
    """Returns the length of buffer delays; 0: there is no decoder model."""
    if not bits.take(1):
        return 0
    bits.take(64)
    if bits.take(1):
        bits.golomb()  # uvlc() reads alike
    if not bits.take(1):
        return 0
    length = bits.take(5) + 1
    bits.take(42)
    return length


def _operating_points(bits: Bits, delay: int) -> None:
    displays = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if delay and bits.take(1):
            bits.take(2 * delay + 1)
        if displays and bits.take(1):
            bits.take(4)
