"""Choices: the pools and origins that a stream of a route would go to, by the origins as they were last seen. Pure.

A stream that is there already stays where it is. Of another one, the key decides about the pool, and by STREAM_HASH about the
origin too: then all others have no chance.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from marchproxy.model.choice import EndpointChoice, PoolChoice
from marchproxy.model.rtmp import OriginPick
from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.balancing.choice import Use, order_of, pool_of
from marchproxy.modules.rtmp.crew import Seen
from marchproxy.modules.rtmp.plan import RoutePlan, Upstream
from marchproxy.modules.rtmp.service import OriginReport

_POLICIES = {
    OriginPick.STREAM_HASH: "by the stream's key; players go where its publisher is",
    OriginPick.LEAST_STREAMS: "fewest streams; players go where the publisher is",
    OriginPick.LEAST_BITRATE: "least bitrate; players go where the publisher is",
    OriginPick.WEIGHTED: "by weight, in turn; players go where the publisher is",
}


@dataclass(frozen=True, slots=True)
class _Course:
    """What is certain of a stream: its pool and its origin there; empty: it is not."""

    pool: str = ""
    origin: str = ""


def pool_choices(plan: RoutePlan, key: StreamKey, seen: Seen) -> tuple[PoolChoice, ...]:
    """The pools of a route in its order, for a stream; without a name: for any."""
    known = {(origin.pool, origin.address): origin for origin in seen.origins}
    course = _course(plan, plan.known_as(key), seen, known)
    return tuple(
        PoolChoice(
            str(upstream.name),
            str(upstream.pool.version),
            float(course.pool == upstream.name) if course.pool else share / 100,
            _POLICIES[upstream.options.pick],
            tuple(_endpoints(upstream, known, course.origin)),
        )
        for upstream, share in plan.backends
    )


def _course(
    plan: RoutePlan, key: StreamKey, seen: Seen, known: Mapping[tuple[str, str], OriginReport]
) -> _Course:
    if plan.is_origin or not key.name:
        return _Course()
    live = next((one for one in seen.streams if one.key == key.text and one.pool), None)
    if live is not None and live.origin:
        return _Course(live.pool, live.origin)
    upstream = pool_of(plan, key)
    if upstream.options.pick is not OriginPick.STREAM_HASH:
        return _Course(str(upstream.name))
    uses = {address: Use(origin.fault) for (pool, address), origin in known.items() if pool == upstream.name}
    return _Course(str(upstream.name), next(iter(order_of(upstream, key, uses)), ""))


def _endpoints(
    upstream: Upstream, known: Mapping[tuple[str, str], OriginReport], certain: str
) -> list[EndpointChoice]:
    name = str(upstream.name)
    looks = [
        (endpoint, known.get((name, endpoint.address), OriginReport(name, endpoint.address)))
        for endpoint in upstream.pool.endpoints
    ]
    total = sum(endpoint.weight for endpoint, look in looks if not look.fault)

    def chance(address: str, weight: int, fault: str) -> float:
        if certain:
            return float(address == certain)
        return 0.0 if fault else weight / total

    found = [
        EndpointChoice(
            endpoint.address,
            chance(endpoint.address, endpoint.weight, look.fault),
            endpoint.weight,
            active_requests=look.streams + look.players,
            trouble=look.fault,
        )
        for endpoint, look in looks
    ]
    return sorted(found, key=lambda item: (-item.probability, item.address))
