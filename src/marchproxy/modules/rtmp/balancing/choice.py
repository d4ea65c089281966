"""Choice: which pool and which of its origins a new stream goes to. Pure; every instance chooses alike where it can."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import xxhash

from marchproxy.model.pool import Endpoint
from marchproxy.model.rtmp import OriginPick
from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.plan import RoutePlan, Upstream

_WHOLE = 1 << 64


@dataclass(frozen=True, slots=True)
class Use:
    """What is known of an origin: `fault` empty: it answers. `bitrate` in kbit/s; `begun`: streams that ever went there."""

    fault: str = ""
    streams: int = 0
    bitrate: float = 0.0
    begun: int = 0


_UNUSED = Use()


def pool_of(route: RoutePlan, key: StreamKey) -> Upstream:
    """The pool for a new stream, by the shares of the route and the key alone. With shares of 0 only, the first.

    A share that grows takes keys from its neighbours, and lets all others stay where they would be.
    """
    total = sum(share for _, share in route.backends)
    point = _fraction(f"{route.route_id}\0{key.text}") * total
    for upstream, share in route.backends:
        if point < share:
            return upstream
        point -= share
    return route.backends[0][0]


def order_of(upstream: Upstream, key: StreamKey, uses: Mapping[str, Use]) -> tuple[str, ...]:
    """The addresses of a pool's origins, the one to try first, first. Those with a fault come last: they may be better by now."""
    endpoints = upstream.pool.endpoints
    rank = _RANKS[upstream.options.pick]

    def standing(endpoint: Endpoint) -> tuple[bool, float, float]:
        use = uses.get(endpoint.address, _UNUSED)
        return bool(use.fault), rank(endpoint, use), distance(key, endpoint)

    return tuple(endpoint.address for endpoint in sorted(endpoints, key=standing))


def distance(key: StreamKey, endpoint: Endpoint) -> float:
    """How far an origin is from a key: the nearest is the key's own, in proportion to weights (weighted rendezvous hashing).

    When an origin goes, only its own keys move; when one comes, only the keys that become its own.
    """
    return -math.log(_fraction(f"{endpoint.address}\0{key.text}")) / endpoint.weight


def _fraction(text: str) -> float:
    """A number between 0 and 1, neither of which it is, that follows from the text alone."""
    return (xxhash.xxh64_intdigest(text.encode()) + 0.5) / _WHOLE


def _nothing(endpoint: Endpoint, use: Use) -> float:  # noqa: ARG001 - the key alone decides
    return 0.0


def _streams(endpoint: Endpoint, use: Use) -> float:
    return use.streams / endpoint.weight


def _bitrate(endpoint: Endpoint, use: Use) -> float:
    return use.bitrate / endpoint.weight


def _turn(endpoint: Endpoint, use: Use) -> float:
    return (use.begun + 1) / endpoint.weight


_RANKS: Mapping[OriginPick, Callable[[Endpoint, Use], float]] = {
    OriginPick.STREAM_HASH: _nothing,
    OriginPick.LEAST_STREAMS: _streams,
    OriginPick.LEAST_BITRATE: _bitrate,
    OriginPick.WEIGHTED: _turn,
}


def next_of(order: Sequence[str], tried: Sequence[str]) -> str | None:
    """The first that was not tried."""
    return next((address for address in order if address not in tried), None)
