"""Choices: the pools and origins that a stream of a route would go to, by the origins as they were last seen. Pure."""

from collections.abc import Sequence

from marchproxy.model.choice import EndpointChoice, PoolChoice
from marchproxy.model.rtmp import OriginPick
from marchproxy.modules.rtmp.plan import RoutePlan, Upstream
from marchproxy.modules.rtmp.service import OriginReport

_POLICIES = {
    OriginPick.STREAM_HASH: "by the stream's key; players go where its publisher is",
    OriginPick.LEAST_STREAMS: "fewest streams; players go where the publisher is",
    OriginPick.LEAST_BITRATE: "least bitrate; players go where the publisher is",
    OriginPick.WEIGHTED: "by weight, in turn; players go where the publisher is",
}


def pool_choices(plan: RoutePlan, origins: Sequence[OriginReport]) -> tuple[PoolChoice, ...]:
    """The pools of a route in its order."""
    seen = {(origin.pool, origin.address): origin for origin in origins}
    return tuple(
        PoolChoice(
            str(upstream.name),
            str(upstream.pool.version),
            share / 100,
            _POLICIES[upstream.options.pick],
            tuple(_endpoints(upstream, seen)),
        )
        for upstream, share in plan.backends
    )


def _endpoints(upstream: Upstream, seen: dict[tuple[str, str], OriginReport]) -> list[EndpointChoice]:
    name = str(upstream.name)
    looks = [
        (endpoint, seen.get((name, endpoint.address), OriginReport(name, endpoint.address)))
        for endpoint in upstream.pool.endpoints
    ]
    total = sum(endpoint.weight for endpoint, look in looks if not look.fault)
    found = [
        EndpointChoice(
            endpoint.address,
            0.0 if look.fault else endpoint.weight / total,
            endpoint.weight,
            active_requests=look.streams + look.players,
            trouble=look.fault,
        )
        for endpoint, look in looks
    ]
    return sorted(found, key=lambda item: (-item.probability, item.address))
