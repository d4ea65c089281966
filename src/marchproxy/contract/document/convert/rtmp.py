"""`rtmp` of pools and of routes. Where a part has the same fields on both sides, it is taken over as it is."""

from dataclasses import asdict

from marchproxy.contract.document.schema.rtmp import PackagingDocument, RtmpPoolDocument, RtmpRouteDocument
from marchproxy.model.rtmp import Packaging, RtmpPool, RtmpRoute, Rung, StreamLimits


def rtmp_pool(item: RtmpPoolDocument | None) -> RtmpPool | None:
    """How origins are spoken to, where that is said."""
    return None if item is None else RtmpPool(**dict(item))


def rtmp_pool_document(item: RtmpPool | None) -> RtmpPoolDocument | None:
    """The document of how origins are spoken to."""
    return None if item is None else RtmpPoolDocument(**asdict(item))


def rtmp_route(item: RtmpRouteDocument | None) -> RtmpRoute | None:
    """What a route of streams has beside, where something is said."""
    if item is None:
        return None
    changed = {"limits": StreamLimits(**dict(item.limits)), "packaging": _packaging(item.packaging)}
    return RtmpRoute(**{**dict(item), **changed})


def rtmp_route_document(item: RtmpRoute | None) -> RtmpRouteDocument | None:
    """The document of what a route of streams has beside."""
    return None if item is None else RtmpRouteDocument(**asdict(item))


def _packaging(item: PackagingDocument | None) -> Packaging | None:
    if item is None:
        return None
    return Packaging(**{**dict(item), "rungs": tuple(Rung(**dict(rung)) for rung in item.rungs)})
