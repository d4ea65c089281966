"""Pieces: a snapshot taken apart into what Envoy can judge by itself, so that only what is new has to be judged.

A route configuration is its routes, each one a piece, and its frame: hosts and settings without routes. No I/O.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2

from marchproxy.engines.envoy.validation.plain import without_places, without_weights
from marchproxy.engines.envoy.xds.kinds import ResourceType
from marchproxy.engines.envoy.xds.resource import Resource
from marchproxy.engines.envoy.xds.snapshot import Snapshot

_WHOLE = frozenset({ResourceType.CLUSTER, ResourceType.LISTENER, ResourceType.SECRET, ResourceType.EXTENSION})


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
    """Takes snapshots apart. Remembers the routes of the last one: of 5,000, only those that changed are looked at."""

    def __init__(self) -> None:
        self._plain: dict[tuple[str, tuple[bytes, ...]], dict[bytes, Piece]] = {}

    def of(self, snapshot: Snapshot) -> Iterator[Piece]:
        """Every piece, in the order in which Envoy would be given them."""
        kept: dict[tuple[str, tuple[bytes, ...]], dict[bytes, Piece]] = {}
        for resource in snapshot:
            if resource.type in _WHOLE:
                yield _whole(resource)
            elif resource.type is ResourceType.ENDPOINT:
                yield _endpoints(resource)
            elif resource.type is ResourceType.ROUTE:
                beside = http_filters(snapshot, resource.name)
                key = (resource.name, beside)
                configuration = route_pb2.RouteConfiguration.FromString(resource.body.value)
                kept[key] = self._routes(configuration, beside, self._plain.get(key, {}))
                yield from dict.fromkeys(kept[key].values())
                yield _frame(configuration, beside)
        self._plain = kept

    def _routes(
        self, configuration: Any, beside: tuple[bytes, ...], known: dict[bytes, Piece]
    ) -> dict[bytes, Piece]:
        """The pieces of a configuration's routes by their bytes. A route that several hosts repeat is one."""
        found: dict[bytes, Piece] = {}
        for host in configuration.virtual_hosts:
            for route in host.routes:
                content = route.SerializeToString(deterministic=True)
                if content not in found:
                    found[content] = known.get(content) or _route(content, configuration.name, beside)
        return found


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


def _whole(resource: Resource) -> Piece:
    return Piece(
        resource.type, resource.name, _digest(resource.type, resource.body.value), resource.body.value
    )


def _endpoints(resource: Resource) -> Piece:
    assignment = endpoint_pb2.ClusterLoadAssignment.FromString(resource.body.value)
    body = without_places(assignment).SerializeToString(deterministic=True)
    return Piece(resource.type, resource.name, _digest(resource.type, body), body)


def _route(content: bytes, configuration: str, beside: tuple[bytes, ...]) -> Piece:
    route = without_weights(route_components_pb2.Route.FromString(content))
    body = route.SerializeToString(deterministic=True)
    digest = _digest(ResourceType.ROUTE, b"route", body, *beside)
    return Piece(ResourceType.ROUTE, configuration, digest, body, route.name, is_route=True, beside=beside)


def _frame(configuration: Any, beside: tuple[bytes, ...]) -> Piece:
    """The configuration without its routes, which it loses here."""
    for host in configuration.virtual_hosts:
        host.ClearField("routes")
    body = configuration.SerializeToString(deterministic=True)
    digest = _digest(ResourceType.ROUTE, b"frame", body, *beside)
    return Piece(ResourceType.ROUTE, configuration.name, digest, body, beside=beside)


def _digest(kind: ResourceType, *contents: bytes) -> bytes:
    digest = hashlib.blake2b(kind.value.encode(), digest_size=16)
    for content in contents:
        digest.update(len(content).to_bytes(8))
        digest.update(content)
    return digest.digest()
