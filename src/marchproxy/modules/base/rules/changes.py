"""Changes: each mutation of the contract as a function from one desired state to the next.

None of them checks the whole result; `marchproxy.model.checks.check_state` does, once, before it is applied.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from marchproxy.model.checks import check_limits
from marchproxy.model.limit import NLB_SCOPES, LimitId, RateLimit
from marchproxy.model.module import PoolName
from marchproxy.model.pool import BackendPool
from marchproxy.model.problem import Problem, RefusalCode, Refused
from marchproxy.model.route import Route, RouteId
from marchproxy.model.state import DesiredState

T = TypeVar("T")


def put_routes(state: DesiredState, routes: Sequence[Route], *, replace_all: bool) -> DesiredState:
    """Add routes, or replace those with the same id; `replace_all` drops the others, and limits left without a route."""
    _refuse_twins("routes", [route.route_id for route in routes])
    if not replace_all:
        return replace(state, routes=_merge(state.routes, routes, lambda route: route.route_id))
    kept = {str(route.route_id) for route in routes}
    gone = {str(route.route_id) for route in state.routes} - kept
    limits = tuple(limit for limit in state.rate_limits if limit.target not in gone)
    return replace(state, routes=tuple(routes), rate_limits=limits)


def delete_route(state: DesiredState, route_id: RouteId) -> DesiredState:
    """Remove a route and the rate limits on it. Raises Refused when there is no such route."""
    if route_id not in state.routes_by_id():
        raise Refused(RefusalCode.NOT_FOUND, f'route_id: no route "{route_id}"')
    return replace(
        state,
        routes=tuple(route for route in state.routes if route.route_id != route_id),
        rate_limits=tuple(limit for limit in state.rate_limits if limit.target != route_id),
    )


def put_limit(state: DesiredState, limit: RateLimit) -> DesiredState:
    """Add a rate limit, or replace the one with its id. A target has one for each `per` and what is counted: a second id for
    the same is refused.

    So is what the NLB keeps: a module would hold it for itself alone.
    """
    _refuse_of_nlb("limit.target", limit.target, [limit, *_with_id(state, limit.limit_id)])
    for other in state.rate_limits:
        if _counts_the_same(other, limit) and other.limit_id != limit.limit_id:
            raise Refused(
                RefusalCode.ALREADY_EXISTS,
                f'limit.target: "{limit.target}" already has the limit "{other.limit_id}"; '
                "change that one, or remove it first",
            )
    return replace(state, rate_limits=_merge(state.rate_limits, [limit], lambda item: item.limit_id))


def limit_route(state: DesiredState, limit: RateLimit) -> DesiredState:
    """Put a limit on its target whatever id the target's limit has now; those `per` something and those on connections stay.

    Raises Refused when the id is another's.
    """
    for other in state.rate_limits:
        if other.limit_id == limit.limit_id and other.target != limit.target:
            raise Refused(
                RefusalCode.ALREADY_EXISTS,
                f'the rate limit "{limit.limit_id}" is on "{other.target}"; remove it, or use SetRateLimit',
            )
    others = tuple(item for item in state.rate_limits if not _counts_the_same(item, limit))
    return put_limit(replace(state, rate_limits=others), limit)


def remove_limit(state: DesiredState, limit_id: LimitId) -> DesiredState:
    """Remove a rate limit. Raises Refused when there is none with this id, or when the NLB keeps it."""
    _refuse_of_nlb("limit_id", limit_id, _with_id(state, limit_id))
    kept = tuple(limit for limit in state.rate_limits if limit.limit_id != limit_id)
    if len(kept) == len(state.rate_limits):
        raise Refused(RefusalCode.NOT_FOUND, f'limit_id: no rate limit "{limit_id}"')
    return replace(state, rate_limits=kept)


def limit_faults(state: DesiredState) -> Iterator[Problem]:
    """The only thing that a change of limits can break, or a deletion: without the last route of a database, those that
    count its sessions.
    """
    return check_limits(state.rate_limits, state.routes, state.listeners)


def put_pools(state: DesiredState, pools: Sequence[BackendPool], *, replace_all: bool) -> DesiredState:
    """Add backend pools, or replace those with the same name; `replace_all` drops the others."""
    _refuse_twins("pools", [pool.name for pool in pools])
    if replace_all:
        kept = {pool.name for pool in pools}
        _refuse_used_pools(state.routes, {pool.name for pool in state.pools} - kept)
        return replace(state, pools=tuple(pools))
    return replace(state, pools=_merge(state.pools, pools, lambda pool: pool.name))


def _counts_the_same(one: RateLimit, other: RateLimit) -> bool:
    return (one.target, one.per.lower(), one.counts) == (other.target, other.per.lower(), other.counts)


def _with_id(state: DesiredState, limit_id: LimitId) -> list[RateLimit]:
    return [limit for limit in state.rate_limits if limit.limit_id == limit_id]


def _refuse_of_nlb(path: str, name: str, limits: Iterable[RateLimit]) -> None:
    if any(limit.scope in NLB_SCOPES for limit in limits):
        raise Refused(
            RefusalCode.INVALID_ARGUMENT, f'{path}: "{name}" is kept by the NLB: change it in the document'
        )


def _merge(present: Sequence[T], new: Sequence[T], key: Callable[[T], Hashable]) -> tuple[T, ...]:
    incoming = {key(item): item for item in new}
    merged = [incoming.pop(key(item), item) for item in present]
    return (*merged, *incoming.values())


def _refuse_twins(path: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            raise Refused(RefusalCode.INVALID_ARGUMENT, f'{path}[{index}]: "{name}" stands there twice')
        seen.add(name)


def _refuse_used_pools(routes: Iterable[Route], gone: set[PoolName]) -> None:
    for route in routes:
        for pool in route.answering:
            if pool in gone:
                raise Refused(
                    RefusalCode.INVALID_ARGUMENT,
                    f'pools: route "{route.route_id}" still uses "{pool}"; change the route first',
                )
