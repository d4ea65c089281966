"""HLS playlists of CMAF segments (RFC 8216, version 7): values in, text out.

Segments that follow a change of encoder belong to another era, and the eras of all playlists of a stream are counted
alike: an era's number is its discontinuity sequence number (6.2.4), so that players find what goes together.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

_AUDIO = "audio"


@dataclass(frozen=True, slots=True)
class Segment:
    """One media segment: its duration in ms, the Unix time at which it begins, and the URI of its init segment."""

    uri: str
    duration: int
    begins: float
    head: str
    era: int = 0


@dataclass(frozen=True, slots=True)
class Playlist:
    """A media playlist. `target`: whole seconds, no segment is longer when rounded; `first`: number of its first segment."""

    target: int
    first: int
    segments: Sequence[Segment]
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Variant:
    """One choice of a master playlist; bits per second, pixels. `frame_rate` 0: not known. `sound`: it has the audio beside it."""

    uri: str
    bandwidth: int
    average: int
    codecs: tuple[str, ...]
    width: int = 0
    height: int = 0
    frame_rate: float = 0.0
    sound: bool = False


@dataclass(frozen=True, slots=True)
class Rendition:
    """The audio that all variants share."""

    uri: str
    channels: int


def media_playlist(playlist: Playlist) -> str:
    """The text of a media playlist."""
    segments = playlist.segments
    era = segments[0].era if segments else 0
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{playlist.target}",
        f"#EXT-X-MEDIA-SEQUENCE:{playlist.first}",
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{era}",
        "#EXT-X-INDEPENDENT-SEGMENTS",
    ]
    head = ""
    for segment in segments:
        # one for each era, also for those in which this playlist had nothing: numbers stay those of the others
        lines += ["#EXT-X-DISCONTINUITY"] * (segment.era - era)
        if segment.head != head:
            lines.append(f'#EXT-X-MAP:URI="{segment.head}"')
        era, head = segment.era, segment.head
        lines += [
            f"#EXT-X-PROGRAM-DATE-TIME:{iso_time(segment.begins)}",
            f"#EXTINF:{segment.duration / 1000:.3f},",
            segment.uri,
        ]
    if playlist.ended:
        lines.append("#EXT-X-ENDLIST")
    return _text(lines)


def master_playlist(variants: Sequence[Variant], audio: Rendition | None = None) -> str:
    """The text of a master playlist."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    if audio is not None:
        lines.append(
            f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="{_AUDIO}",NAME="{_AUDIO}",DEFAULT=YES,AUTOSELECT=YES,'
            f'CHANNELS="{audio.channels}",URI="{audio.uri}"'
        )
    for variant in variants:
        lines += ["#EXT-X-STREAM-INF:" + ",".join(_attributes(variant)), variant.uri]
    return _text(lines)


def iso_time(seconds: float) -> str:
    """A Unix time as ISO 8601 in UTC, to the millisecond."""
    return (
        datetime.fromtimestamp(round(seconds, 3), UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


def _attributes(variant: Variant) -> Iterable[str]:
    yield f"BANDWIDTH={variant.bandwidth}"
    yield f"AVERAGE-BANDWIDTH={variant.average}"
    yield f'CODECS="{",".join(variant.codecs)}"'
    if variant.width and variant.height:
        yield f"RESOLUTION={variant.width}x{variant.height}"
    if variant.frame_rate:
        yield f"FRAME-RATE={variant.frame_rate:.3f}"
    if variant.sound:
        yield f'AUDIO="{_AUDIO}"'


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"
