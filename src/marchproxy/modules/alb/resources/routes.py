"""Routes as Envoy's route configuration: what a request must look like, and which pools answer it.

https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/route/v3/route_components.proto
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from envoy.config.route.v3 import route_components_pb2 as route_pb2
from envoy.config.route.v3 import route_pb2 as configuration_pb2
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from google.protobuf import any_pb2, wrappers_pb2

from marchproxy.engines.envoy.matching import route_match, virtual_hosts
from marchproxy.engines.envoy.messages import duration
from marchproxy.model.limit import EVERYTHING, RateLimit
from marchproxy.model.route import BackendRef, RetryPolicy, Route, RouteId
from marchproxy.modules.alb.resources.clusters import cluster_name
from marchproxy.modules.alb.resources.limits import Scope, limit_configs

_RETRY_ON = {
    "connect_failure": "connect-failure",
    "refused_stream": "refused-stream",
    "reset_before_request": "reset-before-request",
    "reset": "reset",
    "gateway_error": "gateway-error",
    "5xx": "5xx",
    "retriable_4xx": "retriable-4xx",
}
# A dead endpoint has no requests and so looks like the least busy one: of two, it is drawn three times in four. With
# Envoy's usual 5 draws for a retry, 1 request in 40 would meet nobody else.
_OTHER_HOST_ATTEMPTS = 32


class RouteTable:
    """Builds route configurations, and remembers each route's message: a change of one of 1,000 costs one."""

    def __init__(self) -> None:
        self._built: dict[tuple[int, int], tuple[Route, RateLimit | None, Any]] = {}

    def build(self, name: str, routes: Sequence[Route], limits: Iterable[RateLimit]) -> Any:
        """The route configuration `name` for these routes and limits."""
        by_target = {limit.target: limit for limit in limits}
        messages = self._messages(routes, by_target)
        configuration = configuration_pb2.RouteConfiguration(name=name, ignore_port_in_host_matching=True)
        configuration.virtual_hosts.extend(virtual_hosts(routes, messages))
        if (everything := by_target.get(EVERYTHING)) is not None:
            _set_all(configuration.typed_per_filter_config, limit_configs(everything, Scope.EVERYTHING))
        return configuration

    def _messages(self, routes: Iterable[Route], limits: Mapping[str, RateLimit]) -> dict[RouteId, Any]:
        # values are frozen and a change keeps what it does not touch, so identity tells what is new
        kept: dict[tuple[int, int], tuple[Route, RateLimit | None, Any]] = {}
        messages: dict[RouteId, Any] = {}
        for route in routes:
            limit = limits.get(route.route_id)
            key = (id(route), id(limit))
            kept[key] = self._built.get(key) or (route, limit, build_route(route, limit))
            messages[route.route_id] = kept[key][2]
        self._built = kept
        return messages


def build_route(route: Route, limit: RateLimit | None = None) -> Any:
    """One route."""
    message = route_pb2.Route(
        name=route.route_id,
        stat_prefix=route.route_id,
        match=route_match(route.match),
        route=route_pb2.RouteAction(
            timeout=duration(route.timeout),
            idle_timeout=duration(route.idle_timeout),
            retry_policy=_retry(route.retry),
            hash_policy=[
                route_pb2.RouteAction.HashPolicy(
                    connection_properties=route_pb2.RouteAction.HashPolicy.ConnectionProperties(
                        source_ip=True
                    )
                )
            ],
        ),
    )
    _set_backends(message.route, route.backends)
    if limit is not None:
        _set_all(message.typed_per_filter_config, limit_configs(limit, Scope.ROUTE))
    return message


def _set_backends(action: Any, backends: Sequence[BackendRef]) -> None:
    if len(backends) == 1:
        action.cluster = cluster_name(backends[0].pool)
        return
    for backend in backends:
        action.weighted_clusters.clusters.add(
            name=cluster_name(backend.pool), weight=wrappers_pb2.UInt32Value(value=backend.weight)
        )


def _retry(policy: RetryPolicy) -> Any | None:
    if policy.attempts == 0 or not policy.on:
        return None
    message = route_pb2.RetryPolicy(
        retry_on=",".join(_RETRY_ON[condition] for condition in policy.on),
        num_retries=wrappers_pb2.UInt32Value(value=policy.attempts),
        host_selection_retry_max_attempts=_OTHER_HOST_ATTEMPTS,
    )
    message.retry_host_predicate.add(
        name="envoy.retry_host_predicates.previous_hosts", typed_config=_PREVIOUS_HOSTS
    )
    if policy.per_try_timeout:
        message.per_try_timeout.CopyFrom(duration(policy.per_try_timeout))
    return message


def _set_all(field: Any, configs: Mapping[str, any_pb2.Any]) -> None:
    for name, config in configs.items():
        field[name].CopyFrom(config)


_PREVIOUS_HOSTS = any_pb2.Any()
_PREVIOUS_HOSTS.Pack(previous_hosts_pb2.PreviousHostsPredicate())
