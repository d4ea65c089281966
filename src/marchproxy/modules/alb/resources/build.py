"""Build: a desired state and the ALB's listeners as a draft for Envoy."""

from collections.abc import Iterable, Iterator, Sequence

from marchproxy.engines.envoy.xds.resource import Resource
from marchproxy.engines.envoy.xds.snapshot import Draft
from marchproxy.model.module import HTTP_FAMILY, ModuleType
from marchproxy.model.pool import BackendPool
from marchproxy.model.route import Route
from marchproxy.model.state import DesiredState
from marchproxy.modules.alb.resources.clusters import build_cluster, build_endpoints
from marchproxy.modules.alb.resources.listener import ListenerSpec, build_listener
from marchproxy.modules.alb.resources.routes import RouteTable

ROUTE_CONFIGURATION = "routes"


class Builder:
    """Builds drafts. Resources of values that did not change are built once."""

    def __init__(
        self,
        listeners: Sequence[ListenerSpec],
        *,
        workers: int = 1,
        route_configuration: str = ROUTE_CONFIGURATION,
    ) -> None:
        """`workers`: Envoy's threads. `route_configuration`: what the listeners' routes are called."""
        self._route_configuration = route_configuration
        self._listeners = tuple(
            Resource.of(build_listener(listener, route_configuration, shared_port=workers > 1))
            for listener in listeners
        )
        self._routes = RouteTable()
        self._pools: dict[int, tuple[BackendPool, tuple[Resource, ...]]] = {}

    def build(self, state: DesiredState) -> Draft:
        """The draft of a checked state."""
        routes = self._routes.build(self._route_configuration, own_routes(state.routes), state.rate_limits)
        return Draft((*self._pool_resources(state.pools), *self._listeners, Resource.of(routes)))

    def _pool_resources(self, pools: Iterable[BackendPool]) -> Iterator[Resource]:
        kept = {id(pool): self._pools.get(id(pool)) or (pool, tuple(_resources(pool))) for pool in pools}
        self._pools = kept
        for _, resources in kept.values():
            yield from resources


def own_routes(routes: Iterable[Route]) -> list[Route]:
    """The routes that the ALB serves: HTTP, and meant for it or for any module."""
    return [
        route
        for route in routes
        if route.protocol in HTTP_FAMILY and route.module_type in {None, ModuleType.ALB}
    ]


def _resources(pool: BackendPool) -> Iterator[Resource]:
    yield Resource.of(build_cluster(pool))
    endpoints = build_endpoints(pool)
    if endpoints is not None:
        yield Resource.of(endpoints)
