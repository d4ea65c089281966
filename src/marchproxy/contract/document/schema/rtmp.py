"""`rtmp` of pools and of routes: live video."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from marchproxy.contract.document.schema.parts import Duration
from marchproxy.kit.settings import Section
from marchproxy.model.rtmp import (
    DEFAULT_LADDER,
    Duplicate,
    Encoder,
    OriginPick,
    Packaging,
    RtmpPool,
    RtmpRoute,
)

_POOL = RtmpPool()
_ROUTE = RtmpRoute()
_PACKAGING = Packaging()


class RtmpPoolDocument(Section):
    """`rtmp` of a pool: how its origins are spoken to."""

    pick: OriginPick = _POOL.pick
    app: str = _POOL.app
    hide_query: bool = _POOL.hide_query
    proxy_protocol: int = _POOL.proxy_protocol
    window: int = _POOL.window


class RungDocument(Section):
    """One of the `rungs` of a packaging."""

    height: int
    video_rate: int


def _ladder(value: Any) -> Any:
    """The word `default` stands for a whole ladder."""
    return [asdict(rung) for rung in DEFAULT_LADDER] if value == "default" else value


_Rungs = Annotated[
    tuple[RungDocument, ...],
    BeforeValidator(_ladder, json_schema_input_type=tuple[RungDocument, ...] | Literal["default"]),
]


class PackagingDocument(Section):
    """`packaging` of a route's `rtmp`: HLS and DASH of its streams."""

    hls: bool = _PACKAGING.hls
    dash: bool = _PACKAGING.dash
    segment: Duration = _PACKAGING.segment
    window: int = _PACKAGING.window
    passthrough: bool = _PACKAGING.passthrough
    rungs: _Rungs = ()
    encoder: Encoder = _PACKAGING.encoder
    on_demand: bool = _PACKAGING.on_demand
    linger: Duration = _PACKAGING.linger
    origins: tuple[str, ...] = _PACKAGING.origins


class StreamLimitsDocument(Section):
    """`limits` of a route's `rtmp`."""

    streams: int = _ROUTE.limits.streams
    players: int = _ROUTE.limits.players
    players_per_stream: int = _ROUTE.limits.players_per_stream
    bitrate: int = _ROUTE.limits.bitrate


class RtmpRouteDocument(Section):
    """`rtmp` of a route: which streams it takes, and what becomes of them."""

    vhosts: tuple[str, ...] = ()
    apps: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    play: tuple[str, ...] = ()
    duplicate: Duplicate = _ROUTE.duplicate
    push: tuple[str, ...] = ()
    limits: StreamLimitsDocument = StreamLimitsDocument()
    stall: Duration = _ROUTE.stall
    grace: Duration = _ROUTE.grace
    gop_cache: int = _ROUTE.gop_cache
    queue: int = _ROUTE.queue
    packaging: PackagingDocument | None = None
