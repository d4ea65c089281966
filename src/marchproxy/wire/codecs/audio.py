"""Audio codecs: AAC (ISO/IEC 14496-3, 1.6.2.1), Opus (RFC 7845 and Opus in ISOBMFF), MP3, AC-3 (ETSI TS 102 366)."""

from marchproxy.wire.codecs.bits import Bits
from marchproxy.wire.codecs.record import AudioRecord, box
from marchproxy.wire.fault import ProtocolFault

_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_AAC_CHANNELS = (0, 1, 2, 3, 4, 5, 6, 8)
_MP3_RATES = (44100, 48000, 32000)
_AC3_RATES = (48000, 44100, 32000)
_AC3_CHANNELS = (2, 1, 2, 3, 3, 4, 4, 5)
_AAC, _MP3 = 0x40, 0x6B  # object types of ISO/IEC 14496-1


def read_aac(config: bytes) -> AudioRecord:
    """The set-up in an AudioSpecificConfig, which is what RTMP's AAC sequence header holds. Raises ProtocolFault."""
    bits = Bits(config)
    kind = _object_type(bits)
    rate = _rate(bits)
    layout = bits.take(4)
    channels = _AAC_CHANNELS[layout] if layout < len(_AAC_CHANNELS) else 2
    # layout 0: the channels stand in the frames, of which decoders take no heed of what we say
    return AudioRecord(b"mp4a", f"mp4a.40.{kind}", _esds(_AAC, config), rate, channels or 2)


def read_opus(head: bytes) -> AudioRecord:
    """The set-up in an OpusHead, identification header of RFC 7845. Raises ProtocolFault."""
    if len(head) < 19 or not head.startswith(b"OpusHead"):
        raise ProtocolFault("the Opus sequence header is no OpusHead")
    channels, skip, rate, gain = head[9], head[10:12], head[12:16], head[16:18]
    content = bytes((0, channels)) + skip[::-1] + rate[::-1] + gain[::-1] + head[18:]
    return AudioRecord(b"Opus", "opus", box(b"dOps", content), 48000, channels)


def read_mp3(frame: bytes) -> AudioRecord:
    """The set-up that the head of a frame tells: MP3 has no sequence header. Raises ProtocolFault."""
    bits = Bits(frame[:4])
    if bits.take(11) != 0x7FF:
        raise ProtocolFault("an MP3 frame does not begin with its sync word")
    version, layer = bits.take(2), bits.take(2)
    bits.take(5)
    index = bits.take(2)
    if version == 1 or layer != 1 or index == 3:
        raise ProtocolFault("an MP3 frame says what no MP3 has")
    bits.take(2)
    rate = _MP3_RATES[index] >> {3: 0, 2: 1, 0: 2}[version]
    return AudioRecord(b"mp4a", "mp4a.6b", _esds(_MP3), rate, 1 if bits.take(2) == 3 else 2)


def read_ac3(frame: bytes) -> AudioRecord:
    """The set-up that the head of a frame tells (4.3 and F.4). Raises ProtocolFault."""
    bits = Bits(frame[:8])
    if bits.take(16) != 0x0B77:
        raise ProtocolFault("an AC-3 frame does not begin with its sync word")
    bits.take(16)
    rate, size, stream, mode = bits.take(2), bits.take(6), bits.take(5), bits.take(3)
    layout = bits.take(3)
    if rate == 3 or stream > 8:
        raise ProtocolFault("an AC-3 frame says what no AC-3 has")
    mixes = (layout & 1 and layout != 1) + bool(layout & 4) + (layout == 2)
    bits.take(2 * mixes)
    low = bits.take(1)
    packed = ((((rate << 5 | stream) << 3 | mode) << 3 | layout) << 1 | low) << 10 | size >> 1 << 5
    dac3 = box(b"dac3", packed.to_bytes(3))
    return AudioRecord(b"ac-3", "ac-3", dac3, _AC3_RATES[rate], _AC3_CHANNELS[layout] + low)


def _object_type(bits: Bits) -> int:
    kind = bits.take(5)
    return 32 + bits.take(6) if kind == 31 else kind


def _rate(bits: Bits) -> int:
    index = bits.take(4)
    if index == 15:
        return bits.take(24)
    if index >= len(_RATES):
        raise ProtocolFault(f"the AAC sequence header has sampling rate number {index}, which there is not")
    return _RATES[index]


def _esds(kind: int, config: bytes = b"") -> bytes:
    specific = _descriptor(5, config) if config else b""
    decoder = _descriptor(4, bytes((kind, 0x15)) + bytes(11) + specific)
    return box(b"esds", bytes(4), _descriptor(3, bytes(3) + decoder + _descriptor(6, b"\x02")))


def _descriptor(tag: int, content: bytes) -> bytes:
    if len(content) > 0x7F:
        raise ProtocolFault(f"an audio sequence header of {len(content)} bytes is longer than any")
    return bytes((tag, len(content))) + content
