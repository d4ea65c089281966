"""HEVC: its decoder configuration record (ISO/IEC 14496-15, 8.3.3.1), its name (Annex E) and size (ITU-T H.265, 7.3.2.2)."""

from marchproxy.wire.codecs.bits import Bits, unescape
from marchproxy.wire.codecs.record import VideoRecord, box
from marchproxy.wire.fault import ProtocolFault

_HEAD = 23
_SPS = 33


def read(record: bytes) -> VideoRecord:
    """The set-up in an HEVCDecoderConfigurationRecord. Raises ProtocolFault."""
    if len(record) < _HEAD:
        raise ProtocolFault("the HEVC sequence header is no decoder configuration record")
    width, height = _size(_find_sps(record))
    return VideoRecord(b"hvc1", f"hvc1.{_name(record)}", box(b"hvcC", record), width, height)


def _name(record: bytes) -> str:
    space = ("", "A", "B", "C")[record[1] >> 6]
    tier = "H" if record[1] & 0x20 else "L"
    compatible = int(f"{int.from_bytes(record[2:6]):032b}"[::-1], 2)
    constraints = [f"{byte:X}" for byte in record[6:12].rstrip(b"\0")]
    return ".".join([f"{space}{record[1] & 0x1F}", f"{compatible:X}", f"{tier}{record[12]}", *constraints])


def _find_sps(record: bytes) -> bytes:
    at = _HEAD
    for _ in range(record[22]):
        kind, count = record[at : at + 1], int.from_bytes(record[at + 1 : at + 3])
        at += 3
        for _ in range(count):
            length = int.from_bytes(record[at : at + 2])
            at += 2 + length
            if at > len(record):
                raise ProtocolFault("the HEVC sequence header is cut short")
            if kind and kind[0] & 0x3F == _SPS:
                return record[at - length : at]
    raise ProtocolFault("the HEVC sequence header has no SPS")


def _size(sps: bytes) -> tuple[int, int]:
    bits = Bits(unescape(sps[2:]))
    bits.take(4)
    layers = bits.take(3)
    bits.take(1)
    _skip_profile(bits, layers)
    bits.golomb()
    chroma = bits.golomb()
    apart = bits.take(1) if chroma == 3 else 0
    width, height = bits.golomb(), bits.golomb()
    if bits.take(1):
        left, right, top, bottom = (bits.golomb() for _ in range(4))
        width -= (left + right) * (2 if chroma in {1, 2} and not apart else 1)
        height -= (top + bottom) * (2 if chroma == 1 and not apart else 1)
    if not (0 < width <= 0xFFFF and 0 < height <= 0xFFFF):
        raise ProtocolFault(f"the HEVC SPS says {width}x{height} pixels")
    return width, height


def _skip_profile(bits: Bits, layers: int) -> None:
    bits.take(96)
    present = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    if layers:
        bits.take(2 * (8 - layers))
    for profile, level in present:
        bits.take(88 * profile + 8 * level)
