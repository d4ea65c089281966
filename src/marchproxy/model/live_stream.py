"""Live streams: what is known of one that is being published or played now."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StreamReport:
    """A stream as it is now. `state`: `live`, `waiting` (for its publisher to return) or `moving` (to another origin).

    Rates in kbit/s, times in seconds; what is not known is 0 or empty. `video` and `audio` name the codecs. `latency`: from a
    publisher's byte until it was sent on, the mean of late. `origin` and `version` are those of a pool's endpoint.
    """

    key: str
    route: str
    pool: str = ""
    origin: str = ""
    version: str = ""
    state: str = "live"
    publisher: str = ""
    age: float = 0.0
    video: str = ""
    audio: str = ""
    width: int = 0
    height: int = 0
    fps: float = 0.0
    bitrate: float = 0.0
    gop: float = 0.0
    players: int = 0
    viewers: int = 0
    """Of HLS and DASH, within the last `linger` seconds."""
    latency: float = 0.0
    dropped: int = 0
    rehomed: int = 0
    packaged: tuple[str, ...] = ()
    """What is packaged, by the names of its playlists: `v` and `a` are the source, `v720` is a rung."""
    pushes: tuple[str, ...] = ()
    """`ok HOST` or what is wrong with a push to it."""


def most_watched(streams: Iterable[StreamReport], most: int) -> Sequence[StreamReport]:
    """At most so many, those with the most players and viewers first."""
    return sorted(streams, key=lambda one: (-one.players - one.viewers, one.key))[:most]
