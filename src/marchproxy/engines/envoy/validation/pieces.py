"""Pieces: a snapshot taken apart into what Envoy can judge by itself, so that only what is new has to be judged.

A route configuration is its routes, each one a piece, and its frame: hosts and settings without routes. No I/O.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from envoy.config.core.v3 import extension_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2

from marchproxy.engines.envoy.validation.plain import without_amounts, without_places, without_texts
from marchproxy.engines.envoy.xds.kinds import ResourceType
from marchproxy.engines.envoy.xds.resource import Resource, RouteParts
from marchproxy.engines.envoy.xds.snapshot import Snapshot

_WHOLE = frozenset({ResourceType.CLUSTER, ResourceType.LISTENER, ResourceType.SECRET, ResourceType.EXTENSION})

# a route configuration's name, and the serialised HttpFilters of the listener that serves it
_Served = tuple[str, tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class Piece:
    """One thing to judge: the resource `name` of a type, or in it the route `part`. `digest` tells what was judged.

    `beside` are serialised HttpFilters: those of the listener that serves a route.
    """

    type: ResourceType
    name: str
    digest: bytes
    body: bytes = field(compare=False, repr=False)
    part: str = field(default="", compare=False)
    is_route: bool = field(default=False, compare=False)
    beside: tuple[bytes, ...] = field(default=(), compare=False, repr=False)


class Pieces:
    """Takes snapshots apart. Remembers the pieces of the last one: of 5,000, only those that changed are looked at."""

    def __init__(self) -> None:
        self._routes: dict[_Served, dict[bytes, Piece]] = {}
        self._others: dict[tuple[ResourceType, str, str], Piece] = {}

    def of(self, snapshot: Snapshot) -> Iterator[Piece]:
        """Every piece, in the order in which Envoy would be given them."""
        others, self._others = self._others, {}
        routes, self._routes = self._routes, {}
        for resource in snapshot:
            if resource.type is ResourceType.ROUTE:
                served = (resource.name, http_filters(snapshot, resource.name))
                parts = resource.parts or taken_apart(resource.body.value)
                known = routes.get(served, {})
                # a route that several hosts repeat is one
                found = {content: known.get(content) or _route(content, served) for content in parts.routes}
                self._routes[served] = found
                yield from found.values()
                yield _frame(parts.frame, served)
            elif resource.type is ResourceType.ENDPOINT or resource.type in _WHOLE:
                key = (resource.type, resource.name, resource.content)
                self._others[key] = piece = others.get(key) or _other(resource)
                yield piece


def taken_apart(configuration: bytes) -> RouteParts:
    """The parts of a serialised route configuration."""
    message = route_pb2.RouteConfiguration.FromString(configuration)
    routes = [
        route.SerializeToString(deterministic=True) for host in message.virtual_hosts for route in host.routes
    ]
    for host in message.virtual_hosts:
        host.ClearField("routes")
    return RouteParts(message.SerializeToString(deterministic=True), tuple(dict.fromkeys(routes)))


def http_filters(snapshot: Snapshot, routes: str) -> tuple[bytes, ...]:
    """The filters of the first listener that serves the route configuration of that name."""
    for resource in snapshot.of(ResourceType.LISTENER).values():
        if routes in resource.references.get(ResourceType.ROUTE, ()):
            for manager in managers(listener_pb2.Listener.FromString(resource.body.value)):
                if manager.rds.route_config_name == routes:
                    return tuple(one.SerializeToString(deterministic=True) for one in manager.http_filters)
    return ()


def managers(listener: Any) -> Iterator[Any]:
    """The HTTP connection managers of a listener."""
    for chain in (*listener.filter_chains, listener.default_filter_chain):
        for network_filter in chain.filters:
            if network_filter.typed_config.Is(hcm_pb2.HttpConnectionManager.DESCRIPTOR):
                yield hcm_pb2.HttpConnectionManager.FromString(network_filter.typed_config.value)


def _other(resource: Resource) -> Piece:
    body = resource.body.value
    if resource.type is ResourceType.ENDPOINT:
        assignment = endpoint_pb2.ClusterLoadAssignment.FromString(body)
        body = without_places(assignment).SerializeToString(deterministic=True)
    elif resource.type is ResourceType.EXTENSION:
        extension = without_amounts(extension_pb2.TypedExtensionConfig.FromString(body))
        digest = _digest(resource.type, extension.SerializeToString(deterministic=True))
        return Piece(resource.type, resource.name, digest, body)
    return Piece(resource.type, resource.name, _digest(resource.type, body), body)


def _route(content: bytes, served: _Served) -> Piece:
    configuration, beside = served
    route = route_components_pb2.Route.FromString(content)
    name = route.name
    digest = _digest(
        ResourceType.ROUTE, b"route", without_texts(route).SerializeToString(deterministic=True), *beside
    )
    return Piece(ResourceType.ROUTE, configuration, digest, content, name, is_route=True, beside=beside)


def _frame(body: bytes, served: _Served) -> Piece:
    """The configuration without its routes."""
    name, beside = served
    digest = _digest(ResourceType.ROUTE, b"frame", body, *beside)
    return Piece(ResourceType.ROUTE, name, digest, body, beside=beside)


def _digest(kind: ResourceType, *contents: bytes) -> bytes:
    digest = hashlib.blake2b(kind.value.encode(), digest_size=16)
    for content in contents:
        digest.update(len(content).to_bytes(8))
        digest.update(content)
    return digest.digest()
