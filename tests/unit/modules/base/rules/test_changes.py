"""Each mutation as a function from state to state."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from marchproxy.model.limit import LimitId, LimitUnit, RateLimit
from marchproxy.model.module import PoolName, Protocol
from marchproxy.model.pool import BackendPool
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.model.route import BackendRef, Route, RouteId
from marchproxy.model.state import DesiredState
from marchproxy.modules.base.rules.changes import (
    delete_route,
    limit_faults,
    limit_route,
    put_limit,
    put_pools,
    put_routes,
    remove_limit,
)


def route(name: str, pool: str = "web", priority: int = 0) -> Route:
    return Route(RouteId(name), backends=(BackendRef(PoolName(pool)),), priority=priority)


def limit(name: str, target: str, rate: int = 1) -> RateLimit:
    return RateLimit(LimitId(name), target, per_second=rate)


WEB, SPARE = BackendPool(PoolName("web")), BackendPool(PoolName("spare"))
STATE = DesiredState(
    routes=(route("a"), route("b")),
    pools=(WEB, SPARE),
    rate_limits=(limit("la", "a"), limit("lb", "b"), limit("all", "*")),
)
WITH_ONE_OF_THE_NLB = replace(STATE, rate_limits=(*STATE.rate_limits, limit("web", "listener:web")))


KEPT_BY_NLB = "is kept by the NLB: change it in the document"


def ids(state: DesiredState) -> tuple[list[str], list[str], list[str]]:
    return (
        [item.route_id for item in state.routes],
        [item.name for item in state.pools],
        [item.limit_id for item in state.rate_limits],
    )


ALL = (["a", "b"], ["web", "spare"], ["la", "lb", "all"])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda s: put_routes(s, [route("c")], replace_all=False), (["a", "b", "c"], *ALL[1:])),
        (lambda s: put_routes(s, [route("a", priority=7)], replace_all=False), ALL),
        (lambda s: put_routes(s, [], replace_all=False), ALL),
        # limits on routes that go, go too; the one on everything stays
        (lambda s: put_routes(s, [route("b")], replace_all=True), (["b"], ALL[1], ["lb", "all"])),
        (lambda s: put_routes(s, [], replace_all=True), ([], ALL[1], ["all"])),
        (lambda s: delete_route(s, RouteId("a")), (["b"], ALL[1], ["lb", "all"])),
        (lambda s: put_limit(s, limit("la", "a", 9)), ALL),
        (lambda s: remove_limit(s, LimitId("lb")), (*ALL[:2], ["la", "all"])),
        (lambda s: limit_route(s, limit("a.limit", "a")), (*ALL[:2], ["lb", "all", "a.limit"])),
        (lambda s: put_pools(s, [BackendPool(PoolName("new"))], replace_all=False), (ALL[0], ["web", "spare", "new"], ALL[2])),
        (lambda s: put_pools(s, [WEB], replace_all=True), (ALL[0], ["web"], ALL[2])),
    ],
)  # fmt: skip
def test_change(change: Callable[[DesiredState], DesiredState], expected: object) -> None:
    assert ids(change(STATE)) == expected


def test_a_replaced_item_keeps_its_place_and_the_others_their_identity() -> None:
    after = put_routes(STATE, [route("a", priority=7)], replace_all=False)
    assert after.routes[0].priority == 7
    assert after.routes[1] is STATE.routes[1]
    assert put_limit(STATE, limit("la", "a", 9)).rate_limits[0].per_second == 9


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda s: put_routes(s, [route("x"), route("x")], replace_all=False), RefusalCode.INVALID_ARGUMENT, r"routes\[1\].*twice"),
        (lambda s: put_pools(s, [WEB, WEB], replace_all=True), RefusalCode.INVALID_ARGUMENT, r"pools\[1\].*twice"),
        (lambda s: put_pools(s, [SPARE], replace_all=True), RefusalCode.INVALID_ARGUMENT, 'route "a" still uses "web"'),
        (lambda s: delete_route(s, RouteId("x")), RefusalCode.NOT_FOUND, 'route_id: no route "x"'),
        (lambda s: remove_limit(s, LimitId("x")), RefusalCode.NOT_FOUND, 'limit_id: no rate limit "x"'),
        (lambda s: put_limit(s, limit("second", "a")), RefusalCode.ALREADY_EXISTS, 'already has the limit "la"'),
        (lambda s: put_limit(s, limit("n", "source:10.0.0.0/8")), RefusalCode.INVALID_ARGUMENT, KEPT_BY_NLB),
        (lambda s: limit_route(s, limit("n", "module:alb")), RefusalCode.INVALID_ARGUMENT, KEPT_BY_NLB),
        # neither may it be taken over under its id, or removed
        (lambda _: put_limit(WITH_ONE_OF_THE_NLB, limit("web", "a")), RefusalCode.INVALID_ARGUMENT, KEPT_BY_NLB),
        (lambda _: remove_limit(WITH_ONE_OF_THE_NLB, LimitId("web")), RefusalCode.INVALID_ARGUMENT, KEPT_BY_NLB),
        # the id belongs to another route's limit, which must not vanish
        (lambda s: limit_route(s, limit("lb", "a")), RefusalCode.ALREADY_EXISTS, 'limit "lb" is on "b"'),
    ],
)  # fmt: skip
def test_refusal(change: Callable[[DesiredState], DesiredState], code: RefusalCode, words: str) -> None:
    with pytest.raises(Refused, match=words) as refused:
        change(STATE)
    assert refused.value.code is code


def test_a_limit_of_sessions_outlives_no_route_of_a_database() -> None:
    database = replace(route("db"), protocol=Protocol.POSTGRES)
    state = replace(
        STATE, routes=(*STATE.routes, database), rate_limits=(replace(limit("l", "*"), per="user"),)
    )
    assert list(limit_faults(state)) == []
    (problem,) = limit_faults(delete_route(state, RouteId("db")))
    assert problem.path == "rate_limits[0].per"


def test_limits_that_count_something_else_stay_beside_each_other() -> None:
    connections = replace(limit("lc", "a"), counts=LimitUnit.CONNECTIONS)
    each = replace(limit("le", "a"), per="user")
    together = put_limit(put_limit(STATE, connections), each)
    assert {connections, each, *STATE.rate_limits} == set(together.rate_limits)
    left = limit_route(together, limit("a.limit", "a"))
    assert [one.limit_id for one in left.rate_limits] == ["lb", "all", "lc", "le", "a.limit"]
