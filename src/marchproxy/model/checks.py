"""Checks: is a desired state sound? Every fault is reported with its path in the document."""

import re
from collections.abc import Container, Hashable, Iterator, Sequence

from marchproxy.model.kernel import kernel_limits
from marchproxy.model.limit import EVERYTHING, RateLimit
from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.module import Protocol
from marchproxy.model.overlap import ambiguous_pairs
from marchproxy.model.pool import BackendPool, HealthCheck
from marchproxy.model.problem import Problem
from marchproxy.model.route import (
    RETRY_CONDITIONS,
    HeaderKind,
    PathKind,
    PathMatch,
    Route,
    RouteMatch,
    VersionWeight,
)
from marchproxy.model.rules import (
    HOST,
    check_address,
    check_duration,
    check_name,
    check_regex,
    check_shares,
    check_wait,
    duplicates,
    ip_address,
    is_network,
    known,
)
from marchproxy.model.scaling import ScalingConfig
from marchproxy.model.state import DesiredState

__all__ = [
    "check_address",
    "check_limit",
    "check_limits",
    "check_listeners",
    "check_pools",
    "check_routes",
    "check_scaling",
    "check_state",
    "check_version_weights",
]

_METHOD = re.compile(r"[A-Z]+")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_LARGEST_THRESHOLD = 1000


def check_state(state: DesiredState) -> tuple[Problem, ...]:
    """Every fault of the state: each value by itself, then names that clash or lead nowhere."""
    return (
        *check_listeners(state.listeners),
        *check_routes(state.routes, state.pools),
        *check_pools(state.pools),
        *check_limits(state.rate_limits, state.routes),
        *check_scaling(state.scaling),
        *_unknown_listeners(state),
    )


def check_routes(routes: Sequence[Route], pools: Sequence[BackendPool]) -> Iterator[Problem]:
    """Faults of the routes, given the pools they may name."""
    yield from duplicates("routes", "id", routes, lambda route: route.route_id)
    pool_names = frozenset(str(pool.name) for pool in pools)
    for index, route in enumerate(routes):
        yield from _check_route(route, f"routes[{index}]", pool_names)
    index_of = {route.route_id: index for index, route in enumerate(routes)}
    for first, second in ambiguous_pairs(routes):
        yield Problem(
            f"routes[{index_of[second.route_id]}].priority",
            f'"{second.route_id}" overlaps "{first.route_id}" and both have priority {first.priority}; '
            "give one of them a higher priority or a narrower match",
        )


def check_pools(pools: Sequence[BackendPool]) -> Iterator[Problem]:
    """Faults of the backend pools."""
    yield from duplicates("pools", "name", pools, lambda pool: pool.name)
    for index, pool in enumerate(pools):
        path = f"pools[{index}]"
        yield from check_name(pool.name, f"{path}.name")
        yield from check_name(pool.version, f"{path}.version")
        yield from check_wait(pool.connect_timeout, f"{path}.connect_timeout")
        yield from duplicates(
            f"{path}.endpoints", "address", pool.endpoints, lambda endpoint: endpoint.address
        )
        for number, endpoint in enumerate(pool.endpoints):
            where = f"{path}.endpoints[{number}]"
            yield from check_address(endpoint.address, f"{where}.address")
            if not 1 <= endpoint.weight <= 100:
                yield Problem(f"{where}.weight", f"{endpoint.weight} is not between 1 and 100")
        if pool.health_check is not None:
            yield from _check_health_check(pool.health_check, f"{path}.health_check")


def check_limits(limits: Sequence[RateLimit], routes: Sequence[Route]) -> Iterator[Problem]:
    """Faults of the rate limits, given the routes they may name."""
    yield from duplicates("rate_limits", "id", limits, lambda limit: limit.limit_id)
    yield from duplicates("rate_limits", "target", limits, lambda limit: limit.target)
    route_ids = frozenset(str(route.route_id) for route in routes)
    for index, limit in enumerate(limits):
        yield from check_limit(limit, route_ids, f"rate_limits[{index}]")


