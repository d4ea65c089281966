"""Routes. A condition goes into the field that the oldest clients read, wherever that field can hold it."""

from collections.abc import Iterable, Sequence
from typing import Any

from marchproxy.contract.convert.ai import ai_route_to_pb, read_ai_route
from marchproxy.contract.convert.conditions import (
    header_from_pb,
    header_to_pb,
    parameter_to_pb,
    path_to_pb,
    plain_headers,
    read_parameter,
    read_path,
)
from marchproxy.contract.convert.database import database_route_to_pb, read_database_route
from marchproxy.contract.convert.enums import MODULE_TYPES, PROTOCOLS
from marchproxy.contract.convert.faults import Faults, read_all, read_one
from marchproxy.contract.convert.http import (
    cors_to_pb,
    edits_from_pb,
    edits_to_pb,
    mirrors_from_pb,
    mirrors_to_pb,
    read_cors,
    read_sticky,
    redirect_from_pb,
    redirect_to_pb,
    response_from_pb,
    response_to_pb,
    rewrite_from_pb,
    rewrite_to_pb,
    sticky_to_pb,
)
from marchproxy.contract.convert.rtmp import read_rtmp_route, rtmp_route_to_pb
from marchproxy.contract.convert.times import read_seconds, seconds_to_pb
from marchproxy.contract.pb import types_pb2
from marchproxy.model.module import PoolName, Protocol
from marchproxy.model.route import (
    BackendRef,
    HeaderKind,
    HeaderMatch,
    RetryPolicy,
    Route,
    RouteId,
    RouteMatch,
)

_ANY = ("", "*")
_UPGRADES = Route(route_id=RouteId("")).upgrades


def route_to_pb(route: Route) -> types_pb2.Route:
    """The message. Raises InvalidValue for times that no Duration holds."""
    match = route.match
    plain = plain_headers(match.headers)
    host, hosts = _first_and_rest(match.hosts)
    source, sources = _first_and_rest(route.sources)
    pattern, path_match = path_to_pb(match.path)
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
        header_matches=[header_to_pb(header) for header in match.headers[len(plain) :]],
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
        **_features_to_pb(route),
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
        **_read_features(pb, path, faults),
    )


def _read_match(pb: types_pb2.Route, path: str, faults: Faults) -> RouteMatch:
    plain = [HeaderMatch(name, HeaderKind.EXACT, value) for name, value in sorted(pb.headers.items())]
    return RouteMatch(
        hosts=_joined(pb.destination_pattern, pb.hosts),
        path=read_path(pb, path, faults),
        methods=tuple(pb.methods),
        headers=(*plain, *(header_from_pb(item) for item in pb.header_matches)),
        query=tuple(
            read_parameter(item, f"{path}.query[{index}]", faults) for index, item in enumerate(pb.query)
        ),
    )


def _features_to_pb(route: Route) -> dict[str, Any]:
    """The fields of the message for what a route does beside forwarding."""
    return {
        "query": [parameter_to_pb(parameter) for parameter in route.match.query],
        "rewrite": None if route.rewrite is None else rewrite_to_pb(route.rewrite),
        "redirect": None if route.redirect is None else redirect_to_pb(route.redirect),
        "response": None if route.response is None else response_to_pb(route.response),
        "request_headers": edits_to_pb(route.request_headers),
        "response_headers": edits_to_pb(route.response_headers),
        "mirrors": mirrors_to_pb(route.mirrors),
        "cors": None if route.cors is None else cors_to_pb(route.cors),
        "sticky": None if route.sticky is None else sticky_to_pb(route.sticky),
        "allow": route.allow,
        "deny": route.deny,
        "max_request_bytes": route.max_request_bytes,
        "compression": route.compression,
        "authentication": route.authentication,
        "upgrades": None if route.upgrades == _UPGRADES else types_pb2.Upgrades(protocols=route.upgrades),
        "database": None if route.database is None else database_route_to_pb(route.database),
        "ai": None if route.ai is None else ai_route_to_pb(route.ai),
        "rtmp": None if route.rtmp is None else rtmp_route_to_pb(route.rtmp),
    }


def _read_features(pb: types_pb2.Route, path: str, faults: Faults) -> dict[str, Any]:
    return {
        "rewrite": rewrite_from_pb(pb.rewrite) if pb.HasField("rewrite") else None,
        "redirect": redirect_from_pb(pb.redirect) if pb.HasField("redirect") else None,
        "response": response_from_pb(pb.response) if pb.HasField("response") else None,
        "request_headers": edits_from_pb(pb.request_headers),
        "response_headers": edits_from_pb(pb.response_headers),
        "mirrors": mirrors_from_pb(pb.mirrors),
        "cors": read_cors(pb.cors, f"{path}.cors", faults) if pb.HasField("cors") else None,
        "sticky": read_sticky(pb.sticky, f"{path}.sticky", faults) if pb.HasField("sticky") else None,
        "allow": tuple(pb.allow),
        "deny": tuple(pb.deny),
        "max_request_bytes": pb.max_request_bytes,
        "compression": pb.compression,
        "authentication": tuple(pb.authentication),
        "upgrades": tuple(pb.upgrades.protocols) if pb.HasField("upgrades") else _UPGRADES,
        "ai": read_ai_route(pb.ai, f"{path}.ai", faults) if pb.HasField("ai") else None,
        "rtmp": read_rtmp_route(pb.rtmp, f"{path}.rtmp", faults) if pb.HasField("rtmp") else None,
        "database": read_database_route(pb.database, f"{path}.database", faults)
        if pb.HasField("database")
        else None,
    }


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
