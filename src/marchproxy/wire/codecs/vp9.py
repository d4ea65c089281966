"""VP9: its codec configuration record (VP Codec ISO Media File Format Binding) and the size in a keyframe's header."""

from marchproxy.wire.codecs.bits import Bits
from marchproxy.wire.codecs.record import VideoRecord, box
from marchproxy.wire.fault import ProtocolFault

_FULL = b"\x01\0\0\0"
_SYNC = 0x498342
_RGB = 7


def read(record: bytes) -> VideoRecord:
    """The set-up in a VPCodecConfigurationRecord, with the head of its box or without it; no size. Raises ProtocolFault."""
    # some peers send the box's version and flags too; as a record they would be of 0 bits
    record = record.removeprefix(_FULL)
    if len(record) < 8 or record[2] >> 4 not in {8, 10, 12}:
        raise ProtocolFault("the VP9 sequence header is no codec configuration record")
    codec = f"vp09.{record[0]:02d}.{record[1]:02d}.{record[2] >> 4:02d}"
    return VideoRecord(b"vp09", codec, box(b"vpcC", _FULL, record))


def frame_size(keyframe: bytes) -> tuple[int, int]:
    """Pixels, by the uncompressed header of a keyframe (VP9 bitstream 6.2). Raises ProtocolFault."""
    bits = Bits(keyframe[:24])
    if bits.take(2) != 2:
        raise ProtocolFault("a VP9 frame does not begin with its marker")
    profile = bits.take(1) | bits.take(1) << 1
    if profile == 3:
        bits.take(1)
    if bits.take(1) or bits.take(1):  # an old frame shown again, or one that builds on others
        raise ProtocolFault("a VP9 frame that is said to be a keyframe is none")
    bits.take(2)
    if bits.take(24) != _SYNC:
        raise ProtocolFault("a VP9 keyframe lacks its sync code")
    _skip_colours(bits, profile)
    return bits.take(16) + 1, bits.take(16) + 1


def _skip_colours(bits: Bits, profile: int) -> None:
    if profile >= 2:
        bits.take(1)
    if bits.take(3) != _RGB:
        bits.take(1)
        if profile in {1, 3}:
            bits.take(3)
    elif profile in {1, 3}:
        bits.take(1)
