"""What is told of a route of streams, and of a stream, in words. No I/O."""

from collections.abc import Iterator

from marchproxy.model.rtmp import Duplicate, Packaging, StreamLimits
from marchproxy.modules.rtmp.plan import RoutePlan, Who


def details_of(plan: RoutePlan) -> dict[str, str]:
    """A route for who asks what becomes of a stream."""
    return {"route_id": str(plan.route_id), "match": match_of(plan), **dict(_details(plan))}


def match_of(plan: RoutePlan) -> str:
    """Which streams a route takes."""
    options, route = plan.options, plan.route
    parts = [f'route "{route.route_id}"', f"apps {', '.join(options.apps) or '*'}"]
    named = (("streams", options.streams), ("hosts", options.vhosts), ("clients of", route.sources))
    parts += [f"{name} {', '.join(values)}" for name, values in named if values]
    if route.destination_port:
        parts.append(f"port {route.destination_port}")
    return ", ".join(parts)


def stream_of(who: Who) -> str:
    """A stream, as far as it is known, and its client."""
    pairs = (
        ("host", who.key.vhost),
        ("app", who.key.app),
        ("stream", who.key.name),
        ("client", who.address),
        ("port", str(who.port or "")),
    )
    return ", ".join(f"{name} {value}" for name, value in pairs if value)


def _details(plan: RoutePlan) -> Iterator[tuple[str, str]]:
    options = plan.options
    if plan.is_origin:
        yield "origin", "the module itself"
    else:
        yield (
            "pools",
            ", ".join(f"{item.name} ({item.pool.version}) {share} %" for item, share in plan.backends),
        )
    for key, ways in (("publish", plan.publish), ("play", plan.play)):
        yield key, " or ".join(way.name for way in ways) or "everybody"
    if options.duplicate is Duplicate.TAKEOVER:
        yield "duplicate", "takes over from the publisher before"
    if options.push:
        yield "push", f"copies to {len(options.push)} more"
    if options.packaging is not None:
        yield "packaging", _packaging(options.packaging)
    if limits := ", ".join(_limits(options.limits)):
        yield "limits", limits
    if plan.limits:
        yield "rate_limits", ", ".join(limit.limit_id for limit in plan.limits)


def _limits(limits: StreamLimits) -> Iterator[str]:
    for most, words in (
        (limits.streams, "streams"),
        (limits.players, "players"),
        (limits.players_per_stream, "players of each stream"),
        (limits.bitrate, "kbit/s of each stream"),
    ):
        if most:
            yield f"{most} {words}"


def _packaging(packaging: Packaging) -> str:
    kinds = [name for name, made in (("HLS", packaging.hls), ("DASH", packaging.dash)) if made]
    rungs = ["the source"] if packaging.passthrough else []
    rungs += [f"{rung.height} lines" for rung in packaging.rungs]
    when = ", while somebody watches" if packaging.on_demand else ""
    return f"{' and '.join(kinds)} of {', '.join(rungs)}{when}"
