"""Quarantine: what Envoy refused of a document, so that the rest can be served. No I/O.

A route that was refused answers 500 and says so in a header, and so does every route to a pool that was refused. Where
Envoy refuses even what the route matches by, nobody knows which requests are meant: all that the rest of its conditions
leave are answered, but only if no other route takes them, so that no request is lost that a sound document would serve.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from itertools import islice

from marchproxy.model.http import DirectResponse, HeaderEdits
from marchproxy.model.limit import LimitScope
from marchproxy.model.plan import Verdict
from marchproxy.model.problem import Problem
from marchproxy.model.route import HeaderKind, PathKind, PathMatch, RetryPolicy, Route, RouteId, RouteMatch
from marchproxy.model.series import Point
from marchproxy.model.splits import without_targets
from marchproxy.model.state import DesiredState
from marchproxy.modules.base.engine import EngineHealth
from marchproxy.modules.http.blame import Blame, Item, ItemKind

HEADER = "x-marchproxy-quarantined"

_MOST_NAMED = 5
_BEHIND_ALL = -(2**31)
_IN_MATCH = (".path", ".headers[", ".query[")


class Severity(IntEnum):
    """How much of a refused route is left: its match, a wider match behind all other routes, or nothing."""

    ANSWERED = 1
    WIDENED = 2
    DROPPED = 3


@dataclass(frozen=True, slots=True)
class Held:
    """An item that was refused. `content` is all of the document that it was made of: another one is tried again."""

    problem: Problem
    severity: Severity
    content: object = field(repr=False)


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The items of a document that Envoy is not given as they are."""

    held: Mapping[Item, Held] = field(default_factory=dict)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Why, of each."""
        return tuple(held.problem for held in self.held.values())

    def judge(self, health: EngineHealth) -> EngineHealth:
        """The health of what runs without these: degraded, and each of them is named."""
        if not self.held:
            return health
        more = f" and {len(self.held) - _MOST_NAMED} more" if len(self.held) > _MOST_NAMED else ""
        named = [f"{item} ({held.problem.message})" for item, held in islice(self.held.items(), _MOST_NAMED)]
        return health.but("quarantine", f"quarantined: {'; '.join(named)}{more}")

    def explain(self, verdict: Verdict, state: DesiredState) -> Verdict:
        """What is said of a request, where what would answer it is quarantined."""
        route = state.routes_by_id().get(RouteId(verdict.details.get("route_id", ""))) if self.held else None
        if route is None:
            return verdict
        items = [
            Item(ItemKind.ROUTE, route.route_id),
            *(Item(ItemKind.POOL, name) for name in route.answering),
        ]
        words = {str(item): self.held[item].problem.message for item in items if item in self.held}
        if not words:
            return verdict
        told = "; ".join(f"{item} is quarantined ({why})" for item, why in words.items())
        details = {**verdict.details, "quarantined": ", ".join(words)}
        return replace(verdict, reason=f"{verdict.reason}; but {told}", details=details)

    def points(self) -> tuple[Point, ...]:
        """For metrics: how many routes and pools."""
        return tuple(
            Point("quarantined", sum(item.kind is kind for item in self.held), (("kind", kind.value),))
            for kind in ItemKind
        )

    def extended(self, blames: Iterable[Blame], state: DesiredState) -> "Quarantine":
        """With those that are blamed; one that is held already was not held firmly enough. Raises Blameless."""
        grown = dict(self.held)
        for blame in blames:
            item = blame.item
            if item is None:
                raise Blameless(blame.problem)
            before = self.held.get(item)
            if before is not None and before.severity is Severity.DROPPED:
                raise Blameless(blame.problem)
            severity = _first_severity(blame.problem) if before is None else Severity(before.severity + 1)
            problem = blame.problem if before is None else before.problem
            grown[item] = Held(problem, severity, content(item, state))
        return Quarantine(grown)

    def still_meant(self, state: DesiredState) -> "Quarantine":
        """Without those that are other ones in `state`, or gone."""
        return Quarantine(
            {item: held for item, held in self.held.items() if content(item, state) == held.content}
        )

    def applied(self, state: DesiredState) -> DesiredState:
        """`state` as Envoy is given it."""
        if not self.held:
            return state
        pools = {item.name for item in self.held if item.kind is ItemKind.POOL}
        routes = {item.name: held for item, held in self.held.items() if item.kind is ItemKind.ROUTE}
        kept: list[Route] = []
        for route in state.routes:
            held, lost = routes.get(route.route_id), _lost(route, pools)
            if held is not None and held.severity is not Severity.DROPPED:
                kept.append(_answering(route, Item(ItemKind.ROUTE, route.route_id), held.severity))
            elif held is None and lost is not None:
                kept.append(_answering(route, lost, Severity.ANSWERED))
            elif held is None:
                kept.append(_without_pools(route, pools))
        return replace(
            state,
            routes=tuple(kept),
            pools=tuple(pool for pool in state.pools if pool.name not in pools),
            rate_limits=tuple(limit for limit in state.rate_limits if limit.target not in routes),
        )


NOTHING_HELD = Quarantine()


class Blameless(Exception):
    """No single item is at fault, or one that is not even served any more."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def content(item: Item, state: DesiredState) -> object:
    """Everything in `state` that an item is made of; None when it is not there."""
    if item.kind is ItemKind.POOL:
        return next((pool for pool in state.pools if pool.name == item.name), None)
    route = next((route for route in state.routes if route.route_id == item.name), None)
    if route is None:
        return None
    limits = tuple(
        limit
        for limit in state.rate_limits
        if limit.scope is LimitScope.ROUTE and limit.target == route.route_id
    )
    ways = tuple(way for way in state.authentication if way.name in route.authentication)
    return route, limits, ways


