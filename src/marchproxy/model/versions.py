"""Versions: blue/green over the backend pools of a module's routes. Shares are percent."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from marchproxy.model.module import PoolName, Version
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.model.route import BackendRef, Route
from marchproxy.model.splits import splits_of, with_splits
from marchproxy.model.state import DesiredState
from marchproxy.model.weights import Split, shift_to_version, version_shares


def current_split(state: DesiredState, route_id: str = "") -> Split:
    """The split of one route, or, with no id, the mean over the routes that have pools of several versions; likewise of
    the tiers of its models, where it is for language models.

    Raises Refused when there is no such route.
    """
    versions = _versions(state)
    splits = [split for route in _routes(state, route_id) for split in splits_of(route)]
    several = [split for split in splits if len(_versions_of(split, versions)) > 1] or splits
    totals: dict[Version, int] = {}
    for split in several:
        for version, share in version_shares(split, versions).items():
            totals[version] = totals.get(version, 0) + share
    return Split.of(totals)


def set_version_weight(
    state: DesiredState, version: Version, percent: int, route_id: str = ""
) -> DesiredState:
    """Give `version` this share of one route, or of every route that has it beside another version.

    Raises Refused when the percentage is not 0 to 100, or no route can be split that way.
    """
    versions = _versions(state)
    if route_id:
        (route,) = _routes(state, route_id)
        return _with(state, [_shifted(route, versions, version, percent)])
    with_version = [
        (route, split)
        for route in state.routes
        for split in splits_of(route)
        if version in _versions_of(split, versions)
    ]
    splittable = [route for route, split in with_version if len(_versions_of(split, versions)) > 1]
    if not splittable and with_version and percent == 100:
        return state
    if not splittable:
        known = ", ".join(sorted(set(versions.values()))) or "none"
        what = "is the only version of its routes" if with_version else "is in no route"
        raise Refused(RefusalCode.NOT_FOUND, f'version: "{version}" {what}; versions of the pools: {known}')
    return _with(state, [_shifted(route, versions, version, percent) for route in splittable])


def set_backend_weights(state: DesiredState, route_id: str, weights: Sequence[BackendRef]) -> DesiredState:
    """Replace the shares of the named backends of one route (the seeds' blue/green form).

    Raises Refused for an unknown route or backend; the check of the whole state refuses shares that do not add up.
    """
    if not route_id:
        raise Refused(
            RefusalCode.INVALID_ARGUMENT, "route_id: weights per backend need the route they belong to"
        )
    (route,) = _routes(state, route_id)
    wanted = {backend.pool: backend.weight for backend in weights}
    splits = splits_of(route)
    present = {backend.pool for split in splits for backend in split}
    for index, backend in enumerate(weights):
        if backend.pool not in present:
            raise Refused(
                RefusalCode.NOT_FOUND,
                f'weights[{index}].pool: route "{route_id}" has no backend "{backend.pool}"; '
                f"it has {', '.join(sorted(present)) or 'none'}",
            )
    changed = [[replace(b, weight=wanted.get(b.pool, b.weight)) for b in split] for split in splits]
    return _with(state, [with_splits(route, changed)])


def _shifted(route: Route, versions: Mapping[PoolName, Version], version: Version, percent: int) -> Route:
    """Those of its splits are shifted that have the version beside another one. Raises Refused when none has."""
    splits = splits_of(route)
    with_version = [split for split in splits if version in _versions_of(split, versions)]
    several = [split for split in with_version if len(_versions_of(split, versions)) > 1]
    shifted = several or with_version
    if not shifted:  # all that it has, so that the refusal names all of their versions
        shift_to_version([backend for split in splits for backend in split], versions, version, percent)
    return with_splits(
        route,
        [
            shift_to_version(split, versions, version, percent) if split in shifted else split
            for split in splits
        ],
    )


def _with(state: DesiredState, routes: Sequence[Route]) -> DesiredState:
    changed = {route.route_id: route for route in routes}
    return replace(state, routes=tuple(changed.get(route.route_id, route) for route in state.routes))


def _routes(state: DesiredState, route_id: str) -> Sequence[Route]:
    if not route_id:
        return state.routes
    found = [route for route in state.routes if route.route_id == route_id]
    if not found:
        raise Refused(RefusalCode.NOT_FOUND, f'route_id: no route "{route_id}"')
    return found


def _versions(state: DesiredState) -> Mapping[PoolName, Version]:
    return {pool.name: pool.version for pool in state.pools}


def _versions_of(split: Sequence[BackendRef], versions: Mapping[PoolName, Version]) -> set[Version]:
    return {versions[backend.pool] for backend in split if backend.pool in versions}
