"""Routes as Envoy's route configuration: what a request must look like, and what becomes of it.

https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/route/v3/route_components.proto
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from envoy.config.route.v3 import route_pb2 as configuration_pb2
from google.protobuf import any_pb2

from marchproxy.engines.envoy.matching import virtual_hosts
from marchproxy.model.limit import EVERYTHING, RateLimit
from marchproxy.model.route import Route, RouteId
from marchproxy.modules.alb.credentials import Credentials
from marchproxy.modules.alb.resources.authentication import authentication_config
from marchproxy.modules.alb.resources.limits import Scope, limit_configs
from marchproxy.modules.alb.resources.parts import parts


@dataclass(frozen=True, slots=True)
class _Built:
    """What a route's messages were made of, and the messages."""

    route: Route
    limit: RateLimit | None
    ways: tuple[Credentials, ...]
    messages: tuple[Any, ...]


class RouteTable:
    """Builds route configurations, and remembers each route's messages: a change of one of 1,000 costs one."""

    def __init__(self) -> None:
        self._built: dict[RouteId, _Built] = {}

    def build(
        self,
        name: str,
        routes: Sequence[Route],
        limits: Iterable[RateLimit],
        credentials: Mapping[str, Credentials],
    ) -> Any:
        """The route configuration `name`. KeyError: a route names a way to authenticate without credentials."""
        by_target = {limit.target: limit for limit in limits}
        messages = self._messages(routes, by_target, credentials)
        configuration = configuration_pb2.RouteConfiguration(name=name, ignore_port_in_host_matching=True)
        configuration.virtual_hosts.extend(virtual_hosts(routes, messages))
        if (everything := by_target.get(EVERYTHING)) is not None:
            _set_all(configuration.typed_per_filter_config, limit_configs(everything, Scope.EVERYTHING))
        return configuration

    def _messages(
        self,
        routes: Iterable[Route],
        limits: Mapping[str, RateLimit],
        credentials: Mapping[str, Credentials],
    ) -> dict[RouteId, tuple[Any, ...]]:
        kept: dict[RouteId, _Built] = {}
        for route in routes:
            limit = limits.get(route.route_id)
            ways = tuple([credentials[name] for name in route.authentication])
            built = self._built.get(route.route_id)
            # values are frozen and a change keeps what it does not touch, so identity tells what is new
            if built is None or built.route is not route or built.limit is not limit or built.ways != ways:
                built = _Built(route, limit, ways, build_route(route, limit, ways))
            kept[route.route_id] = built
        self._built = kept
        return {route_id: built.messages for route_id, built in kept.items()}


def build_route(
    route: Route, limit: RateLimit | None = None, ways: Sequence[Credentials] = ()
) -> tuple[Any, ...]:
    """The messages of one route, in the order in which Envoy tries them."""
    limits = {} if limit is None else limit_configs(limit, Scope.ROUTE)
    return tuple(parts(route, {**limits, **authentication_config(ways)}))


def _set_all(field: Any, configs: Mapping[str, any_pb2.Any]) -> None:
    for name, config in configs.items():
        field[name].CopyFrom(config)
