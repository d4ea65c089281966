"""Plan: which streams the module takes, who may publish and play them, and which origins are behind. Pure.

Made once for each desired state, by the process that is asked for it and by every worker, from the same values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from marchproxy.model.http import Authentication, AuthenticationKind
from marchproxy.model.limit import RateLimit, limits_on
from marchproxy.model.module import ModuleType, PoolName, Protocol
from marchproxy.model.pool import BackendPool
from marchproxy.model.problem import Problem
from marchproxy.model.route import Route, RouteId
from marchproxy.model.rtmp import RtmpPool, RtmpRoute
from marchproxy.model.state import DesiredState
from marchproxy.model.streams import StreamKey, precision, takes
from marchproxy.modules.rtmp.policy.signing import read_secret
from marchproxy.modules.rtmp.policy.stream_keys import StreamKeys, read_stream_keys

#: The contents of files by path; a text says why one cannot be read.
Files = Mapping[str, bytes | str]


@dataclass(frozen=True, slots=True)
class Who:
    """A client and the stream that it wants. `port`: where it connected; of an NLB's client, the NLB's port."""

    key: StreamKey
    address: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True)
class Upstream:
    """A pool of origins."""

    pool: BackendPool
    options: RtmpPool = RtmpPool()

    @property
    def name(self) -> PoolName:
        """The pool's name."""
        return self.pool.name


@dataclass(frozen=True, slots=True)
class Way:
    """A way to show that one may publish or play; `secret` is what tokens are signed with, `keys` those of its file."""

    authentication: Authentication
    secret: bytes = field(default=b"", repr=False)
    keys: StreamKeys = field(default=StreamKeys(), repr=False, hash=False)

    @property
    def name(self) -> str:
        """The way's name."""
        return self.authentication.name


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """A route and all that it names. `backends`: upstreams and their shares in percent, of which some may be 0; none: the
    module is the origin itself."""

    route: Route
    options: RtmpRoute = RtmpRoute()
    backends: tuple[tuple[Upstream, int], ...] = ()
    publish: tuple[Way, ...] = ()
    play: tuple[Way, ...] = ()
    limits: tuple[RateLimit, ...] = ()
    """Those on the route, and those of connections on everything."""

    @property
    def route_id(self) -> RouteId:
        """The route's id."""
        return self.route.route_id

    @property
    def is_origin(self) -> bool:
        """Whether streams stay here."""
        return not self.backends

    def takes(self, who: Who) -> bool:
        """Whether the stream and its client are the route's."""
        return takes(self.route, who.key, who.address, who.port)

    def known_as(self, key: StreamKey) -> StreamKey:
        """The key by which a stream of this route is kept: hosts tell streams apart only where the route names hosts, for
        publishers and viewers seldom use the same one."""
        return key if self.options.vhosts else replace(key, vhost="")

    @property
    def precision(self) -> tuple[int, int]:
        """What goes first among routes that take a stream."""
        return precision(self.route)


@dataclass(frozen=True, slots=True)
class RtmpPlan:
    """The routes, the most precise first, and all upstreams by name."""

    routes: tuple[RoutePlan, ...] = ()
    upstreams: Mapping[PoolName, Upstream] = field(default_factory=dict)

    def route(self, who: Who) -> RoutePlan | None:
        """The route that takes a stream; None: none does."""
        return next((route for route in self.routes if route.takes(who)), None)


def is_own(route: Route) -> bool:
    """Whether the route is an RTMP module's."""
    return route.protocol is Protocol.RTMP and route.module_type in {None, ModuleType.RTMP}


def files_of(state: DesiredState) -> frozenset[str]:
    """The files that `compile_plan` wants the contents of."""
    ways = {name for route in state.routes if is_own(route) for name in ways_of(route)}
    return frozenset(way.file for way in state.authentication if way.name in ways and way.file)


def compile_plan(state: DesiredState, files: Files) -> tuple[RtmpPlan, tuple[Problem, ...]]:
    """The plan of a sound state, and what is wrong with its files; a route with a fault is in the plan as far as it goes."""
    problems: list[Problem] = []
    own = [route for route in state.routes if is_own(route)]
    wanted = {ref.pool for route in own for ref in route.backends}
    upstreams = {
        pool.name: Upstream(pool, pool.rtmp or RtmpPool()) for pool in state.pools if pool.name in wanted
    }
    named = {name for route in own for name in ways_of(route)}
    ways: dict[str, Way] = {}
    for index, way in enumerate(state.authentication):
        if way.name in named:
            ways[way.name] = _way(way, files, f"authentication[{index}].file", problems)
    planned = (_route_plan(route, upstreams, ways, state.rate_limits) for route in own)
    ordered = sorted(planned, key=lambda one: one.precision, reverse=True)
    return RtmpPlan(tuple(ordered), upstreams), tuple(problems)


def _route_plan(
    route: Route,
    upstreams: Mapping[PoolName, Upstream],
    ways: Mapping[str, Way],
    limits: Sequence[RateLimit],
) -> RoutePlan:
    options = route.rtmp or RtmpRoute()
    return RoutePlan(
        route,
        options,
        tuple((upstreams[ref.pool], ref.weight) for ref in route.backends if ref.pool in upstreams),
        tuple(ways[name] for name in options.publish if name in ways),
        tuple(ways[name] for name in options.play if name in ways),
        tuple(limit for limit in limits_on(route.route_id, limits) if limit.of_connections),
    )


def ways_of(route: Route) -> tuple[str, ...]:
    """The names of the ways to authenticate that a route has."""
    options = route.rtmp or RtmpRoute()
    return (*options.publish, *options.play)


def _way(way: Authentication, files: Files, where: str, problems: list[Problem]) -> Way:
    """Nobody can show anything by a way whose file has a fault."""
    if not way.file:
        return Way(way)
    content = files.get(way.file, "was not read")
    if isinstance(content, str):
        problems.append(Problem(where, f"{way.file}: {content}"))
        return Way(way)
    try:
        if way.kind is AuthenticationKind.STREAM_KEYS:
            return Way(way, keys=read_stream_keys(content))
        return Way(way, read_secret(content))
    except ValueError as error:
        problems.append(Problem(where, f"{way.file}: {error}"))
        return Way(way)
