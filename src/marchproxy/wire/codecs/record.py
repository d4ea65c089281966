"""What a decoder must know before the first frame, as files of the MP4 family and playlists say it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VideoRecord:
    """A video codec's set-up. `codec` is by RFC 6381; `box` is the whole configuration box of the sample entry `entry`.

    `width` and `height` in pixels as shown; 0: the record does not tell.
    """

    entry: bytes
    codec: str
    box: bytes
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class AudioRecord:
    """An audio codec's set-up, as VideoRecord. `rate` in Hz."""

    entry: bytes
    codec: str
    box: bytes
    rate: int
    channels: int


def box(kind: bytes, *parts: bytes) -> bytes:
    """A box of ISO/IEC 14496-12: size, type of four letters, content."""
    content = b"".join(parts)
    return (8 + len(content)).to_bytes(4) + kind + content
