"""Lasting: which weights and promotions outlive a document, because it says nothing new of what they are about."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from marchproxy.model.listener import Listener
from marchproxy.model.route import Route
from marchproxy.model.splits import splits_of, with_splits
from marchproxy.model.state import DesiredState

#: Routes or listeners of which a document says something new about weights; None: it replaces all of them.
Restated = Collection[str] | None


@dataclass(frozen=True, slots=True)
class Lasting:
    """The state to run in place of the document's own, and the targets whose shifts and promotions go on."""

    state: DesiredState
    targets: frozenset[str] = frozenset()


def lasting_routes(
    document: DesiredState, running: DesiredState, targets: Collection[str], restated: Restated
) -> Lasting:
    """Routes of `targets` (ids, or empty for all) keep the weights they run with, as long as their pools stay.

    Of those in `restated` the document's weights hold; their shifts and promotions go on where that changes nothing.
    """
    if restated is None or not targets:
        return Lasting(document)
    before = running.routes_by_id()
    same = {
        route.route_id: before[route.route_id]
        for route in document.routes
        if route.route_id in before
        and _concerned(route.route_id, targets)
        and _pools(route) == _pools(before[route.route_id])
    }
    routes = tuple(
        with_splits(route, splits_of(same[route.route_id]))
        if route.route_id in same and route.route_id not in restated
        else route
        for route in document.routes
    )
    state = document if routes == document.routes else replace(document, routes=routes)
    now = state.routes_by_id()
    kept = {key for key, was in same.items() if _shares(was) == _shares(now[key])}
    return Lasting(state, frozenset(kept | {""}).intersection(targets))


def lasting_listeners(
    document: DesiredState, running: DesiredState, targets: Collection[str], restated: Restated
) -> Lasting:
    """As `lasting_routes`, for the version weights of listeners (by name), as long as they are of the same module type."""
    if restated is None or not targets:
        return Lasting(document)
    before = {listener.name: listener for listener in running.listeners}
    same = {
        listener.name: before[listener.name]
        for listener in document.listeners
        if listener.name in before
        and _concerned(listener.name, targets)
        and listener.module_type is before[listener.name].module_type
    }
    listeners = tuple(
        replace(listener, version_weights=same[listener.name].version_weights)
        if listener.name in same and listener.name not in restated
        else listener
        for listener in document.listeners
    )
    state = document if listeners == document.listeners else replace(document, listeners=listeners)
    kept = {
        listener.name
        for listener in listeners
        if listener.name in same and _weights(listener) == _weights(same[listener.name])
    }
    return Lasting(state, frozenset(kept | {""}).intersection(targets))


def _concerned(name: str, targets: Collection[str]) -> bool:
    return name in targets or "" in targets


def _pools(route: Route) -> list[list[str]]:
    return [sorted(backend.pool for backend in split) for split in splits_of(route)]


def _shares(route: Route) -> list[frozenset[tuple[str, int]]]:
    return [_nonzero((backend.pool, backend.weight) for backend in split) for split in splits_of(route)]


def _weights(listener: Listener) -> frozenset[tuple[str, int]]:
    return _nonzero((share.version, share.weight) for share in listener.version_weights)


def _nonzero(shares: Iterable[tuple[str, int]]) -> frozenset[tuple[str, int]]:
    return frozenset(share for share in shares if share[1])
