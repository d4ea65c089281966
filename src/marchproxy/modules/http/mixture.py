"""Mixture: a desired state between two others, for finding out which of the changes between them is at fault. No I/O."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from marchproxy.model.limit import LimitScope, RateLimit
from marchproxy.model.module import PoolName
from marchproxy.model.pool import BackendPool
from marchproxy.model.route import Route
from marchproxy.model.state import DesiredState
from marchproxy.modules.http.blame import Item, ItemKind
from marchproxy.modules.http.credentials import Credentials
from marchproxy.modules.http.resources.endpoints import Target
from marchproxy.modules.http.resources.pools import NOTHING_FOUND, PoolFindings
from marchproxy.modules.http.resources.upstream_tls import PoolMaterial


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything that a snapshot is made of. `revision` is the checksum of the document, where nodes are told it."""

    state: DesiredState = DesiredState()
    credentials: Mapping[str, Credentials] = field(default_factory=dict)
    findings: PoolFindings = NOTHING_FOUND
    revision: str = ""


def changes(before: Inputs, after: Inputs) -> list[Item]:
    """The pools and routes that are new in `after`, or others there; pools first, because routes need them."""
    return [*_changed_pools(before, after), *_changed_routes(before, after)]


def mixture(before: Inputs, after: Inputs, accepted: Collection[Item]) -> Inputs:
    """`after` with those of its changes only that are `accepted`; where another is not, it stays as it was `before`.

    Nothing that `before` needs is missing, and a route whose pools are not there is left out.
    """
    refused = set(changes(before, after)) - set(accepted)
    pools = _pools(before, after, refused)
    here = {pool.name for pool in pools}
    old = before.state.routes_by_id()
    kept: dict[str, bool] = {}  # route ids, whether in their old form
    routes: list[Route] = []
    for route in after.state.routes:
        is_refused = Item(ItemKind.ROUTE, route.route_id) in refused
        earlier = old.get(route.route_id)
        if not is_refused and route.pools <= here:
            routes.append(route)
            kept[route.route_id] = False
        elif earlier is not None and earlier.pools <= here:
            routes.append(earlier)
            kept[route.route_id] = True
    limits = tuple(_limits(before.state, after.state, kept))
    ways = {way.name: way for way in (*before.state.authentication, *after.state.authentication)}
    guardrails = {one.name: one for one in (*before.state.guardrails, *after.state.guardrails)}
    state = replace(
        after.state,
        routes=tuple(routes),
        pools=pools,
        rate_limits=limits,
        authentication=tuple(ways.values()),
        guardrails=tuple(guardrails.values()),
    )
    return Inputs(state, {**before.credentials, **after.credentials}, _findings(before, after, refused))


def is_only_found(item: Item, before: Inputs, after: Inputs) -> bool:
    """Whether a pool is what it was, and only its endpoints are found elsewhere, or its files hold something else."""
    name = PoolName(item.name)
    known = before.state.pools_by_name().get(name)
    return (
        item.kind is ItemKind.POOL
        and known is not None
        and known == after.state.pools_by_name().get(name)
        and _found(known, before) != _found(known, after)
    )


def with_findings_of(before: Inputs, after: Inputs, item: Item) -> Inputs:
    """`after`, but with what was found for that pool `before`."""
    pool = after.state.pools_by_name()[PoolName(item.name)]
    endpoints, material = _found(pool, before)
    found = replace(after.findings, endpoints={**after.findings.endpoints, pool.name: endpoints or ()})
    if pool.tls is not None and material is not None:
        found = replace(found, material={**found.material, pool.tls: material})
    return replace(after, findings=found)


def _found(pool: BackendPool, inputs: Inputs) -> tuple[tuple[Target, ...] | None, PoolMaterial | None]:
    material = None if pool.tls is None else inputs.findings.material.get(pool.tls)
    return inputs.findings.endpoints.get(pool.name), material


def _changed_pools(before: Inputs, after: Inputs) -> Iterator[Item]:
    known = before.state.pools_by_name()
    for pool in after.state.pools:
        if known.get(pool.name) != pool or _found(pool, before) != _found(pool, after):
            yield Item(ItemKind.POOL, pool.name)


def _changed_routes(before: Inputs, after: Inputs) -> Iterator[Item]:
    known = before.state.routes_by_id()
    old, new = _limits_by_target(before.state), _limits_by_target(after.state)
    for route in after.state.routes:
        ways = route.authentication
        if (
            known.get(route.route_id) != route
            or old.get(route.route_id) != new.get(route.route_id)
            or [before.credentials.get(way) for way in ways] != [after.credentials.get(way) for way in ways]
        ):
            yield Item(ItemKind.ROUTE, route.route_id)


def _pools(before: Inputs, after: Inputs, refused: Collection[Item]) -> tuple[BackendPool, ...]:
    old = before.state.pools_by_name()
    chosen: dict[PoolName, BackendPool | None] = {
        pool.name: old.get(pool.name) if Item(ItemKind.POOL, pool.name) in refused else pool
        for pool in after.state.pools
    }
    return tuple(pool for pool in {**old, **chosen}.values() if pool is not None)


def _limits_by_target(state: DesiredState) -> Mapping[str, tuple[RateLimit, ...]]:
    found: dict[str, tuple[RateLimit, ...]] = {}
    for limit in state.rate_limits:
        found[limit.target] = (*found.get(limit.target, ()), limit)
    return found


def _limits(before: DesiredState, after: DesiredState, kept: Mapping[str, bool]) -> Iterator[RateLimit]:
    """Those of a route go with the form of it that is there."""
    for limits, is_old in ((before.rate_limits, True), (after.rate_limits, False)):
        for limit in limits:
            if limit.scope is LimitScope.ROUTE:
                if kept.get(limit.target) is is_old:
                    yield limit
            elif not is_old:
                yield limit


def _findings(before: Inputs, after: Inputs, refused: Collection[Item]) -> PoolFindings:
    old, new = before.findings, after.findings
    endpoints, material = {**old.endpoints, **new.endpoints}, {**old.material, **new.material}
    for pool in before.state.pools:
        if Item(ItemKind.POOL, pool.name) in refused:
            found, held = _found(pool, before)
            endpoints[pool.name] = found or ()
            if pool.tls is not None and held is not None:
                material[pool.tls] = held
    return replace(new, material=material, endpoints=endpoints)