def _first_severity(problem: Problem) -> Severity:
    return Severity.WIDENED if any(part in problem.path for part in _IN_MATCH) else Severity.ANSWERED


def _lost(route: Route, pools: set[str]) -> Item | None:
    """The first pool that a route, or one of its models, cannot do without."""
    needed = [backend.pool for backend in route.backends]
    for model in route.ai.models if route.ai is not None else ():
        if all(target.pool in pools for target in model.targets):
            needed += [target.pool for target in model.targets]
    return next((Item(ItemKind.POOL, name) for name in needed if name in pools), None)


def _without_pools(route: Route, pools: set[str]) -> Route:
    """Without copies, and without targets that others can take the place of."""
    if pools.isdisjoint(route.pools):
        return route
    ai = None if route.ai is None else without_targets(route.ai, pools)
    return replace(route, ai=ai, mirrors=tuple(m for m in route.mirrors if m.pool not in pools))


def _answering(route: Route, item: Item, severity: Severity) -> Route:
    """A route in the place of another, which does nothing but answer; whatever else it had may be what was refused."""
    plain = Route(
        route_id=route.route_id,
        match=route.match,
        priority=route.priority,
        protocol=route.protocol,
        module_type=route.module_type,
        retry=RetryPolicy(attempts=0),
        listeners=route.listeners,
        sources=route.sources,
        source_port=route.source_port,
        destination_port=route.destination_port,
        response=DirectResponse(500, f"{item} is quarantined\n"),
        response_headers=HeaderEdits(set=((HEADER, str(item)),)),
        upgrades=(),
    )
    if severity is Severity.ANSWERED:
        return plain
    return replace(plain, match=_widened(route.match), priority=_BEHIND_ALL)


def _widened(match: RouteMatch) -> RouteMatch:
    """Without regular expressions: of a path its literal beginning, of the others nothing."""
    path = match.path
    if path.kind is PathKind.REGEX:
        path = PathMatch(PathKind.PREFIX, literal_beginning(path.value))
    return replace(
        match,
        path=path,
        headers=tuple(header for header in match.headers if header.kind is not HeaderKind.REGEX),
        query=tuple(parameter for parameter in match.query if parameter.kind is not HeaderKind.REGEX),
    )


def literal_beginning(pattern: str) -> str:
    """The segments that every path begins with that a pattern matches, as far as they are plain to see."""
    end = next((at for at, sign in enumerate(pattern) if sign in r".^$*+?{}[]\|()"), len(pattern))
    if "|" in pattern or not pattern.startswith("/"):
        return "/"
    segments = pattern[:end].rpartition("/")[0]
    return segments or "/"
