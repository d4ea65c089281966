"""Build: a desired state and the ALB's listeners as a draft for Envoy."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from marchproxy.engines.envoy.xds.resource import Resource
from marchproxy.engines.envoy.xds.snapshot import Draft
from marchproxy.model.module import HTTP_FAMILY, ModuleType, PoolName
from marchproxy.model.pool import BackendPool
from marchproxy.model.route import Route
from marchproxy.model.state import DesiredState
from marchproxy.modules.alb.credentials import Credentials
from marchproxy.modules.alb.resources.balance import hashed_pools
from marchproxy.modules.alb.resources.clusters import build_cluster, build_endpoints
from marchproxy.modules.alb.resources.listener import ListenerSpec, build_listener
from marchproxy.modules.alb.resources.routes import RouteTable

ROUTE_CONFIGURATION = "routes"


class Builder:
    """Builds drafts. Resources of values that did not change are built once."""

    def __init__(self, listeners: Sequence[ListenerSpec], *, workers: int = 1) -> None:
        """`workers`: Envoy's threads."""
        self._listeners = tuple(
            Resource.of(build_listener(listener, ROUTE_CONFIGURATION, shared_port=workers > 1))
            for listener in listeners
        )
        self._routes = RouteTable()
        self._pools: dict[tuple[int, bool], tuple[BackendPool, tuple[Resource, ...]]] = {}

    def build(self, state: DesiredState, credentials: Mapping[str, Credentials] | None = None) -> Draft:
        """The draft of a checked state; `credentials` by the name of each of its ways to authenticate."""
        own = own_routes(state.routes)
        routes = self._routes.build(ROUTE_CONFIGURATION, own, state.rate_limits, credentials or {})
        pools = self._pool_resources(state.pools, hashed_pools(own))
        return Draft((*pools, *self._listeners, Resource.of(routes)))

    def _pool_resources(
        self, pools: Iterable[BackendPool], hashed: Collection[PoolName]
    ) -> Iterator[Resource]:
        kept: dict[tuple[int, bool], tuple[BackendPool, tuple[Resource, ...]]] = {}
        for pool in pools:
            key = (id(pool), pool.name in hashed)
            kept[key] = self._pools.get(key) or (pool, tuple(_resources(pool, hashed=key[1])))
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


def _resources(pool: BackendPool, *, hashed: bool) -> Iterator[Resource]:
    yield Resource.of(build_cluster(pool, hashed=hashed))
    endpoints = build_endpoints(pool)
    if endpoints is not None:
        yield Resource.of(endpoints)
