"""Checks of what protocols have in common: which pools are behind which routes, and what only requests of HTTP have."""

from collections.abc import Iterable, Iterator, Mapping

from marchproxy.model.database import DATABASE_PROTOCOLS
from marchproxy.model.module import Protocol
from marchproxy.model.pool import BackendPool
from marchproxy.model.problem import Problem
from marchproxy.model.route import Route, RouteId
from marchproxy.model.rtmp import ORIGIN_PROTOCOLS

_PLAIN = Route(RouteId(""))
_OF_REQUESTS = (
    *("timeout", "idle_timeout", "retry", "source_port", "redirect", "response", "rewrite"),
    *("request_headers", "response_headers", "cors", "sticky", "allow", "deny"),
    *("max_request_bytes", "compression", "upgrades", "ai"),
)
#: What stands only before its own kind: each of the databases, and origins whether with TLS or without.
_KINDS = {
    **{protocol: frozenset({protocol}) for protocol in DATABASE_PROTOCOLS},
    **dict.fromkeys(ORIGIN_PROTOCOLS, ORIGIN_PROTOCOLS),
}


def check_protocols(route: Route, path: str, pools: Mapping[str, BackendPool]) -> Iterator[Problem]:
    """Faults of a route's pools: database servers, origins of streams and others are not behind one route."""
    for number, backend in enumerate(route.backends):
        pool = pools.get(backend.pool)
        if pool is None or pool.protocol is route.protocol:
            continue
        if _KINDS.get(pool.protocol) != _KINDS.get(route.protocol):
            yield Problem(
                f"{path}.backends[{number}].pool",
                f"{pool.name} speaks {pool.protocol.value}, the route {route.protocol.value}; "
                "give both the same protocol",
            )


def check_no_requests(route: Route, path: str) -> Iterator[Problem]:
    """Faults of a route that does not take requests: what of it only these have."""
    for key in _given_of_requests(route):
        yield Problem(f"{path}.{key}", f"is for HTTP; {route.protocol.value} has no such thing: remove it")


def in_words(protocols: Iterable[Protocol]) -> str:
    """Their names, in order."""
    *others, last = sorted(protocol.value for protocol in protocols)
    return f"{', '.join(others)} and {last}" if others else last


def _given_of_requests(route: Route) -> Iterator[str]:
    match, plain = route.match, _PLAIN.match
    yield from (
        key
        for key in ("hosts", "path", "methods", "headers", "query")
        if getattr(match, key) != getattr(plain, key)
    )
    yield from (key for key in _OF_REQUESTS if getattr(route, key) != getattr(_PLAIN, key))
