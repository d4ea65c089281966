"""Routes. A condition goes into the field that the oldest clients read, wherever that field can hold it."""

from collections.abc import Iterable, Sequence
from typing import assert_never

from marchproxy.contract.convert.enums import MODULE_TYPES, PATH_KINDS, PROTOCOLS
from marchproxy.contract.convert.faults import Faults, read_all, read_one
from marchproxy.contract.convert.times import read_seconds, seconds_to_pb
from marchproxy.contract.pb import types_pb2
from marchproxy.model.module import PoolName, Protocol
from marchproxy.model.route import (
    BackendRef,
    HeaderKind,
    HeaderMatch,
    PathKind,
    PathMatch,
    RetryPolicy,
    Route,
    RouteId,
    RouteMatch,
)

_ANY = ("", "*")


def route_to_pb(route: Route) -> types_pb2.Route:
    """The message. Raises InvalidValue for times that no Duration holds."""
    match = route.match
    plain = _plain_headers(match.headers)
    host, hosts = _first_and_rest(match.hosts)
    source, sources = _first_and_rest(route.sources)
    pattern, path_match = _path_to_pb(match.path)
    return types_pb2.Route(
        route_id=route.route_id,
        protocol=PROTOCOLS.to_pb(route.protocol),
        source_pattern=source,
        sources=sources,
        destination_pattern=host,
        hosts=hosts,
        source_port=route.source_port,
        destination_port=route.destination_port,
        headers={header.name: header.value for header in plain},
        header_matches=[_header_to_pb(header) for header in match.headers[len(plain) :]],
        path_pattern=pattern,
        path_match=path_match,
        methods=match.methods,
        priority=route.priority,
        metadata=route.metadata,
        module_type=MODULE_TYPES.to_pb(route.module_type),
        backends=[types_pb2.BackendRef(pool=item.pool, weight=item.weight) for item in route.backends],
        timeout=seconds_to_pb(route.timeout),
        idle_timeout=seconds_to_pb(route.idle_timeout),
        retry=_retry_to_pb(route.retry),
        listeners=route.listeners,
    )


def route_from_pb(pb: types_pb2.Route, path: str = "route") -> Route:
    """The route. Raises InvalidValue with every problem of the message; the model's checks come after."""
    return read_one(pb, path, read_route)


def routes_from_pb(pbs: Iterable[types_pb2.Route], path: str = "routes") -> tuple[Route, ...]:
    """The routes. Raises InvalidValue with every problem of every message."""
    return read_all(pbs, path, read_route)


def read_route(pb: types_pb2.Route, path: str, faults: Faults) -> Route:
    """The route as far as it can be read; what is left out has the model's default."""
    if pb.tls.server_names or pb.tls.alpn:
        faults.add(f"{path}.tls", "routes by TLS server name or ALPN are not supported")
    default = Route(route_id=RouteId(""))
    return Route(
        route_id=RouteId(pb.route_id),
        match=_read_match(pb, path, faults),
        backends=_read_backends(pb.backends),
        priority=pb.priority,
        protocol=PROTOCOLS.read(pb.protocol, f"{path}.protocol", faults) or Protocol.HTTP,
        module_type=MODULE_TYPES.read(pb.module_type, f"{path}.module_type", faults),
        timeout=read_seconds(pb.timeout, f"{path}.timeout", faults)
        if pb.HasField("timeout")
        else default.timeout,
        idle_timeout=read_seconds(pb.idle_timeout, f"{path}.idle_timeout", faults)
        if pb.HasField("idle_timeout")
        else default.idle_timeout,
        retry=_read_retry(pb.retry, f"{path}.retry", faults) if pb.HasField("retry") else default.retry,
        listeners=tuple(pb.listeners),
        sources=_joined(pb.source_pattern, pb.sources),
        source_port=pb.source_port,
        destination_port=pb.destination_port,
        metadata=dict(pb.metadata),
    )


def _read_match(pb: types_pb2.Route, path: str, faults: Faults) -> RouteMatch:
    plain = [HeaderMatch(name, HeaderKind.EXACT, value) for name, value in sorted(pb.headers.items())]
    return RouteMatch(
        hosts=_joined(pb.destination_pattern, pb.hosts),
        path=_read_path(pb, path, faults),
        methods=tuple(pb.methods),
        headers=(*plain, *(_read_header(item) for item in pb.header_matches)),
    )


