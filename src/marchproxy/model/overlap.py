"""Overlap: can two routes of equal priority match one request without either being the more specific one?

Such a pair has no right answer, so it is refused. Two different regular expressions cannot be compared in general;
they count as overlapping, and different priorities settle it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

from marchproxy.model.route import HeaderKind, HeaderMatch, PathKind, Route, RouteMatch


def ambiguous_pairs(routes: Sequence[Route]) -> Iterator[tuple[Route, Route]]:
    """Every pair of routes between which nothing but the order of their ids would decide."""
    groups: dict[object, dict[str, Route]] = defaultdict(dict)
    for route in routes:
        for host in route.match.hosts or ("*",):
            groups[_tie_key(route, host)][route.route_id] = route
    seen: set[tuple[str, str]] = set()
    for group in groups.values():
        for first, second in combinations(group.values(), 2):
            pair = (first.route_id, second.route_id)
            if (
                pair not in seen
                and _may_both_match(first.match, second.match)
                and _share_a_listener(first, second)
            ):
                seen.add(pair)
                yield first, second


def _tie_key(route: Route, host: str) -> object:
    """Routes with different keys are told apart by specificity (`marchproxy.model.matching.rank`)."""
    match = route.match
    path = (
        match.path.kind
        if match.path.kind is PathKind.REGEX
        else (match.path.kind, match.path.value.rstrip("/"))
    )
    return (route.protocol, route.priority, host.lower(), path, bool(match.methods), len(match.headers))


def _may_both_match(first: RouteMatch, second: RouteMatch) -> bool:
    if first.methods and second.methods and not set(first.methods) & set(second.methods):
        return False
    return not any(_exclude_each_other(a, b) for a in first.headers for b in second.headers)


def _exclude_each_other(first: HeaderMatch, second: HeaderMatch) -> bool:
    if first.name.lower() != second.name.lower():
        return False
    same_test = (first.kind, first.value) == (second.kind, second.value)
    if same_test:
        return first.invert != second.invert
    both_exact = first.kind is HeaderKind.EXACT and second.kind is HeaderKind.EXACT
    return both_exact and not first.invert and not second.invert


def _share_a_listener(first: Route, second: Route) -> bool:
    return _meet(first.listeners, second.listeners) and (
        first.source_port == second.source_port or 0 in {first.source_port, second.source_port}
    )


def _meet(first: Iterable[str], second: Iterable[str]) -> bool:
    one, other = set(first), set(second)
    return not one or not other or bool(one & other)
