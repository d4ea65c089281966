"""Build: a desired state and a module's listeners as a draft for Envoy."""

from collections.abc import Iterable, Mapping, Sequence

from marchproxy.engines.envoy.xds.resource import Resource
from marchproxy.engines.envoy.xds.snapshot import Draft
from marchproxy.kit.settings import HostPort
from marchproxy.model.module import HTTP_FAMILY, ModuleType, Protocol
from marchproxy.model.route import Route
from marchproxy.model.state import DesiredState
from marchproxy.modules.http.credentials import Credentials
from marchproxy.modules.http.extension import NOTHING_ADDED, Extension
from marchproxy.modules.http.resources.balance import hashed_pools, hashing_pools
from marchproxy.modules.http.resources.fleet import build_fleet
from marchproxy.modules.http.resources.limits import LimitTable
from marchproxy.modules.http.resources.listener import build_listener
from marchproxy.modules.http.resources.listener_spec import ListenerSpec
from marchproxy.modules.http.resources.observing import collectors
from marchproxy.modules.http.resources.pools import NOTHING_FOUND, PoolFindings, PoolTable
from marchproxy.modules.http.resources.routes import Around, RouteTable, by_target
from marchproxy.modules.http.resources.tokens import TokenTable

ROUTE_CONFIGURATION = "routes"
_OWN_PROTOCOLS = tuple(
    HTTP_FAMILY
)  # asked of every route at every change: an enum's hash takes longer than this


class Builder:
    """Builds drafts. Resources of values that did not change are built once."""

    def __init__(
        self,
        listeners: Sequence[ListenerSpec],
        *,
        workers: int = 1,
        resolvers: Sequence[HostPort] = (),
        route_configuration: str = ROUTE_CONFIGURATION,
        fleet: str = "",
        extension: Extension = NOTHING_ADDED,
    ) -> None:
        """`workers`: Envoy's threads. `resolvers`: whom it asks for host names; none: whom the system asks.

        `route_configuration`: what the listeners' routes are called. `fleet`: the local cluster of Envoy's bootstrap, among
        whose members limits are divided; none: they are not. `extension`: what the module adds, and whose routes it serves.
        """
        self._module = extension.module
        self._listeners = tuple(
            Resource.of(
                build_listener(listener, route_configuration, shared_port=workers > 1, extension=extension)
            )
            for listener in listeners
        )
        self._collectors = tuple(map(Resource.of, collectors(listeners)))
        self._extension = extension
        self._added = tuple(extension.resources())
        self._routes = RouteTable(route_configuration, extension)
        self._pools = PoolTable(resolvers, extension)
        self._limits = LimitTable(divided=bool(fleet))
        self._fleet = fleet
        self._tokens = TokenTable()

    @property
    def listeners(self) -> tuple[Resource, ...]:
        """The listeners of every draft."""
        return self._listeners

    def build(
        self,
        state: DesiredState,
        credentials: Mapping[str, Credentials] | None = None,
        findings: PoolFindings = NOTHING_FOUND,
    ) -> Draft:
        """The draft of a checked state; `credentials` by the name of each of its ways to authenticate.

        Raises KeyError for a way or a pool with TLS of which nothing was read.
        """
        own = own_routes(state.routes, self._module)
        grpc_pools = frozenset(pool.name for pool in state.pools if pool.protocol is Protocol.GRPC)
        hashed = hashed_pools(own)
        around = Around(
            by_target(state.rate_limits),
            credentials or {},
            grpc_pools,
            hashing_pools(state.pools, hashed),
            self._extension.marked(state.pools),
        )
        pools = self._pools.build(state.pools, hashed, findings)
        limits = self._limits.build(state.rate_limits, findings.instances)
        known = credentials or {}
        tokens = self._tokens.build(known, {route.authentication for route in own})
        fleet = (Resource.of(build_fleet(self._fleet, findings.instances)),) if self._fleet else ()
        routes = self._routes.build(own, around)
        once = (*self._collectors, *self._added, *fleet, *findings.secrets, tokens)
        return Draft((*pools, *once, *limits, *self._listeners, routes))


def own_routes(routes: Iterable[Route], module: ModuleType) -> list[Route]:
    """The routes that a module serves: HTTP, and meant for it; see `is_own`."""
    return [route for route in routes if is_own(route, module)]


def is_own(route: Route, module: ModuleType) -> bool:
    """Whether a module serves this route: it is HTTP, and names it, or is of the kind that only it serves."""
    return route.protocol in _OWN_PROTOCOLS and (route.only_for or ModuleType.ALB) is module
