"""Overlap: can two routes of equal priority match one request without either being the more specific one?

Such a pair has no right answer, so it is refused. Two regular expressions that begin alike cannot be compared in
general; they count as overlapping, and different priorities settle it. Routes of databases take sessions, and those of
streams streams, not requests: `marchproxy.model.sessions` and `marchproxy.model.streams` say what tells those apart.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TypeAlias

from marchproxy.model.database import DATABASE_PROTOCOLS
from marchproxy.model.network import networks_meet
from marchproxy.model.pattern import literal_prefix
from marchproxy.model.route import HeaderKind, HeaderMatch, PathKind, PathMatch, Route, RouteMatch
from marchproxy.model.rtmp import STREAMING_PROTOCOLS
from marchproxy.model.sessions import precision, session_ties
from marchproxy.model.streams import precision as stream_precision
from marchproxy.model.streams import stream_ties
from marchproxy.model.template import template_rank, template_shape, templates_meet

#: What tells routes apart: two that have different values of one trait never take the same request.
_Traits: TypeAlias = Mapping[object, object]
_PATTERNS = (PathKind.REGEX, PathKind.TEMPLATE)
_HEADS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)  # how many first characters of two expressions are compared


def ambiguous_pairs(routes: Sequence[Route]) -> Iterator[tuple[Route, Route]]:
    """For each route that ties with an earlier one, that pair: nothing but the order of their ids would decide.

    One pair for each such route is enough to refuse it; all pairs of n alike routes would be n²/2 faults.
    """
    groups: dict[object, dict[str, Route]] = defaultdict(dict)
    for route in routes:
        for host in _hosts(route):
            groups[_tie_key(route, host)][route.route_id] = route
    told: set[str] = set()
    for group in groups.values():
        if len(group) > 1:
            alike = tuple(group.values())
            for first, second in _ties_among(alike):
                if second.route_id not in told:
                    told.add(second.route_id)
                    yield first, second


def near(routes: Iterable[Route]) -> Callable[[Route], bool]:
    """A quick test for one route among thousands: False says that it ties with none of `routes`."""
    priorities: set[int] = set()
    literals: set[tuple[bool, str]] = set()
    patterns: set[PathKind] = set()
    hosts: set[str] = set()
    for route in routes:
        priorities.add(route.priority)
        path = route.match.path
        if path.kind in _PATTERNS:
            patterns.add(path.kind)
        else:
            literals.add((path.kind is PathKind.PREFIX, path.value.rstrip("/")))
        hosts.update(_hosts(route))
    kinds = tuple(patterns)  # an enum's hash takes longer than to compare two

    def is_near(route: Route) -> bool:
        path = route.match.path
        return (
            route.priority in priorities
            and ((path.kind is PathKind.PREFIX, path.value.rstrip("/")) in literals or path.kind in kinds)
            and any(host in hosts for host in _hosts(route))
        )

    return is_near


def _tie_key(route: Route, host: str) -> object:
    """Routes with different keys are told apart by specificity (`marchproxy.model.matching.rank`)."""
    match = route.match
    if route.protocol in DATABASE_PROTOCOLS:
        return (route.protocol, precision(route))
    if route.protocol in STREAMING_PROTOCOLS:
        return (route.protocol, stream_precision(route))
    path = _path_key(match.path)
    conditions = (bool(match.methods), len(match.headers), len(match.query))
    return (route.protocol, route.priority, host, path, *conditions)


def _path_key(path: PathMatch) -> object:
    if path.kind is PathKind.REGEX:
        return path.kind
    if path.kind is PathKind.TEMPLATE:
        return (path.kind, template_rank(path.value))
    return (path.kind, path.value.rstrip("/") if path.kind is PathKind.PREFIX else path.value)


def _hosts(route: Route) -> tuple[str, ...]:
    return tuple([host.lower() for host in route.match.hosts]) or ("*",)


def _ties_among(group: Sequence[Route]) -> Iterator[tuple[Route, Route]]:
    protocol = group[0].protocol
    if protocol in DATABASE_PROTOCOLS:
        return session_ties(group)
    return stream_ties(group) if protocol in STREAMING_PROTOCOLS else _ties(group)


def _ties(group: Sequence[Route]) -> Iterator[tuple[Route, Route]]:
    """Each route with the first earlier one it ties with; only routes alike in the most telling trait are compared."""
    traits = [_traits(route) for route in group]
    telling = _most_telling(traits)
    earlier: list[int] = []
    alike: dict[object, list[int]] = defaultdict(list)
    for index, own in enumerate(traits):
        value = own.get(telling)
        rivals = earlier if value is None else chain(alike[None], alike[value])
        for rival in rivals:
            if _tie(group[rival], traits[rival], group[index], own):
                yield group[rival], group[index]
                break
        earlier.append(index)
        alike[value].append(index)


def _traits(route: Route) -> _Traits:
    ports = {"source": route.source_port, "destination": route.destination_port}
    traits: dict[object, object] = {name: port for name, port in ports.items() if port}
    for name, values in (("listener", route.listeners), ("method", route.match.methods)):
        if len(values) == 1:
            traits[name] = values[0]
    for header in route.match.headers:
        if header.kind is HeaderKind.EXACT and not header.invert:
            traits["header", header.name.lower()] = header.value
    for parameter in route.match.query:
        if parameter.kind is HeaderKind.EXACT:
            traits["query", parameter.name] = parameter.value
    if route.match.path.kind is PathKind.TEMPLATE:
        traits.update(_template_traits(route.match.path.value))
    if route.match.path.kind is PathKind.REGEX:
        prefix = literal_prefix(route.match.path.value)
        traits.update((("segment", depth), whole) for depth, whole in enumerate(prefix.split("/")[:-1]))
        traits.update((("head", length), prefix[:length]) for length in _HEADS if length <= len(prefix))
    return traits


def _template_traits(template: str) -> _Traits:
    shape = template_shape(template)
    traits: dict[object, object] = {} if shape[-1] is ... else {"segments": len(shape)}
    traits.update(
        (("segment", depth), segment) for depth, segment in enumerate(shape) if segment not in {None, ...}
    )
    return traits


def _most_telling(traits: Iterable[_Traits]) -> object:
    values: dict[object, set[object]] = defaultdict(set)
    for own in traits:
        for trait, value in own.items():
            values[trait].add(value)
    return max(values, key=lambda trait: len(values[trait]), default=None)


def _tie(first: Route, first_traits: _Traits, second: Route, second_traits: _Traits) -> bool:
    if any(second_traits.get(trait, value) != value for trait, value in first_traits.items()):
        return False
    return (
        _meet(first.listeners, second.listeners)
        and _meet(first.match.methods, second.match.methods)
        and networks_meet(first.sources, second.sources)
        and _paths_meet(first.match, second.match)
        and not any(_exclude_each_other(a, b) for a in first.match.headers for b in second.match.headers)
    )


def _meet(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether two choices have something in common; an empty one means anything."""
    return not first or not second or not set(first).isdisjoint(second)


def _paths_meet(first: RouteMatch, second: RouteMatch) -> bool:
    if first.path.kind is PathKind.TEMPLATE:
        return templates_meet(first.path.value, second.path.value)
    if first.path.kind is not PathKind.REGEX:
        return True  # the tie key has compared them
    one, other = literal_prefix(first.path.value), literal_prefix(second.path.value)
    return one.startswith(other) or other.startswith(one)


def _exclude_each_other(first: HeaderMatch, second: HeaderMatch) -> bool:
    same_test = (first.name.lower(), first.kind, first.value) == (
        second.name.lower(),
        second.kind,
        second.value,
    )
    return same_test and first.invert != second.invert
