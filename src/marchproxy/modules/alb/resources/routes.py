"""Routes as Envoy's route configuration: what a request must look like, and what becomes of it.

https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/route/v3/route_components.proto
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from envoy.config.route.v3 import route_pb2 as configuration_pb2

from marchproxy.engines.envoy.matching import virtual_hosts
from marchproxy.model.limit import EVERYTHING, RateLimit
from marchproxy.model.module import PoolName
from marchproxy.model.route import Route, RouteId
from marchproxy.modules.alb.credentials import Credentials
from marchproxy.modules.alb.resources.authentication import authentication_config
from marchproxy.modules.alb.resources.filters import grpc_web
from marchproxy.modules.alb.resources.limits import Scope, limit_configs
from marchproxy.modules.alb.resources.parts import parts


@dataclass(frozen=True, slots=True)
class _Built:
    """What a route's messages were made of, and the messages."""

    route: Route
    limits: tuple[RateLimit, ...]
    ways: tuple[Credentials, ...]
    grpc: bool
    messages: tuple[Any, ...]


class RouteTable:
    """Builds route configurations, and remembers each route's messages: a change of one of 1,000 costs one."""

    def __init__(self, name: str) -> None:
        """`name`: of the route configuration."""
        self._name = name
        self._built: dict[RouteId, _Built] = {}

    def build(
        self,
        routes: Sequence[Route],
        limits: Iterable[RateLimit],
        credentials: Mapping[str, Credentials],
        grpc_pools: Collection[PoolName],
    ) -> Any:
        """The route configuration. KeyError: a route names a way to authenticate without credentials."""
        by_target: dict[str, tuple[RateLimit, ...]] = {}
        for limit in limits:
            by_target[limit.target] = (*by_target.get(limit.target, ()), limit)
        messages = self._messages(routes, by_target, credentials, grpc_pools)
        configuration = configuration_pb2.RouteConfiguration(
            name=self._name, ignore_port_in_host_matching=True
        )
        configuration.virtual_hosts.extend(virtual_hosts(routes, messages))
        everything = limit_configs(by_target.get(EVERYTHING, ()), Scope.EVERYTHING)
        for filter_name, config in everything.items():
            configuration.typed_per_filter_config[filter_name].CopyFrom(config)
        return configuration

    def _messages(
        self,
        routes: Iterable[Route],
        limits: Mapping[str, tuple[RateLimit, ...]],
        credentials: Mapping[str, Credentials],
        grpc_pools: Collection[PoolName],
    ) -> dict[RouteId, tuple[Any, ...]]:
        kept: dict[RouteId, _Built] = {}
        for route in routes:
            own = limits.get(route.route_id, ())
            ways = tuple([credentials[name] for name in route.authentication])
            grpc = any(backend.pool in grpc_pools for backend in route.backends)
            built = self._built.get(route.route_id)
            # values are frozen and a change keeps what it does not touch, so identity tells what is new
            if (
                built is None
                or built.route is not route
                or (built.limits, built.ways, built.grpc) != (own, ways, grpc)
            ):
                built = _Built(route, own, ways, grpc, build_route(route, own, ways, grpc=grpc))
            kept[route.route_id] = built
        self._built = kept
        return {route_id: built.messages for route_id, built in kept.items()}


def build_route(
    route: Route, limits: Iterable[RateLimit], ways: Sequence[Credentials], *, grpc: bool
) -> tuple[Any, ...]:
    """The messages of one route, in the order in which Envoy tries them. `grpc`: a pool of it speaks gRPC."""
    filters = {**limit_configs(limits, Scope.ROUTE), **authentication_config(ways)}
    return tuple(parts(route, {**filters, **grpc_web()} if grpc else filters))
