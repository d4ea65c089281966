"""Routes as Envoy's route configuration: what a request must look like, and what becomes of it.

A change of one of 5,000 routes builds and serialises that one; the others' bytes are joined to it (ADR 0020).
https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/route/v3/route_components.proto
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from envoy.config.route.v3 import route_components_pb2
from envoy.config.route.v3 import route_pb2 as configuration_pb2

from marchproxy.engines.envoy.joining import route_configuration, routes_field, virtual_host_field
from marchproxy.engines.envoy.matching import covering
from marchproxy.engines.envoy.xds.kinds import ResourceType
from marchproxy.engines.envoy.xds.references import references_of
from marchproxy.engines.envoy.xds.resource import Resource, RouteParts
from marchproxy.model.limit import EVERYTHING, RateLimit
from marchproxy.model.matching import Rank, best_pattern, rank
from marchproxy.model.module import PoolName
from marchproxy.model.route import Route, RouteId
from marchproxy.modules.http.credentials import Credentials
from marchproxy.modules.http.extension import NOTHING_ADDED, Extension
from marchproxy.modules.http.resources.actions import COMMON_RETRY, retry_policy
from marchproxy.modules.http.resources.authentication import authentication_cases
from marchproxy.modules.http.resources.filters import grpc_web
from marchproxy.modules.http.resources.limits import limits_turned_on, mark_limits
from marchproxy.modules.http.resources.parts import parts

_COMMON_RETRY = retry_policy(COMMON_RETRY)
_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Around:
    """What routes depend on beside themselves. `grpc` and `hashing` are the pools that speak gRPC, or choose by a hash.

    `marked`: those that make a difference to what the module adds.
    """

    limits: Mapping[str, tuple[RateLimit, ...]] = field(default_factory=dict)
    credentials: Mapping[str, Credentials] = field(default_factory=dict)
    grpc: Collection[PoolName] = ()
    hashing: Collection[PoolName] = ()
    marked: frozenset[PoolName] = frozenset()

    def of(self, route: Route) -> "Needs":
        """What of it concerns one route. KeyError: a way to authenticate without credentials."""
        return (
            self.limits.get(route.route_id, ()),
            tuple([self.credentials[name] for name in route.authentication]),
            bool(self.grpc) and any(backend.pool in self.grpc for backend in route.backends),
            bool(self.hashing) and any(backend.pool in self.hashing for backend in route.backends),
            bool(self.marked) and not self.marked.isdisjoint(route.pools),
        )


def by_target(limits: Iterable[RateLimit]) -> Mapping[str, tuple[RateLimit, ...]]:
    """The limits of each route, and those on everything."""
    found: dict[str, tuple[RateLimit, ...]] = {}
    for limit in limits:
        if not limit.counts_http:
            continue
        found[limit.target] = (*found.get(limit.target, ()), limit)
    return found


# limits, ways to authenticate, whether a pool speaks gRPC, whether a pool or a session asks for a hash, whether one is marked
Needs = tuple[tuple[RateLimit, ...], tuple[Credentials, ...], bool, bool, bool]


@dataclass(frozen=True, slots=True, eq=False)
class _Built:
    """What a route's bytes were made of, the bytes, and what is asked of the route at every change of another."""

    route: Route
    needs: Needs
    parts: tuple[bytes, ...]
    content: bytes
    clusters: frozenset[str]
    patterns: tuple[str, ...]
    ranks: dict[str, Rank] = field(default_factory=dict)

    def rank(self, host: str) -> Rank:
        single = len(self.patterns) == 1
        pattern = self.patterns[0] if single else best_pattern(self.patterns, host) or host
        found = self.ranks.get(pattern)
        if found is None:
            found = self.ranks[pattern] = rank(self.route, pattern)
        return found


@dataclass(frozen=True, slots=True)
class _Host:
    """A virtual host's bytes, also without routes, and the routes that it was made of in the order in which they came."""

    routes: Sequence[_Built]
    frame: bytes
    content: bytes


