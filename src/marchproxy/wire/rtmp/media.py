"""Media: what the first bytes of audio and video messages say, as FLV and RTMP have always had it, and by FourCC.

Video File Format Specification 10.1 §E.4; Enhanced RTMP v2, "Enhanced Audio" and "Enhanced Video". Nothing here is a fault:
what is not known is told as such, and passes.
"""

from enum import Enum
from typing import Final, NamedTuple

from marchproxy.wire.rtmp.message import AUDIO, VIDEO

#: So many bytes of a message tell what it is, but for those with many tracks.
FIRST: Final = 16


class Packet(Enum):
    """What a message of audio or video brings."""

    CONFIG = "config"
    """What a decoder needs first (a sequence header)."""
    FRAMES = "frames"
    END = "end"
    METADATA = "metadata"
    """About colours, or where channels go; it is needed by who joins later, too."""
    OTHER = "other"
    """None of these, or not to be understood."""


class Tracks(Enum):
    """How many tracks a message has; those of many are one behind the other (`tracks.split`)."""

    PLAIN = "plain"
    ONE = "one"
    MANY = "many"
    MANY_CODECS = "many codecs"


class Media(NamedTuple):
    """What a message says. `codec`: a FourCC, those of old ones too; empty where it is not known.

    `composition`: milliseconds that a frame is shown after its timestamp. `body`: where the codec's own bytes begin; with many
    tracks, where those begin. `track`: its number, of one. `composed`: whether each frame has a composition time before it.
    """

    packet: Packet
    codec: str
    keyframe: bool
    composition: int
    body: int
    tracks: Tracks = Tracks.PLAIN
    track: int = 0
    composed: bool = False


#: What who joins later must be told first.
LASTING: Final = frozenset({Packet.CONFIG, Packet.METADATA})
NOTHING: Final = Media(Packet.OTHER, "", keyframe=False, composition=0, body=0)

AVC, HEVC, VVC, AV1, VP9, VP8 = "avc1", "hvc1", "vvc1", "av01", "vp09", "vp08"
AAC, MP3, OPUS, FLAC, AC3, EAC3 = "mp4a", ".mp3", "Opus", "fLaC", "ac-3", "ec-3"
#: Codecs by their old numbers. 12 and 13 of video were taken by encoders before there were FourCCs.
_VIDEO = {2: "flv1", 3: "fsv1", 4: "vp6f", 5: "vp6a", 6: "fsv2", 7: AVC, 12: HEVC, 13: AV1}
_AUDIO = {
    0: "lpcm",
    1: "swfa",
    2: MP3,
    3: "lpcm",
    4: "nmos",
    5: "nmos",
    6: "nmos",
    7: "alaw",
    8: "ulaw",
    10: AAC,
}
_AUDIO |= {11: "spex", 14: MP3}
#: Of those, which have a byte that tells configurations from frames, and a composition time behind it.
_COMPOSED = frozenset({AVC, HEVC, AV1})
_BY_FOUR_CC_COMPOSED = frozenset({AVC, HEVC, VVC})
_OLD_PACKETS = (Packet.CONFIG, Packet.FRAMES, Packet.END)
_KEY, _COMMAND = 1, 5
_FOUR_CC_AUDIO = 9
_CODED_FRAMES = 1
#: By the number that stands in a message of video or audio with FourCC.
_VIDEO_PACKETS = {
    0: Packet.CONFIG,
    1: Packet.FRAMES,
    2: Packet.END,
    3: Packet.FRAMES,
    4: Packet.METADATA,
    5: Packet.CONFIG,  # of AV1 in an MPEG-2 transport stream
}
_AUDIO_PACKETS = {0: Packet.CONFIG, 1: Packet.FRAMES, 2: Packet.END, 4: Packet.METADATA}
_VIDEO_TRACKS, _AUDIO_TRACKS = 6, 5
_MOD_EX = 7
_KINDS_OF_TRACKS = {0: Tracks.ONE, 1: Tracks.MANY, 2: Tracks.MANY_CODECS}
_MOST_MODS = 8


def look(kind: int, data: bytes) -> Media:
    """What a message of this type that begins with this says. FIRST bytes are enough, but for modifiers that are longer."""
    if not data:
        return NOTHING
    if kind == VIDEO:
        return _by_four_cc(data, _VIDEO_PACKETS, _VIDEO_TRACKS) if data[0] & 0x80 else _old_video(data)
    if kind == AUDIO:
        by_four_cc = data[0] >> 4 == _FOUR_CC_AUDIO
        return _by_four_cc(data, _AUDIO_PACKETS, _AUDIO_TRACKS) if by_four_cc else _old_audio(data)
    return NOTHING


