"""Live video: what pools of origins and routes of RTMP have beside the rest. Frozen values; no I/O.

A stream is named by its key: virtual host (the host in the client's tcUrl), app and stream name, without their queries.
"""

from dataclasses import dataclass
from enum import Enum

from marchproxy.model.module import Protocol

#: The protocols by which clients publish, play and watch.
STREAMING_PROTOCOLS = frozenset({Protocol.RTMP, Protocol.RTMPS, Protocol.HLS, Protocol.DASH})

#: Those of them that are HTTP; one port is for both.
WATCHING_PROTOCOLS = frozenset({Protocol.HLS, Protocol.DASH})

#: Those by which origins are spoken to.
ORIGIN_PROTOCOLS = frozenset({Protocol.RTMP, Protocol.RTMPS})


class OriginPick(Enum):
    """Which origin a new stream goes to; endpoints' weights count in all of them.

    STREAM_HASH: that of the key, whichever instance is asked (consistent: few move when origins come or go).
    LEAST_STREAMS and LEAST_BITRATE: by what this instance sends there. WEIGHTED: by the weights alone, in turn.
    """

    STREAM_HASH = "stream_hash"
    LEAST_STREAMS = "least_streams"
    LEAST_BITRATE = "least_bitrate"
    WEIGHTED = "weighted"


class Duplicate(Enum):
    """What becomes of a publisher whose key is being published: it is refused, or takes over from the other."""

    REFUSE = "refuse"
    TAKEOVER = "takeover"


class Encoder(Enum):
    """Who encodes a ladder's rungs; AUTO: the first of these that encodes a frame on this machine."""

    AUTO = "auto"
    NVENC = "nvenc"
    QSV = "qsv"
    VAAPI = "vaapi"
    AMF = "amf"
    X264 = "x264"


@dataclass(frozen=True, slots=True)
class RtmpPool:
    """How a pool's origins are spoken to.

    `app` replaces the client's app there; empty: as the client says. `hide_query`: what stands behind a `?` in app and
    stream name, where tokens are, is not sent on. `proxy_protocol`: 1 or 2, each connection begins with the client's
    address by that version; 0: it does not. `window`: acknowledgement window in bytes that publishers are told in the
    origin's name, before one is chosen.
    """

    pick: OriginPick = OriginPick.STREAM_HASH
    app: str = ""
    hide_query: bool = True
    proxy_protocol: int = 0
    window: int = 5_000_000


@dataclass(frozen=True, slots=True)
class Rung:
    """One rung of a ladder: `height` in lines, its rate in kbit/s; the sound is the source's. A source that is not higher
    gets no such rung."""

    height: int
    video_rate: int


#: The ladder of a packaging that asks for one and names no rungs.
DEFAULT_LADDER = (Rung(1080, 5000), Rung(720, 2800), Rung(480, 1400), Rung(360, 800))


@dataclass(frozen=True, slots=True)
class Packaging:
    """HLS and DASH of a route's streams, both from the same segments (CMAF).

    `segment`: seconds, at least; segments begin at keyframes. `window`: segments in a playlist. `rungs`: what is encoded
    beside (`passthrough`) the source as it is. `on_demand`: only while somebody watches, and `linger` seconds after.
    `origins`: whose pages may read (CORS); `*`: all.
    """

    hls: bool = True
    dash: bool = True
    segment: float = 2.0
    window: int = 10
    passthrough: bool = True
    rungs: tuple[Rung, ...] = ()
    encoder: Encoder = Encoder.AUTO
    on_demand: bool = True
    linger: float = 30.0
    origins: tuple[str, ...] = ("*",)


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """The most of a route, on each instance; 0: any number. Rates in kbit/s."""

    streams: int = 0
    players: int = 0
    players_per_stream: int = 0
    bitrate: int = 0
    """Of each stream; a publisher that exceeds it for 10 s is closed."""


@dataclass(frozen=True, slots=True)
class RtmpRoute:
    """Which streams a route takes, and what becomes of them. Patterns (*, ?, […]) as in a shell; none: all.

    A route with backends sends streams to their origins; one without is the origin itself. `publish` and `play` name the
    ways to authenticate of which one must succeed; none: everyone. `push`: URLs (`rtmp://host/app/stream`, in which
    `{vhost}`, `{app}` and `{stream}` are replaced) that get a copy of each stream. Seconds: `stall`, until a publisher
    that sends no media is closed; `grace`, for which a stream waits for a publisher that left without saying so, its
    players with it. Bytes: `gop_cache`, the most that a newcomer is given of the stream's last GOP, 0: nothing;
    `queue`, of a player that reads slowly: beyond it whole GOPs are left out.
    """

    vhosts: tuple[str, ...] = ()
    apps: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    play: tuple[str, ...] = ()
    duplicate: Duplicate = Duplicate.REFUSE
    push: tuple[str, ...] = ()
    limits: StreamLimits = StreamLimits()
    stall: float = 15.0
    grace: float = 5.0
    gop_cache: int = 16 * 1024 * 1024
    queue: int = 4 * 1024 * 1024
    packaging: Packaging | None = None