def _path_to_pb(match: PathMatch) -> tuple[str, types_pb2.PathMatchKind.ValueType]:
    short = types_pb2.PATH_MATCH_KIND_UNSPECIFIED
    match match.kind:
        case PathKind.EXACT:
            return f"={match.value}", short
        case PathKind.REGEX:
            return f"~{match.value}", short
        case PathKind.PREFIX:
            is_plain = match.value.startswith("/") and not match.value.endswith("*")
            return match.value, short if is_plain else types_pb2.PATH_MATCH_KIND_PREFIX
    assert_never(match.kind)


def _read_path(pb: types_pb2.Route, path: str, faults: Faults) -> PathMatch:
    pattern = pb.path_pattern
    kind = PATH_KINDS.read(pb.path_match, f"{path}.path_match", faults)
    if kind is not None:
        return PathMatch(kind, pattern) if pattern or kind is not PathKind.PREFIX else PathMatch()
    if pattern.startswith("~"):
        return PathMatch(PathKind.REGEX, pattern[1:])
    if pattern.startswith("="):
        return PathMatch(PathKind.EXACT, pattern[1:])
    if pattern.endswith("*"):
        pattern = pattern[:-1].removesuffix("/")
    return PathMatch(PathKind.PREFIX, pattern or "/")


def _plain_headers(headers: Sequence[HeaderMatch]) -> Sequence[HeaderMatch]:
    """The leading headers that a map can hold without changing their order, which is by name there."""
    count = 0
    for header in headers:
        if header.kind is not HeaderKind.EXACT or header.invert:
            break
        if count and header.name <= headers[count - 1].name:
            break
        count += 1
    return headers[:count]


def _header_to_pb(header: HeaderMatch) -> types_pb2.HeaderMatch:
    pb = types_pb2.HeaderMatch(name=header.name, invert=header.invert)
    match header.kind:
        case HeaderKind.EXACT:
            pb.exact = header.value
        case HeaderKind.PREFIX:
            pb.prefix = header.value
        case HeaderKind.REGEX:
            pb.regex = header.value
        case HeaderKind.PRESENT:
            pb.present = True
        case _:
            assert_never(header.kind)
    return pb


def _read_header(pb: types_pb2.HeaderMatch) -> HeaderMatch:
    match pb.WhichOneof("match"):
        case "exact":
            return HeaderMatch(pb.name, HeaderKind.EXACT, pb.exact, pb.invert)
        case "prefix":
            return HeaderMatch(pb.name, HeaderKind.PREFIX, pb.prefix, pb.invert)
        case "regex":
            return HeaderMatch(pb.name, HeaderKind.REGEX, pb.regex, pb.invert)
        case "present":
            return HeaderMatch(pb.name, HeaderKind.PRESENT, invert=pb.invert is pb.present)
        case None:
            return HeaderMatch(pb.name, HeaderKind.PRESENT, invert=pb.invert)


def _read_backends(pbs: Sequence[types_pb2.BackendRef]) -> tuple[BackendRef, ...]:
    if len(pbs) == 1 and pbs[0].weight == 0:
        return (BackendRef(PoolName(pbs[0].pool), 100),)
    return tuple(BackendRef(PoolName(pb.pool), pb.weight) for pb in pbs)


def _retry_to_pb(retry: RetryPolicy) -> types_pb2.RetryPolicy:
    """No condition means never, which the message says with 0 attempts: there, no condition is the default."""
    return types_pb2.RetryPolicy(
        attempts=retry.attempts if retry.on else 0,
        retry_on=retry.on,
        per_try_timeout=seconds_to_pb(retry.per_try_timeout),
    )


def _read_retry(pb: types_pb2.RetryPolicy, path: str, faults: Faults) -> RetryPolicy:
    return RetryPolicy(
        attempts=pb.attempts,
        on=tuple(pb.retry_on) or RetryPolicy().on,
        per_try_timeout=read_seconds(pb.per_try_timeout, f"{path}.per_try_timeout", faults),
    )


def _first_and_rest(patterns: Sequence[str]) -> tuple[str, Sequence[str]]:
    if not patterns or patterns[0] in _ANY:
        return "", patterns
    return patterns[0], patterns[1:]


def _joined(first: str, rest: Iterable[str]) -> tuple[str, ...]:
    return (*(() if first in _ANY else (first,)), *rest)