def check_limit(limit: RateLimit, route_ids: Container[str], path: str) -> Iterator[Problem]:
    """Faults of one rate limit."""
    yield from check_name(limit.limit_id, f"{path}.id")
    if limit.target != EVERYTHING and limit.target not in route_ids:
        yield Problem(f"{path}.target", f'no route "{limit.target}"; name a route id, or "*" for every route')
    rates = {
        "requests_per_second": limit.per_second,
        "requests_per_minute": limit.per_minute,
        "requests_per_hour": limit.per_hour,
        "burst_size": limit.burst,
    }
    for name, rate in rates.items():
        if not 0 <= rate <= 2**32 - 1:
            yield Problem(f"{path}.{name}", f"{rate} is not between 0 and {2**32 - 1}")
    if not any((limit.per_second, limit.per_minute, limit.per_hour)):
        yield Problem(
            path, "gives no rate: set requests_per_second, requests_per_minute or requests_per_hour"
        )
    if limit.burst and not limit.per_second:
        yield Problem(f"{path}.burst_size", "goes with requests_per_second, which is not set")


def check_scaling(configs: Sequence[ScalingConfig]) -> Iterator[Problem]:
    """Faults of the numbers of instances."""
    yield from duplicates("scaling", "module", configs, lambda config: config.module_type)
    for index, config in enumerate(configs):
        yield from config.faults(f"scaling[{index}]")


def check_listeners(listeners: Sequence[Listener]) -> Iterator[Problem]:
    """Faults of the NLB's listeners."""
    yield from duplicates("listeners", "name", listeners, lambda listener: listener.name)
    yield from duplicates("listeners", "address", listeners, _socket)
    for index, listener in enumerate(listeners):
        path = f"listeners[{index}]"
        yield from check_name(listener.name, f"{path}.name")
        if not 1 <= listener.port <= 65535:
            yield Problem(f"{path}.address", f"port {listener.port} is not between 1 and 65535")
        if ip_address(listener.host) is None:
            yield Problem(
                f"{path}.address", f'"{listener.host}" is not an IP address; use 0.0.0.0 for every IPv4 one'
            )
        yield from check_version_weights(listener.version_weights, f"{path}.version_weights")
        yield from check_duration(listener.idle_timeout, f"{path}.idle_timeout")
        yield from _check_data_plane(listener, path)


def _check_data_plane(listener: Listener, path: str) -> Iterator[Problem]:
    if listener.data_plane is DataPlaneKind.ENVOY and listener.over_udp:
        yield Problem(
            f"{path}.data_plane",
            f'"{listener.protocol.value}" travels over UDP, which only the kernel forwards',
        )
    if listener.data_plane is DataPlaneKind.KERNEL:
        yield from kernel_limits(listener, path)


def check_version_weights(weights: Sequence[VersionWeight], path: str) -> Iterator[Problem]:
    """Faults of a split between versions; no split at all is sound."""
    yield from duplicates(path, "version", weights, lambda item: item.version)
    for item in weights:
        yield from check_name(item.version, f"{path}.{item.version}")
    yield from check_shares([(f"{path}.{item.version}", item.weight) for item in weights], path)


def _check_route(route: Route, path: str, pool_names: frozenset[str]) -> Iterator[Problem]:
    yield from check_name(route.route_id, f"{path}.id")
    yield from _check_match(route.match, path)
    if not -(2**31) <= route.priority < 2**31:
        yield Problem(f"{path}.priority", f"{route.priority} is not between {-(2**31)} and {2**31 - 1}")
    yield from check_duration(route.timeout, f"{path}.timeout")
    yield from check_duration(route.idle_timeout, f"{path}.idle_timeout")
    for name, port in (("source_port", route.source_port), ("destination_port", route.destination_port)):
        if not 0 <= port <= 65535:
            yield Problem(f"{path}.{name}", f"{port} is not between 0 and 65535")
    for number, source in enumerate(route.sources):
        if not is_network(source):
            yield Problem(f"{path}.sources[{number}]", f'"{source}" is not an IP network such as 10.0.0.0/8')
    yield from _check_retry(route, f"{path}.retry")
    for number, backend in enumerate(route.backends):
        if backend.pool not in pool_names:
            yield Problem(f"{path}.backends[{number}].pool", f'no pool "{backend.pool}"{known(pool_names)}')
    yield from duplicates(f"{path}.backends", "pool", route.backends, lambda backend: backend.pool)
    shares = [
        (f"{path}.backends[{number}].weight", backend.weight) for number, backend in enumerate(route.backends)
    ]
    yield from check_shares(shares, f"{path}.backends")


