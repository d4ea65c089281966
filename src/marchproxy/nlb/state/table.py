"""Routing table: the routes that operators and modules announced, and who stands for each."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from marchproxy.model.checks import check_routes
from marchproxy.model.pool import BackendPool
from marchproxy.model.problem import Problem, RefusalCode, Refused
from marchproxy.model.route import Route, RouteId

#: The source of routes that no instance announced: the configuration, or an operator's UpdateRouting.
OPERATOR = ""
MAX_ROUTES = 10_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One route and the sources that announced it."""

    route: Route
    sources: frozenset[str]
    created_at: datetime


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
    """Every fault that the update would bring: of its routes, and between them and those that stay."""
    if len(update.routes) > MAX_ROUTES:
        return (Problem("routes", f"more than {MAX_ROUTES} routes"),)
    given = {route.route_id for route in update.routes}
    staying = [route for route in _without(table, update).routes() if route.route_id not in given]
    # those that stay come first, so that a clash is blamed on the newcomer
    together = (*staying, *update.routes)
    # pools belong to the modules: the NLB cannot know them, so every name counts as known
    pools = [BackendPool(name) for name in {ref.pool for route in together for ref in route.backends}]
    faults = list(_renumbered(check_routes(together, pools), len(staying)))
    faults += _operators_routes(table, update)
    if len(together) > MAX_ROUTES:
        faults.append(Problem("routes", f"the table would hold more than {MAX_ROUTES} routes"))
    return tuple(faults)


def apply_update(table: RoutingTable, update: TableUpdate, now: datetime) -> tuple[RoutingTable, int]:
    """The table after a sound update, and how many routes were added, replaced or removed."""
    entries = dict(_without(table, update).entries)
    for route in update.routes:
        old = table.entries.get(route.route_id)
        sources = (old.sources if old else frozenset()) | {update.source}
        entries[route.route_id] = Entry(route, sources, old.created_at if old else now)
    touched = {
        key for key in {*entries, *table.entries} if _route(entries, key) != _route(table.entries, key)
    }
    return RoutingTable(entries), len(touched)


def delete_route(table: RoutingTable, route_id: RouteId, source: str) -> RoutingTable:
    """The table without a route. A module takes back only what it announced; an operator removes any. Raises Refused."""
    entry = table.entries.get(route_id)
    if entry is None:
        raise Refused(RefusalCode.NOT_FOUND, f'no route "{route_id}"')
    if source != OPERATOR and source not in entry.sources:
        raise Refused(RefusalCode.PERMISSION_DENIED, f'route "{route_id}" was not announced by "{source}"')
    entries = dict(table.entries)
    remaining = entry.sources - {source}
    if source == OPERATOR or not remaining:
        del entries[route_id]
    else:
        entries[route_id] = replace(entry, sources=remaining)
    return RoutingTable(entries)


def forget_sources(table: RoutingTable, sources: Iterable[str]) -> RoutingTable:
    """The table without what only these sources announced."""
    for source in sources:
        table = _without(table, TableUpdate(source, (), replace_all=True))
    return table


def _without(table: RoutingTable, update: TableUpdate) -> RoutingTable:
    """The table without what the update's source withdraws by not naming it any more."""
    if not update.replace_all:
        return table
    kept = {
        key: replace(entry, sources=entry.sources - {update.source})
        for key, entry in table.entries.items()
        if entry.sources != {update.source}
    }
    return RoutingTable(kept)


def _operators_routes(table: RoutingTable, update: TableUpdate) -> Sequence[Problem]:
    if update.source == OPERATOR:
        return ()
    return [
        Problem(
            f"routes[{index}].id", f'"{route.route_id}" is an operator\'s route and differs from this one'
        )
        for index, route in enumerate(update.routes)
        if (old := table.entries.get(route.route_id)) and OPERATOR in old.sources and old.route != route
    ]


def _route(entries: Mapping[RouteId, Entry], key: RouteId) -> Route | None:
    entry = entries.get(key)
    return entry.route if entry else None


def _renumbered(problems: Iterable[Problem], first: int) -> Iterator[Problem]:
    """The problems of routes from position `first` on, counted from there."""
    for problem in problems:
        index, rest = problem.path.removeprefix("routes[").split("]", 1)
        if int(index) >= first:
            yield Problem(f"routes[{int(index) - first}]{rest}", problem.message)