class RouteTable:
    """Builds route configurations, and remembers the bytes of each route and each virtual host."""

    def __init__(self, name: str, extension: Extension = NOTHING_ADDED) -> None:
        """`name`: of the route configuration."""
        self._name = name
        self._extension = extension
        self._built: dict[RouteId, _Built] = {}
        self._hosts: dict[str, _Host] = {}

    def build(self, routes: Sequence[Route], around: Around) -> Resource:
        """The route configuration. KeyError: a route names a way to authenticate without credentials."""
        self._built = {route.route_id: self._one(route, around.of(route)) for route in routes}
        self._hosts = dict(self._virtual_hosts())
        rest = configuration_pb2.RouteConfiguration(name=self._name, ignore_port_in_host_matching=True)
        everything = limits_turned_on(around.limits.get(EVERYTHING, ()))
        for filter_name, config in everything.items():
            rest.typed_per_filter_config[filter_name].CopyFrom(config)
        return Resource.of_bytes(
            ResourceType.ROUTE,
            self._name,
            route_configuration(rest, (host.content for host in self._hosts.values())),
            {ResourceType.CLUSTER: _NOTHING.union(*{built.clusters for built in self._built.values()})},
            parts=RouteParts(
                route_configuration(rest, (host.frame for host in self._hosts.values())),
                tuple(chain.from_iterable(built.parts for built in self._built.values())),
            ),
        )

    def _one(self, route: Route, needs: Needs) -> _Built:
        built = self._built.get(route.route_id)
        # values are frozen and a change keeps what it does not touch, so identity tells what is new
        if built is None or built.route is not route or built.needs != needs:
            return _build(route, needs, self._extension)
        return built

    def _virtual_hosts(self) -> Iterator[tuple[str, _Host]]:
        by_pattern: dict[str, list[_Built]] = {}
        for built in self._built.values():
            for pattern in built.patterns:
                by_pattern.setdefault(pattern, []).append(built)
        for pattern in sorted(by_pattern):
            routes = _covering(pattern, by_pattern)
            host = self._hosts.get(pattern)
            if host is None or host.routes != routes:
                host = _host(pattern, routes)
            yield pattern, host


def _covering(pattern: str, by_pattern: Mapping[str, Sequence[_Built]]) -> Sequence[_Built]:
    """The routes of a virtual host, each once. Of most patterns there are no wider ones."""
    wider = [by_pattern[one] for one in covering(pattern) if one in by_pattern]
    if len(wider) == 1:
        return wider[0]
    return list(dict.fromkeys(built for routes in wider for built in routes))


def _host(pattern: str, routes: Sequence[_Built]) -> _Host:
    rest = route_components_pb2.VirtualHost(name=pattern, domains=[pattern], retry_policy=_COMMON_RETRY)
    in_order = sorted(routes, key=lambda built: built.rank(pattern))
    content = virtual_host_field(rest, (built.content for built in in_order))
    return _Host(routes, virtual_host_field(rest, ()), content)


def _build(route: Route, needs: Needs, extension: Extension) -> _Built:
    messages = build_route(route, needs, extension)
    alone = configuration_pb2.RouteConfiguration()
    alone.virtual_hosts.add(routes=messages)
    return _Built(
        route,
        needs,
        tuple(message.SerializeToString(deterministic=True) for message in messages),
        routes_field(messages),
        references_of(ResourceType.ROUTE, alone).get(ResourceType.CLUSTER, _NOTHING),
        tuple(dict.fromkeys(host.lower() for host in route.match.hosts)) or ("*",),
    )


def build_route(route: Route, needs: Needs, extension: Extension = NOTHING_ADDED) -> Sequence[Any]:
    """The messages of one route, in the order in which Envoy tries them."""
    limits, ways, grpc, hashed, marked = needs
    common = {**limits_turned_on(limits), **(grpc_web() if grpc else {})}
    messages: list[Any] = []
    for presented, judging in authentication_cases(ways):
        for message in parts(route, {**common, **judging}, hashed=hashed):
            if presented is not None:
                message.match.headers.append(presented)
            extension.extend_route(message, route, marked=marked)
            mark_limits(message, limits)
            messages.append(message)
    return messages
