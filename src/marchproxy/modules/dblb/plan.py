"""Plan: which clients a DBLB takes, who they must show that they are, and which servers are behind. Pure.

Made once for each desired state, by the process that is asked for it and by every worker, from the same values.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from marchproxy.model.database import DATABASE_PROTOCOLS, DatabasePool, DatabaseRoute
from marchproxy.model.glob import is_meant
from marchproxy.model.http import Authentication, AuthenticationKind
from marchproxy.model.limit import RateLimit, limits_on
from marchproxy.model.module import ModuleType, PoolName, Protocol
from marchproxy.model.network import is_among
from marchproxy.model.pool import BackendPool
from marchproxy.model.problem import Problem
from marchproxy.model.route import Route, RouteId
from marchproxy.model.sessions import precision
from marchproxy.model.state import DesiredState
from marchproxy.modules.dblb.userlist import UserlistFault, read_userlist

#: The contents of files by path; a text says why one cannot be read.
Files = Mapping[str, bytes | str]


@dataclass(frozen=True, slots=True)
class Who:
    """A client, as far as it has said who it is. `port`: where it connected; of an NLB's client, the NLB's port."""

    user: str = ""
    database: str = ""
    application: str = ""
    address: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True)
class Upstream:
    """A pool of servers, and the passwords of users towards them."""

    pool: BackendPool
    options: DatabasePool = DatabasePool()
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> PoolName:
        """The pool's name."""
        return self.pool.name


@dataclass(frozen=True, slots=True)
class Way:
    """A way to show who one is; `secrets` by user for a userlist, as they stand there."""

    authentication: Authentication
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The way's name."""
        return self.authentication.name


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """A route and all that it names. `backends`: upstreams and their shares in percent, of which some may be 0."""

    route: Route
    options: DatabaseRoute = DatabaseRoute()
    backends: tuple[tuple[Upstream, int], ...] = ()
    ways: tuple[Way, ...] = ()
    limits: tuple[RateLimit, ...] = ()
    """Those on the route, and those on everything."""

    @property
    def route_id(self) -> RouteId:
        """The route's id."""
        return self.route.route_id

    @property
    def writes(self) -> Upstream | None:
        """The upstream that takes writes, where only one does."""
        return next((item for item, _ in self.backends if item.name == self.options.writes), None)

    def takes(self, who: Who) -> bool:
        """Whether the client is one of the route's; its user and database count as given, empty ones too."""
        options = self.options
        pairs = (
            (who.database, options.databases),
            (who.user, options.users),
            (who.application, options.applications),
        )
        if not all(is_meant(name, patterns) for name, patterns in pairs):
            return False
        route = self.route
        if route.destination_port and who.port != route.destination_port:
            return False
        return not route.sources or is_among(route.sources, who.address)

    @property
    def certificates(self) -> frozenset[str]:
        """The names of those of its ways for which a client's certificate is enough."""
        return frozenset(
            way.name for way in self.ways if way.authentication.kind is AuthenticationKind.CERTIFICATE
        )

    def secret(self, user: str) -> str | None:
        """What its userlists say of a user; None: nothing."""
        return next((way.secrets[user] for way in self.ways if user in way.secrets), None)

    def lets_in(self, proofs: AbstractSet[str]) -> bool:
        """Whether a client may come in that has shown who it is by the ways of these names."""
        return not self.ways or any(way.name in proofs for way in self.ways)

    @property
    def precision(self) -> tuple[int, int]:
        """What goes first among routes that take a client."""
        return precision(self.route)


@dataclass(frozen=True, slots=True)
class DblbPlan:
    """The routes of each protocol, the most precise first, and all upstreams by name."""

    routes: Mapping[Protocol, tuple[RoutePlan, ...]] = field(default_factory=dict)
    upstreams: Mapping[PoolName, Upstream] = field(default_factory=dict)

    def route(self, protocol: Protocol, who: Who) -> RoutePlan | None:
        """The route that takes a client; None: none does."""
        return next((route for route in self.routes.get(protocol, ()) if route.takes(who)), None)

    def of(self, protocol: Protocol) -> tuple[RoutePlan, ...]:
        """The routes of a protocol."""
        return self.routes.get(protocol, ())

    def upstreams_of(self, protocol: Protocol) -> dict[PoolName, Upstream]:
        """Those where sessions of a protocol go, by name."""
        return {up.name: up for route in self.of(protocol) for up, _ in route.backends}


def is_own(route: Route) -> bool:
    """Whether the route is a DBLB's."""
    return route.protocol in DATABASE_PROTOCOLS and route.module_type in {None, ModuleType.DBLB}


def files_of(state: DesiredState) -> frozenset[str]:
    """The userlists that `compile_plan` wants the contents of."""
    own = [route for route in state.routes if is_own(route)]
    ways = {name for route in own for name in route.authentication}
    lists = {
        way.file
        for way in state.authentication
        if way.name in ways and way.kind is AuthenticationKind.USERLIST
    }
    pools = _pools_of(own, state)
    return frozenset(
        lists
        | {
            pool.database.users
            for pool in state.pools
            if pool.name in pools and pool.database and pool.database.users
        }
    )


def compile_plan(state: DesiredState, files: Files) -> tuple[DblbPlan, tuple[Problem, ...]]:
    """The plan of a sound state, and what is wrong with its files; a route with a fault is in the plan as far as it goes."""
    problems: list[Problem] = []
    own = [route for route in state.routes if is_own(route)]
    wanted = _pools_of(own, state)
    upstreams: dict[PoolName, Upstream] = {}
    for index, pool in enumerate(state.pools):
        if pool.name in wanted:
            options = pool.database or DatabasePool()
            passwords = _userlist(options.users, files, f"pools[{index}].database.users", problems)
            upstreams[pool.name] = Upstream(pool, options, passwords)
    ways: dict[str, Way] = {}
    for index, way in enumerate(state.authentication):
        if way.kind is AuthenticationKind.USERLIST and any(way.name in route.authentication for route in own):
            ways[way.name] = Way(way, _userlist(way.file, files, f"authentication[{index}].file", problems))
        else:
            ways[way.name] = Way(way)
    routes: dict[Protocol, list[RoutePlan]] = {}
    for route in own:
        planned = RoutePlan(
            route,
            route.database or DatabaseRoute(),
            tuple((upstreams[ref.pool], ref.weight) for ref in route.backends if ref.pool in upstreams),
            tuple(ways[name] for name in route.authentication if name in ways),
            tuple(limits_on(route.route_id, state.rate_limits)),
        )
        routes.setdefault(route.protocol, []).append(planned)
    ordered = {
        protocol: tuple(sorted(found, key=lambda one: one.precision, reverse=True))
        for protocol, found in routes.items()
    }
    return DblbPlan(ordered, upstreams), tuple(problems)


def _pools_of(own: Sequence[Route], state: DesiredState) -> frozenset[str]:
    """Where sessions go, and where users are looked up."""
    ways = {name for route in own for name in route.authentication}
    asked = {way.pool for way in state.authentication if way.name in ways and way.pool}
    copied = {mirror.pool for route in own for mirror in route.mirrors}
    return frozenset(asked | copied | {ref.pool for route in own for ref in route.backends})


def _userlist(path: str, files: Files, where: str, problems: list[Problem]) -> Mapping[str, str]:
    if not path:
        return {}
    content = files.get(path, "was not read")
    if isinstance(content, str):
        problems.append(Problem(where, f"{path}: {content}"))
        return {}
    try:
        return read_userlist(content)
    except UserlistFault as fault:
        problems.append(Problem(where, f"{path}: {fault}"))
        return {}