def _check_match(match: RouteMatch, path: str) -> Iterator[Problem]:
    yield from _check_path(match.path, f"{path}.path")
    for number, host in enumerate(match.hosts):
        if not HOST.fullmatch(host):
            yield Problem(f"{path}.hosts[{number}]", f'"{host}" is neither a host name nor *.a.host.name')
    for number, method in enumerate(match.methods):
        if not _METHOD.fullmatch(method):
            yield Problem(f"{path}.methods[{number}]", f'"{method}" is not a method in upper case')
    for number, header in enumerate(match.headers):
        where = f"{path}.headers[{number}]"
        if not _TOKEN.fullmatch(header.name):
            yield Problem(f"{where}.name", f'"{header.name}" is not a header name')
        if header.kind is HeaderKind.REGEX:
            yield from check_regex(header.value, f"{where}.regex")
        if header.kind is HeaderKind.PRESENT and header.value:
            yield Problem(f"{where}.present", "compares no value")


def _check_path(match: PathMatch, path: str) -> Iterator[Problem]:
    if match.kind is PathKind.REGEX:
        yield from check_regex(match.value, path)
    elif not match.value.startswith("/"):
        yield Problem(path, f'"{match.value}" does not begin with /')
    elif set(match.value) & set("?#"):
        yield Problem(path, f'"{match.value}": a path ends before its query string')


def _check_retry(route: Route, path: str) -> Iterator[Problem]:
    if not 0 <= route.retry.attempts <= 10:
        yield Problem(f"{path}.attempts", f"{route.retry.attempts} is not between 0 and 10")
    yield from check_duration(route.retry.per_try_timeout, f"{path}.per_try_timeout")
    for number, condition in enumerate(route.retry.on):
        if condition not in RETRY_CONDITIONS:
            yield Problem(f"{path}.on[{number}]", f'unknown condition "{condition}"{known(RETRY_CONDITIONS)}')


def _check_health_check(check: HealthCheck, path: str) -> Iterator[Problem]:
    for name, seconds in (("interval", check.interval), ("timeout", check.timeout)):
        yield from check_wait(seconds, f"{path}.{name}")
    for name, count in (
        ("unhealthy_threshold", check.unhealthy_threshold),
        ("healthy_threshold", check.healthy_threshold),
    ):
        if not 1 <= count <= _LARGEST_THRESHOLD:
            yield Problem(f"{path}.{name}", f"{count} is not between 1 and {_LARGEST_THRESHOLD}")
    if check.path and not check.path.startswith("/"):
        yield Problem(f"{path}.path", f'"{check.path}" does not begin with /')
    if not 0 <= check.port <= 65535:
        yield Problem(f"{path}.port", f"{check.port} is not between 0 and 65535")


def _socket(listener: Listener) -> Hashable:
    """What a listener binds; TCP and UDP ports are different ones."""
    return (listener.protocol in {Protocol.UDP, Protocol.HTTP3}, listener.host, listener.port)


def _unknown_listeners(state: DesiredState) -> Iterator[Problem]:
    names = frozenset(listener.name for listener in state.listeners)
    for index, route in enumerate(state.routes):
        for number, name in enumerate(route.listeners):
            if name not in names:
                yield Problem(f"routes[{index}].listeners[{number}]", f'no listener "{name}"{known(names)}')
