"""Routing table: the routes that operators and modules announced, and who stands for each.

A module serves its routes as it runs them, whatever a document once said, and two versions of a module may run different
ones. So every source has its own say, the newest one counts, and only what one source says has to be free of clashes.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from marchproxy.model.checks import check_routes
from marchproxy.model.overlap import near
from marchproxy.model.problem import Problem, RefusalCode, Refused
from marchproxy.model.route import Route, RouteId

#: The source of routes that no instance announced: the configuration, or an operator's UpdateRouting.
OPERATOR = ""
MAX_ROUTES = 10_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One route as each source announced it, the newest announcement last."""

    announced: tuple[tuple[str, Route], ...]
    created_at: datetime

    @property
    def route(self) -> Route:
        """The route as it was announced last."""
        return self.announced[-1][1]

    @property
    def sources(self) -> frozenset[str]:
        """Everybody who stands for it."""
        return frozenset(source for source, _ in self.announced)

    def announced_by(self, source: str) -> Route | None:
        """The route as this source announced it."""
        return next((route for name, route in self.announced if name == source), None)

    def with_announcement(self, source: str, route: Route) -> "Entry":
        """The entry after an announcement; one that repeats what the source said before changes nothing."""
        if self.announced_by(source) == route:
            return self
        return replace(self, announced=(*self._others(source), (source, route)))

    def without(self, source: str) -> "Entry | None":
        """The entry without a source; None when nobody stands for it any more."""
        others = self._others(source)
        if len(others) == len(self.announced):
            return self
        return replace(self, announced=others) if others else None

    def _others(self, source: str) -> tuple[tuple[str, Route], ...]:
        return tuple([pair for pair in self.announced if pair[0] != source])


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """The entries by route id."""

    entries: Mapping[RouteId, Entry] = field(default_factory=dict)

    def routes(self) -> list[Route]:
        """Every route."""
        return [entry.route for entry in self.entries.values()]


@dataclass(frozen=True, slots=True)
class TableUpdate:
    """Routes that one source announces. `replace_all`: and no others from this source."""

    source: str
    routes: tuple[Route, ...]
    replace_all: bool = False


def check_update(table: RoutingTable, update: TableUpdate) -> tuple[Problem, ...]:
    """Every fault that the update would bring: of its routes, and between them and those that its source keeps."""
    if len(update.routes) > MAX_ROUTES:
        return (Problem("routes", f"more than {MAX_ROUTES} routes"),)
    given = {route.route_id for route in update.routes}
    staying = () if update.replace_all else tuple(_rivals(table, update, given))
    # those that stay come first, so that a clash is blamed on the newcomer
    together = (*staying, *update.routes)
    # pools belong to the modules: the NLB cannot know them
    known = [route for entry in table.entries.values() if (route := entry.announced_by(update.source))]
    faults = list(_renumbered(check_routes(together, None, sound=known), len(staying)))
    left = _without(table, update).entries
    if len(left) + sum(route_id not in left for route_id in given) > MAX_ROUTES:
        faults.append(Problem("routes", f"the table would hold more than {MAX_ROUTES} routes"))
    return tuple(faults)


def apply_update(table: RoutingTable, update: TableUpdate, now: datetime) -> tuple[RoutingTable, int]:
    """The table after a sound update, and how many routes were added, replaced or removed."""
    named: dict[RouteId, Entry] = {}
    for route in update.routes:
        old = named.get(route.route_id) or table.entries.get(route.route_id)
        named[route.route_id] = (
            Entry(((update.source, route),), now)
            if old is None
            else old.with_announcement(update.source, route)
        )
    entries = {**_without(table, update).entries, **named}
    # of thousands of entries nearly all are the same objects; only the others are compared
    touched = {key for key, entry in table.entries.items() if entries.get(key) is not entry} | named.keys()
    return RoutingTable(entries), sum(_route(entries, key) != _route(table.entries, key) for key in touched)


def delete_route(table: RoutingTable, route_id: RouteId, source: str) -> RoutingTable:
    """The table without a route. A module takes back only what it announced; an operator removes any. Raises Refused."""
    entry = table.entries.get(route_id)
    if entry is None:
        raise Refused(RefusalCode.NOT_FOUND, f'no route "{route_id}"')
    if source != OPERATOR and source not in entry.sources:
        raise Refused(RefusalCode.PERMISSION_DENIED, f'route "{route_id}" was not announced by "{source}"')
    remaining = None if source == OPERATOR else entry.without(source)
    entries = {key: kept for key, kept in table.entries.items() if key != route_id}
    return RoutingTable(entries if remaining is None else {**entries, route_id: remaining})


def forget_sources(table: RoutingTable, sources: Iterable[str]) -> RoutingTable:
    """The table without what only these sources announced."""
    for source in sources:
        table = _without(table, TableUpdate(source, (), replace_all=True))
    return table


def _without(table: RoutingTable, update: TableUpdate) -> RoutingTable:
    """The table without what the update's source withdraws by not naming it any more."""
    if not update.replace_all:
        return table
    kept = {key: entry.without(update.source) for key, entry in table.entries.items()}
    return RoutingTable({key: entry for key, entry in kept.items() if entry is not None})


def _rivals(table: RoutingTable, update: TableUpdate, given: Container[RouteId]) -> Iterator[Route]:
    """What the source keeps that a route of the update might clash with; all else was checked when it came."""
    is_near = near(update.routes)
    for route_id, entry in table.entries.items():
        if route_id not in given:
            route = entry.announced_by(update.source)
            if route is not None and is_near(route):
                yield route


def _route(entries: Mapping[RouteId, Entry], key: RouteId) -> Route | None:
    entry = entries.get(key)
    return entry.route if entry else None


def _renumbered(problems: Iterable[Problem], first: int) -> Iterator[Problem]:
    """The problems of routes from position `first` on, counted from there."""
    for problem in problems:
        index, rest = problem.path.removeprefix("routes[").split("]", 1)
        if int(index) >= first:
            yield Problem(f"routes[{int(index) - first}]{rest}", problem.message)
