"""Checks of routes: each condition by itself, the pools they name, and pairs that one request may match."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from marchproxy.model.checks.ai_routes import check_ai_route
from marchproxy.model.checks.databases import check_database_route, check_no_database
from marchproxy.model.checks.headers import is_token
from marchproxy.model.checks.http import check_http
from marchproxy.model.checks.paths import check_path
from marchproxy.model.checks.protocols import check_protocols
from marchproxy.model.checks.rtmp import check_no_streams, check_stream_route
from marchproxy.model.database import DATABASE_PROTOCOLS
from marchproxy.model.overlap import ambiguous_pairs, near
from marchproxy.model.pool import BackendPool
from marchproxy.model.problem import Problem
from marchproxy.model.route import RETRY_CONDITIONS, HeaderKind, QueryMatch, Route, RouteMatch
from marchproxy.model.rtmp import STREAMING_PROTOCOLS
from marchproxy.model.rules import (
    HOST,
    check_duration,
    check_name,
    check_networks,
    check_regex,
    check_shares,
    duplicates,
    known,
)

_METHOD = re.compile(r"[A-Z]+")
_PARAMETER = re.compile(r"[!$%'-;?-~]+")  # RFC 3986, section 3.4, without what divides parameters: & and =
_VALUE = re.compile(r"[!$%'-;=?-~]*")


def check_routes(
    routes: Sequence[Route], pools: Sequence[BackendPool] | None, *, sound: Sequence[Route] = ()
) -> Iterator[Problem]:
    """Faults of the routes, given the pools they may name. None: these are not known here, so every name will do.

    Those of `routes` that are the very objects in `sound` were found sound together before, when no further pool was
    there; they are only looked at for what the others may do to them.
    """
    yield from duplicates("routes", "id", routes, lambda route: route.route_id)
    by_name = {str(pool.name): pool for pool in pools or ()}
    pool_names = frozenset(by_name) if pools is not None else _named_pools(routes)
    known_sound = set(map(id, sound))
    fresh = [(index, route) for index, route in enumerate(routes) if id(route) not in known_sound]
    for index, route in fresh:
        yield from _check_route(route, f"routes[{index}]", pool_names, by_name)
    rivals = routes
    if len(fresh) < len(routes):
        is_near = near(route for _, route in fresh)
        rivals = [route for route in routes if is_near(route)]
    index_of = {route.route_id: index for index, route in enumerate(routes)}
    for first, second in ambiguous_pairs(rivals):
        yield Problem(
            f"routes[{index_of[second.route_id]}].priority",
            f'"{second.route_id}" overlaps "{first.route_id}" and both have priority {first.priority}; '
            "give one of them a higher priority or a narrower match",
        )


def _named_pools(routes: Iterable[Route]) -> frozenset[str]:
    return frozenset().union(*(route.pools for route in routes))


def _check_route(
    route: Route, path: str, pool_names: frozenset[str], pools: Mapping[str, BackendPool]
) -> Iterator[Problem]:
    yield from check_name(route.route_id, f"{path}.id")
    yield from _check_match(route.match, path)
    if not -(2**31) <= route.priority < 2**31:
        yield Problem(f"{path}.priority", f"{route.priority} is not between {-(2**31)} and {2**31 - 1}")
    yield from check_duration(route.timeout, f"{path}.timeout")
    yield from check_duration(route.idle_timeout, f"{path}.idle_timeout")
    for name, port in (("source_port", route.source_port), ("destination_port", route.destination_port)):
        if not 0 <= port <= 65535:
            yield Problem(f"{path}.{name}", f"{port} is not between 0 and 65535")
    yield from check_networks(route.sources, f"{path}.sources")
    yield from _check_retry(route, f"{path}.retry")
    for number, backend in enumerate(route.backends):
        if backend.pool not in pool_names:
            yield Problem(f"{path}.backends[{number}].pool", f'no pool "{backend.pool}"{known(pool_names)}')
    yield from duplicates(f"{path}.backends", "pool", route.backends, lambda backend: backend.pool)
    shares = [
        (f"{path}.backends[{number}].weight", backend.weight) for number, backend in enumerate(route.backends)
    ]
    yield from check_shares(shares, f"{path}.backends")
    yield from check_protocols(route, path, pools)
    if route.protocol in STREAMING_PROTOCOLS:
        yield from check_stream_route(route, path)
        return
    yield from check_no_streams(route, path)
    if route.protocol in DATABASE_PROTOCOLS:
        yield from check_database_route(route, path, pool_names)
    else:
        yield from check_http(route, path, pool_names)
        yield from check_no_database(route, path)
        if route.ai is not None:
            yield from check_ai_route(route, route.ai, path, pool_names, pools)


def _check_match(match: RouteMatch, path: str) -> Iterator[Problem]:
    yield from check_path(match.path, f"{path}.path")
    for number, host in enumerate(match.hosts):
        if not HOST.fullmatch(host):
            yield Problem(f"{path}.hosts[{number}]", f'"{host}" is neither a host name nor *.a.host.name')
    for number, method in enumerate(match.methods):
        if not _METHOD.fullmatch(method):
            yield Problem(f"{path}.methods[{number}]", f'"{method}" is not a method in upper case')
    for number, header in enumerate(match.headers):
        where = f"{path}.headers[{number}]"
        if not is_token(header.name):
            yield Problem(f"{where}.name", f'"{header.name}" is not a header name')
        if header.kind is HeaderKind.REGEX:
            yield from check_regex(header.value, f"{where}.regex")
        if header.kind is HeaderKind.PRESENT and header.value:
            yield Problem(f"{where}.present", "compares no value")
    for number, parameter in enumerate(match.query):
        yield from _check_parameter(parameter, f"{path}.query[{number}]")


def _check_parameter(parameter: QueryMatch, path: str) -> Iterator[Problem]:
    if not _PARAMETER.fullmatch(parameter.name):
        yield Problem(
            f"{path}.name", f'"{parameter.name}" is not the name of a parameter as it is written in a URL'
        )
    if parameter.kind is HeaderKind.REGEX:
        yield from check_regex(parameter.value, f"{path}.regex")
    elif parameter.value and parameter.kind is HeaderKind.PRESENT:
        yield Problem(f"{path}.present", "compares no value")
    elif not _VALUE.fullmatch(parameter.value):
        yield Problem(
            f"{path}.{parameter.kind.value}",
            f'"{parameter.value}" cannot stand in a query string; write %20 for a blank',
        )


def _check_retry(route: Route, path: str) -> Iterator[Problem]:
    if not 0 <= route.retry.attempts <= 10:
        yield Problem(f"{path}.attempts", f"{route.retry.attempts} is not between 0 and 10")
    yield from check_duration(route.retry.per_try_timeout, f"{path}.per_try_timeout")
    for number, condition in enumerate(route.retry.on):
        if condition not in RETRY_CONDITIONS:
            yield Problem(f"{path}.on[{number}]", f'unknown condition "{condition}"{known(RETRY_CONDITIONS)}')