def is_keyframe(kind: int, data: bytes) -> bool:
    """Whether it is a frame that needs none before it. Audio has none, though all of its frames are such."""
    return kind == VIDEO and bool(data) and data[0] & 0x70 == 0x10 and look(kind, data).keyframe


def is_lasting(kind: int, data: bytes) -> bool:
    """Whether it is for those who join later, too: what a decoder needs first, or metadata."""
    if not data:
        return False
    first = data[0]
    if kind == AUDIO and first >> 4 != _FOUR_CC_AUDIO:
        return first >> 4 == 10 and data[1:2] == b"\0"
    if kind == VIDEO and not first & 0x80:
        return data[1:2] == b"\0" and look(kind, data).packet is Packet.CONFIG
    return look(kind, data).packet in LASTING


def _old_video(data: bytes) -> Media:
    frame, codec = data[0] >> 4, _VIDEO.get(data[0] & 0xF, "")
    if frame == _COMMAND:
        return NOTHING._replace(codec=codec)
    if codec not in _COMPOSED:
        return Media(Packet.FRAMES, codec, frame == _KEY, 0, 1)
    if len(data) < 5 or data[1] >= len(_OLD_PACKETS):
        return NOTHING._replace(codec=codec)
    packet = _OLD_PACKETS[data[1]]
    is_frame = packet is Packet.FRAMES
    return Media(packet, codec, is_frame and frame == _KEY, _signed(data, 2) if is_frame else 0, 5)


def _old_audio(data: bytes) -> Media:
    codec = _AUDIO.get(data[0] >> 4, "")
    if not codec:
        return NOTHING
    if codec != AAC:
        return Media(Packet.FRAMES, codec, keyframe=False, composition=0, body=1)
    if len(data) < 2 or data[1] > 1:
        return NOTHING._replace(codec=codec)
    return Media(_OLD_PACKETS[data[1]], codec, keyframe=False, composition=0, body=2)


def _by_four_cc(data: bytes, packets: dict[int, Packet], of_tracks: int) -> Media:
    is_video = bool(data[0] & 0x80) and packets is _VIDEO_PACKETS
    frame = data[0] >> 4 & 7 if is_video else 0
    number, at = _modified(data)
    if is_video and frame == _COMMAND and number != 4:
        return NOTHING
    tracks = Tracks.PLAIN
    if number == of_tracks and at < len(data):
        kinds, number, at = data[at] >> 4, data[at] & 0xF, at + 1
        if kinds not in _KINDS_OF_TRACKS:
            return NOTHING
        tracks = _KINDS_OF_TRACKS[kinds]
    packet = packets.get(number, Packet.OTHER)
    keyframe = frame == _KEY and packet is Packet.FRAMES
    composes = is_video and number == _CODED_FRAMES
    if tracks is Tracks.MANY_CODECS:
        return Media(packet, "", keyframe, 0, at, tracks, composed=composes)
    codec, at = data[at : at + 4].decode("latin-1"), at + 4
    if len(data) < at + (tracks is Tracks.ONE) or packet is Packet.OTHER:
        return NOTHING
    if tracks is Tracks.MANY:
        return Media(packet, codec, keyframe, 0, at, tracks, composed=composes)
    track = 0
    if tracks is Tracks.ONE:
        track, at = data[at], at + 1
    composition, at = composition_of(codec, data, at) if composes else (0, at)
    return Media(packet, codec, keyframe, composition, at, tracks, track, composes)


def composition_of(codec: str, data: bytes, at: int) -> tuple[int, int]:
    """The composition time of a message of video with FourCC that has one, and where the codec's bytes begin then."""
    if codec not in _BY_FOUR_CC_COMPOSED or len(data) < at + 3:
        return 0, at
    return _signed(data, at), at + 3


def _modified(data: bytes) -> tuple[int, int]:
    """The number of the packet's type behind all modifiers, and where what follows begins; one of no type if they have no end."""
    number, at = data[0] & 0xF, 1
    for _ in range(_MOST_MODS):
        if number != _MOD_EX:
            return number, at
        size, at = data[at : at + 1], at + 1
        length = size[0] + 1 if size else 0
        if length == 256:
            length, at = int.from_bytes(data[at : at + 2]) + 1, at + 2
        at += length
        if at >= len(data):
            break
        number, at = data[at] & 0xF, at + 1
    return 0xF, len(data)


def _signed(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 3], signed=True)
