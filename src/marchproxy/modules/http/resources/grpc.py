"""Routes and pools for gRPC clients that balance by themselves (`xds:///name`): the same choices, without a proxy.

A gRPC library understands a part of what Envoy does, and refuses resources that ask for more, so these are built apart. It
knows POST and HTTP/2 only; balances round robin, by weight; keeps no rate limits and makes no health checks; retries what never
reached a server by itself.
https://github.com/grpc/grpc/blob/master/doc/grpc_xds_features.md
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2
from envoy.config.core.v3 import base_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.config.listener.v3 import api_listener_pb2, listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from google.protobuf import wrappers_pb2

from marchproxy.engines.envoy.matching import route_match, virtual_hosts
from marchproxy.engines.envoy.messages import duration, over_ads, pack, socket_address
from marchproxy.engines.envoy.xds.resource import Resource
from marchproxy.engines.envoy.xds.snapshot import Draft
from marchproxy.model.module import Protocol
from marchproxy.model.pool import BackendPool, Discovery, Endpoint
from marchproxy.model.route import PathKind, Route
from marchproxy.modules.http.resources.clusters import build_endpoints, cluster_name
from marchproxy.modules.http.resources.endpoints import split_address

_OVER_HTTP2 = frozenset({Protocol.GRPC, Protocol.HTTP2})
_UNLIMITED = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Target:
    """What a client may dial as `xds:///name`, and the routes that its calls go by."""

    name: str
    routes: tuple[Route, ...]


def in_reach_of_grpc(routes: Iterable[Route], pools: Iterable[BackendPool]) -> list[Route]:
    """The routes that a gRPC client can follow: they take POST, and lead to HTTP/2 pools that it can resolve."""
    able = {pool.name for pool in pools if _reachable(pool)}
    return [
        route
        for route in routes
        if route.backends
        and _asks_no_more_than_grpc_does(route)
        and (not route.match.methods or "POST" in route.match.methods)
        and all(backend.pool in able for backend in route.backends)
    ]


def _asks_no_more_than_grpc_does(route: Route) -> bool:
    """Whether nothing of the route would be lost that guards or changes a call."""
    plain = replace(
        Route(route.route_id),
        match=route.match,
        backends=route.backends,
        priority=route.priority,
        protocol=route.protocol,
        module_type=route.module_type,
        timeout=route.timeout,
        idle_timeout=route.idle_timeout,
        retry=route.retry,
        listeners=route.listeners,
        upgrades=route.upgrades,
        metadata=route.metadata,
    )
    return route == plain and not route.match.query and route.match.path.kind is not PathKind.TEMPLATE


def build_grpc(targets: Sequence[Target], pools: Iterable[BackendPool]) -> Draft:
    """The draft of these targets. Their routes are such as `in_reach_of_grpc` gave."""
    needed = {backend.pool for target in targets for route in target.routes for backend in route.backends}
    messages: list[Any] = []
    for pool in pools:
        if pool.name in needed:
            messages += _pool(pool)
    for target in targets:
        messages += [_listener(target.name), _configuration(target)]
    return Draft(tuple(Resource.of(message) for message in messages))


def _reachable(pool: BackendPool) -> bool:
    # LOGICAL_DNS, the one way in which gRPC resolves names, takes a single name
    if pool.protocol not in _OVER_HTTP2 or pool.tls is not None or pool.discovery != Discovery():
        return False
    return build_endpoints(pool) is not None or len(pool.endpoints) == 1


def _listener(name: str) -> Any:
    manager = hcm_pb2.HttpConnectionManager(
        rds=hcm_pb2.Rds(route_config_name=name, config_source=over_ads()),
        http_filters=[
            hcm_pb2.HttpFilter(name="envoy.filters.http.router", typed_config=pack(router_pb2.Router()))
        ],
    )
    return listener_pb2.Listener(
        name=name, api_listener=api_listener_pb2.ApiListener(api_listener=pack(manager))
    )


def _configuration(target: Target) -> Any:
    messages = {route.route_id: (_route(route),) for route in target.routes}
    # every call is a POST, and gRPC has no header `:method` to compare
    routes = [replace(route, match=replace(route.match, methods=())) for route in target.routes]
    return route_pb2.RouteConfiguration(name=target.name, virtual_hosts=virtual_hosts(routes, messages))


def _route(route: Route) -> Any:
    action = route_components_pb2.RouteAction()
    if route.timeout:
        action.max_stream_duration.max_stream_duration.CopyFrom(duration(route.timeout))
    for backend in route.backends:
        action.weighted_clusters.clusters.add(
            name=cluster_name(backend.pool), weight=wrappers_pb2.UInt32Value(value=backend.weight)
        )
    match = route_match(replace(route.match, methods=()))
    if prefix := match.path_separated_prefix:
        match.safe_regex.regex = f"{re.escape(prefix)}(/.*)?"
    return route_components_pb2.Route(name=route.route_id, match=match, route=action)


def _pool(pool: BackendPool) -> Iterator[Any]:
    name = cluster_name(pool.name)
    cluster = cluster_pb2.Cluster(
        name=name,
        lb_policy=cluster_pb2.Cluster.ROUND_ROBIN,
        # without a number gRPC fails the calls of a cluster beyond 1,024 at once
        circuit_breakers=circuit_breaker_pb2.CircuitBreakers(
            thresholds=[
                circuit_breaker_pb2.CircuitBreakers.Thresholds(
                    max_requests=wrappers_pb2.UInt32Value(value=_UNLIMITED)
                )
            ]
        ),
    )
    assignment = endpoint_pb2.ClusterLoadAssignment(cluster_name=name, endpoints=_localities(pool.endpoints))
    if build_endpoints(pool) is None:
        cluster.type = cluster_pb2.Cluster.LOGICAL_DNS
        cluster.load_assignment.CopyFrom(assignment)
        yield cluster
        return
    cluster.type = cluster_pb2.Cluster.EDS
    cluster.eds_cluster_config.eds_config.CopyFrom(over_ads())
    yield cluster
    yield assignment


def _localities(endpoints: Iterable[Endpoint]) -> Iterator[Any]:
    """One locality for each weight: gRPC's round robin heeds the weights of localities, not those of endpoints."""
    by_weight: dict[int, list[Endpoint]] = defaultdict(list)
    for endpoint in endpoints:
        by_weight[endpoint.weight].append(endpoint)
    for weight, alike in sorted(by_weight.items()):
        yield endpoint_components_pb2.LocalityLbEndpoints(
            locality=base_pb2.Locality(sub_zone=f"weight-{weight}"),
            load_balancing_weight=wrappers_pb2.UInt32Value(value=weight * len(alike)),
            lb_endpoints=[
                endpoint_components_pb2.LbEndpoint(
                    endpoint=endpoint_components_pb2.Endpoint(
                        address=socket_address(*split_address(one.address))
                    )
                )
                for one in alike
            ],
        )
