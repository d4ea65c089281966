"""Checks of a change: what they find is what a check of the whole finds, and they look at what changed alone."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from marchproxy.model.checks import check_change, check_state, routes
from marchproxy.model.limit import LimitId, RateLimit
from marchproxy.model.module import PoolName
from marchproxy.model.pool import BackendPool
from marchproxy.model.route import BackendRef, HeaderMatch, PathKind, PathMatch, Route, RouteId, RouteMatch
from marchproxy.model.state import DesiredState

POOLS = tuple(BackendPool(PoolName(name)) for name in "ab")
PATHS = (
    PathMatch(value="/"),
    PathMatch(value="/a"),
    PathMatch(value="/a/"),
    PathMatch(PathKind.EXACT, "/a"),
    PathMatch(PathKind.REGEX, "/a[0-9]"),
    PathMatch(PathKind.TEMPLATE, "/a/{name}"),
    PathMatch(PathKind.TEMPLATE, "/a/*"),
    PathMatch(PathKind.EXACT, "no path"),
)


@st.composite
def a_route(draw: st.DrawFn) -> Route:
    match = RouteMatch(
        hosts=draw(st.sampled_from([(), ("a.test",), ("A.test", "b.test"), ("*.test",)])),
        path=draw(st.sampled_from(PATHS)),
        methods=draw(st.sampled_from([(), ("GET",)])),
        headers=draw(st.sampled_from([(), (HeaderMatch("x", value="1"),), (HeaderMatch("x", value="2"),)])),
    )
    pool = draw(st.sampled_from(["a", "b", "gone"]))
    number = draw(st.integers(0, 9))
    priority = draw(st.integers(0, 2))
    return Route(RouteId(f"r{number}"), match, (BackendRef(PoolName(pool)),), priority=priority)


some_routes = st.lists(a_route(), max_size=6, unique_by=lambda route: route.route_id)
some_limits = st.lists(
    st.builds(lambda number: RateLimit(LimitId(f"l{number}"), f"r{number}", per_second=1), st.integers(0, 9)),
    max_size=2,
)
some_pools = st.sampled_from([POOLS, POOLS[:1], POOLS[1:], (*POOLS, BackendPool(PoolName("gone")))])


def sound_part(found: list[Route]) -> tuple[Route, ...]:
    """As many of them, in order, as are sound together."""
    kept: tuple[Route, ...] = ()
    for route in found:
        if not check_state(DesiredState(routes=(*kept, route), pools=POOLS)):
            kept = (*kept, route)
    return kept


@given(some_routes, some_routes, some_pools, some_limits, st.booleans())
def test_a_change_has_the_faults_that_the_whole_has(found, new, pools, limits, keep):
    before = DesiredState(routes=sound_part(found), pools=POOLS)
    ids = {route.route_id for route in new}
    kept = tuple(route for route in before.routes if route.route_id not in ids) if keep else ()
    after = replace(before, routes=(*kept, *new), pools=pools, rate_limits=tuple(limits))
    assert {fault.path for fault in check_change(before, after)} == {
        fault.path for fault in check_state(after)
    }


@given(some_routes, a_route())
def test_what_is_equal_but_another_object_is_looked_at(found, extra):
    before = DesiredState(routes=sound_part(found), pools=POOLS)
    assume(before.routes)
    spoilt = replace(before, routes=(replace(before.routes[0], timeout=-1.0), *before.routes[1:]))
    assert [fault.path for fault in check_change(before, spoilt)] == ["routes[0].timeout"]


def test_a_change_of_one_route_looks_at_one(monkeypatch: pytest.MonkeyPatch):
    many = tuple(
        Route(RouteId(f"r{number}"), RouteMatch(path=PathMatch(value=f"/{number}"))) for number in range(500)
    )
    before = DesiredState(routes=many)
    assert not check_state(before)
    looked: list[str] = []
    check = routes._check_route
    monkeypatch.setattr(
        routes, "_check_route", lambda route, *rest: looked.append(route.route_id) or check(route, *rest)
    )
    compared: list[int] = []
    pairs = routes.ambiguous_pairs
    monkeypatch.setattr(
        routes, "ambiguous_pairs", lambda rivals: compared.append(len(rivals)) or pairs(rivals)
    )
    changed = replace(many[7], timeout=1.0)
    assert not check_change(before, replace(before, routes=(*many[:7], changed, *many[8:])))
    assert (looked, compared) == (["r7"], [1])
