"""Checks of rate limits: their rates, and what they count."""

from collections.abc import Container, Hashable, Iterable, Iterator, Sequence

from marchproxy.model.checks.headers import is_token
from marchproxy.model.checks.session_limits import Takes, check_sessions, taken_by
from marchproxy.model.keeping import limit_obstacles
from marchproxy.model.limit import NLB_SCOPES, PER_OF_DATABASES, LimitScope, RateLimit
from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.module import ModuleType
from marchproxy.model.planes import able_planes
from marchproxy.model.problem import Problem
from marchproxy.model.route import Route
from marchproxy.model.rules import check_name, duplicates, known
from marchproxy.model.sharing import Port, share

_TYPES = frozenset(kind.value for kind in ModuleType)


def check_limits(
    limits: Sequence[RateLimit], routes: Sequence[Route], listeners: Sequence[Listener]
) -> Iterator[Problem]:
    """Faults of the rate limits, given the routes and listeners they may name."""
    yield from duplicates("rate_limits", "id", limits, lambda limit: limit.limit_id)
    yield from duplicates("rate_limits", "target", limits, _identity)
    takes = {str(route.route_id): taken_by(route) for route in routes}
    everything = frozenset(takes.values())
    names = frozenset(listener.name for listener in listeners)
    ports = [port for port in share(listeners) if able_planes(port) == (DataPlaneKind.ENVOY,)]
    for index, limit in enumerate(limits):
        path = f"rate_limits[{index}]"
        yield from check_limit(limit, takes, path)
        if limit.scope is LimitScope.EVERYTHING:
            yield from check_sessions(limit, everything, path)
        else:
            yield from check_sessions(limit, {takes.get(limit.target, Takes.REQUESTS)}, path)
        if limit.scope is LimitScope.LISTENER and limit.subject not in names:
            yield Problem(f"{path}.target", f'no listener "{limit.subject}"{known(names)}')
        if limit.scope in NLB_SCOPES and limit.enabled:
            yield from _check_planes(limit, ports, f"{path}.target")


def check_limit(limit: RateLimit, route_ids: Container[str], path: str) -> Iterator[Problem]:
    """Faults of one rate limit; whether a listener that it names is there is `check_limits`' to say."""
    yield from check_name(limit.limit_id, f"{path}.id")
    yield from _check_target(limit, route_ids, f"{path}.target")
    yield from _check_per(limit, f"{path}.per")
    if not limit.shared and limit.scope in NLB_SCOPES:
        yield Problem(f"{path}.shared", 'is for limits on routes and on "*"; an NLB keeps its own by itself')
    rates = {
        "requests_per_second": limit.per_second,
        "requests_per_minute": limit.per_minute,
        "requests_per_hour": limit.per_hour,
        "burst_size": limit.burst,
    }
    for name, rate in rates.items():
        if not 0 <= rate <= 2**32 - 1:
            yield Problem(f"{path}.{name}", f"{rate} is not between 0 and {2**32 - 1}")
    if not 0 <= limit.max_concurrent <= 2**32 - 1:
        yield Problem(f"{path}.max_concurrent", f"{limit.max_concurrent} is not between 0 and {2**32 - 1}")
    if not any((limit.per_second, limit.per_minute, limit.per_hour, limit.max_concurrent)):
        yield Problem(
            path, "gives no rate: set requests_per_second, requests_per_minute or requests_per_hour"
        )
    if limit.burst and not limit.per_second:
        yield Problem(f"{path}.burst_size", "goes with requests_per_second, which is not set")


def _check_target(limit: RateLimit, route_ids: Container[str], path: str) -> Iterator[Problem]:
    match limit.scope:
        case LimitScope.ROUTE if limit.target not in route_ids:
            yield Problem(
                path,
                f'no route "{limit.target}"; name a route id, "*" for every route, '
                "listener:NAME, module:TYPE, source:CIDR or client:CIDR",
            )
        case LimitScope.MODULE if limit.subject not in _TYPES:
            yield Problem(path, f'no module type "{limit.subject}"{known(_TYPES)}')
        case LimitScope.SOURCE | LimitScope.CLIENT if limit.network is None:
            yield Problem(path, f'"{limit.subject}" is not an IP network such as 10.0.0.0/8')
        case _:
            return


def _check_per(limit: RateLimit, path: str) -> Iterator[Problem]:
    if not limit.per:
        return
    word, _, name = limit.per.partition(":")
    if limit.scope not in {LimitScope.EVERYTHING, LimitScope.ROUTE}:
        yield Problem(
            path, 'is for limits on routes and on "*"; for connections there is client:CIDR as target'
        )
    elif limit.per not in {"client", *PER_OF_DATABASES} and not (word == "header" and is_token(name)):
        yield Problem(
            path, f'"{limit.per}" is neither client nor header:NAME, nor user, database or application'
        )


def _check_planes(limit: RateLimit, ports: Iterable[Port], path: str) -> Iterator[Problem]:
    """Faults of a limit at ports that only Envoy can carry; the other data planes keep them all."""
    for port in ports:
        for obstacle in limit_obstacles(DataPlaneKind.ENVOY, [limit], port):
            yield Problem(path, obstacle)
            return  # once is enough: one remedy may serve all ports


def _identity(limit: RateLimit) -> Hashable:
    return (limit.scope, limit.network or limit.subject, limit.per.lower(), limit.counts)
