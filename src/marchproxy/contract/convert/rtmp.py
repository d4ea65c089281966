"""`rtmp` of pools and of routes."""

from marchproxy.contract.convert.enums import DUPLICATES, ENCODERS, ORIGIN_PICKS
from marchproxy.contract.convert.faults import Faults
from marchproxy.contract.convert.times import read_seconds, seconds_to_pb
from marchproxy.contract.pb import types_pb2
from marchproxy.model.rtmp import Packaging, RtmpPool, RtmpRoute, Rung, StreamLimits

_POOL = RtmpPool()
_ROUTE = RtmpRoute()
_PACKAGING = Packaging()


def rtmp_pool_to_pb(pool: RtmpPool) -> types_pb2.RtmpPool:
    """The message."""
    return types_pb2.RtmpPool(
        pick=ORIGIN_PICKS.to_pb(pool.pick),
        app=pool.app,
        hide_query=None if pool.hide_query else False,
        proxy_protocol=pool.proxy_protocol,
        window=pool.window,
    )


def read_rtmp_pool(pb: types_pb2.RtmpPool, path: str, faults: Faults) -> RtmpPool:
    """How origins are spoken to, as far as it can be read; what is left out has the model's default."""
    return RtmpPool(
        pick=ORIGIN_PICKS.read(pb.pick, f"{path}.pick", faults) or _POOL.pick,
        app=pb.app,
        hide_query=pb.hide_query if pb.HasField("hide_query") else _POOL.hide_query,
        proxy_protocol=pb.proxy_protocol,
        window=pb.window or _POOL.window,
    )


def rtmp_route_to_pb(route: RtmpRoute) -> types_pb2.RtmpRoute:
    """The message."""
    limits = route.limits
    return types_pb2.RtmpRoute(
        vhosts=route.vhosts,
        apps=route.apps,
        streams=route.streams,
        publish=route.publish,
        play=route.play,
        duplicate=DUPLICATES.to_pb(route.duplicate),
        push=route.push,
        limits=None
        if limits == _ROUTE.limits
        else types_pb2.StreamLimits(
            streams=limits.streams,
            players=limits.players,
            players_per_stream=limits.players_per_stream,
            bitrate=limits.bitrate,
        ),
        stall=seconds_to_pb(route.stall),
        grace=seconds_to_pb(route.grace),
        gop_cache=route.gop_cache,
        queue=route.queue,
        packaging=None if route.packaging is None else _packaging_to_pb(route.packaging),
    )


def read_rtmp_route(pb: types_pb2.RtmpRoute, path: str, faults: Faults) -> RtmpRoute:
    """What a route of streams has beside, as far as it can be read; what is left out has the model's default."""
    limits = pb.limits
    return RtmpRoute(
        vhosts=tuple(pb.vhosts),
        apps=tuple(pb.apps),
        streams=tuple(pb.streams),
        publish=tuple(pb.publish),
        play=tuple(pb.play),
        duplicate=DUPLICATES.read(pb.duplicate, f"{path}.duplicate", faults) or _ROUTE.duplicate,
        push=tuple(pb.push),
        limits=StreamLimits(limits.streams, limits.players, limits.players_per_stream, limits.bitrate),
        stall=read_seconds(pb.stall, f"{path}.stall", faults) if pb.HasField("stall") else _ROUTE.stall,
        grace=read_seconds(pb.grace, f"{path}.grace", faults) if pb.HasField("grace") else _ROUTE.grace,
        gop_cache=pb.gop_cache if pb.HasField("gop_cache") else _ROUTE.gop_cache,
        queue=pb.queue or _ROUTE.queue,
        packaging=_read_packaging(pb.packaging, f"{path}.packaging", faults)
        if pb.HasField("packaging")
        else None,
    )


def _packaging_to_pb(packaging: Packaging) -> types_pb2.Packaging:
    """The message; no origin at all, which is no sound value, cannot be told from the default and becomes it."""
    return types_pb2.Packaging(
        hls=packaging.hls,
        dash=packaging.dash,
        segment=seconds_to_pb(packaging.segment),
        window=packaging.window,
        passthrough=packaging.passthrough,
        rungs=[types_pb2.Rung(height=rung.height, video_rate=rung.video_rate) for rung in packaging.rungs],
        encoder=ENCODERS.to_pb(packaging.encoder),
        on_demand=packaging.on_demand,
        linger=seconds_to_pb(packaging.linger),
        origins=packaging.origins,
    )


def _read_packaging(pb: types_pb2.Packaging, path: str, faults: Faults) -> Packaging:
    default = _PACKAGING
    return Packaging(
        hls=pb.hls if pb.HasField("hls") else default.hls,
        dash=pb.dash if pb.HasField("dash") else default.dash,
        segment=read_seconds(pb.segment, f"{path}.segment", faults)
        if pb.HasField("segment")
        else default.segment,
        window=pb.window or default.window,
        passthrough=pb.passthrough if pb.HasField("passthrough") else default.passthrough,
        rungs=tuple(Rung(rung.height, rung.video_rate) for rung in pb.rungs),
        encoder=ENCODERS.read(pb.encoder, f"{path}.encoder", faults) or default.encoder,
        on_demand=pb.on_demand if pb.HasField("on_demand") else default.on_demand,
        linger=read_seconds(pb.linger, f"{path}.linger", faults) if pb.HasField("linger") else default.linger,
        origins=tuple(pb.origins) or default.origins,
    )
