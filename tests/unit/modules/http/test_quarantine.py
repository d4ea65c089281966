"""What is left of a route that Envoy refused."""

from dataclasses import replace

import pytest

from marchproxy.contract.document import decode
from marchproxy.model.matching import Request, find_route
from marchproxy.model.module import HealthStatus
from marchproxy.model.plan import Verdict
from marchproxy.model.problem import Problem
from marchproxy.model.state import DesiredState
from marchproxy.modules.base.engine import EngineHealth
from marchproxy.modules.http.blame import Blame, Item, ItemKind
from marchproxy.modules.http.quarantine import (
    HEADER,
    NOTHING_HELD,
    Blameless,
    Severity,
    literal_beginning,
)

STATE = decode(
    b"""
    pools: [{name: blue}, {name: green}]
    routes:
      - {id: shop, path: /shop, priority: 9, backends: [blue], cors: {origins: ["*"]}, request_headers: {set: {a: b}}}
      - {id: odd, path: {regex: "/odd/a.*"}, headers: [{name: v, regex: x}, {name: w, exact: y}], priority: 9, backends: [green]}
      - {id: both, path: /both, backends: [{pool: blue, weight: 50}, {pool: green, weight: 50}]}
      - {id: seen, path: /seen, backends: [green], mirrors: [{pool: blue}]}
    rate_limits: [{id: l, target: shop, requests_per_second: 1}]
    """
)
HEALTHY = EngineHealth(HealthStatus.HEALTHY, "serving", {"envoy": "ok"})


def route(name: str, field: str = "") -> Blame:
    index = [one.route_id for one in STATE.routes].index(name)  # type: ignore[arg-type]
    return Blame(Problem(f"routes[{index}]{field}", "Envoy refused it"), Item(ItemKind.ROUTE, name))


BLUE = Blame(Problem("pools[0]", "Envoy refused it"), Item(ItemKind.POOL, "blue"))


def answer(state: DesiredState, path: str, **headers: str) -> tuple[str, str]:
    """Which route takes a request, and what it says of a quarantine."""
    found = find_route(list(state.routes), Request("any.test", path, "GET", headers, "", ""))
    assert found is not None
    said = dict(found.response_headers.set).get(HEADER, "")
    assert (found.response is not None and found.response.status == 500) == bool(said)
    return found.route_id, said


def test_nothing_held_changes_nothing() -> None:
    assert NOTHING_HELD.applied(STATE) is STATE
    assert NOTHING_HELD.judge(HEALTHY) is HEALTHY


def test_a_refused_route_answers_in_its_place_and_does_nothing_else() -> None:
    held = NOTHING_HELD.extended([route("shop")], STATE).applied(STATE)
    assert answer(held, "/shop/x") == ("shop", "route shop")
    left = held.routes[0]
    assert (left.backends, left.cors, left.request_headers.set, left.priority) == ((), None, (), 9)
    assert held.rate_limits == ()  # the limit may be what was refused
    assert held.routes[1:] == STATE.routes[1:]


def test_a_refused_pool_takes_along_the_routes_that_need_it_and_no_copy() -> None:
    held = NOTHING_HELD.extended([BLUE], STATE).applied(STATE)
    assert [pool.name for pool in held.pools] == ["green"]
    assert {path: answer(held, path)[1] for path in ("/shop", "/both", "/seen")} == {
        "/shop": "pool blue",
        "/both": "pool blue",
        "/seen": "",
    }
    assert held.routes[3].mirrors == ()
    assert len(held.rate_limits) == 1


LLM = decode(
    b"""
    pools: [{name: blue, ai: {}}, {name: green, ai: {}}, {name: red, ai: {}}]
    routes:
      - id: two
        path: /two
        ai: {models: [{name: m, targets: [{pool: blue, weight: 50}, {pool: green, weight: 30}, {pool: red, weight: 20}]}]}
      - id: one
        path: /one
        ai: {models: [{name: m, targets: [green]}, {name: n, targets: [blue]}]}
      - id: tiers
        path: /tiers
        ai: {models: [{name: m, targets: [blue, {pool: green, tier: 1}]}]}
    """
)


def test_the_targets_of_a_model_stand_in_for_one_that_is_refused() -> None:
    quarantine = NOTHING_HELD.extended([BLUE], LLM)
    held = quarantine.applied(LLM)
    assert {path: answer(held, path)[1] for path in ("/two", "/one", "/tiers")} == {
        "/two": "",
        "/one": "pool blue",
        "/tiers": "",
    }
    weights = {
        route.route_id: [(target.pool, target.weight) for target in route.ai.models[0].targets]
        for route in held.routes
        if route.ai is not None
    }
    assert weights == {"two": [("green", 60), ("red", 40)], "tiers": [("green", 100)]}
    verdict = Verdict(can_handle=True, details={"route_id": "tiers"})
    assert quarantine.explain(verdict, LLM).details["quarantined"] == "pool blue"


@pytest.mark.parametrize("field", [".path", ".headers[0].regex"])
def test_where_the_match_is_refused_a_wider_one_answers_behind_all_others(field: str) -> None:
    catch_all = decode(
        b"pools: [{name: green}]\nroutes: [{id: rest, path: /odd/b, backends: [green]}]"
    ).routes
    state = replace(STATE, routes=(*STATE.routes, *catch_all))
    held = NOTHING_HELD.extended([route("odd", field)], state).applied(state)
    assert answer(held, "/odd/anything", w="y") == ("odd", "route odd")
    assert answer(held, "/odd/b", w="y") == ("rest", "")  # no request is lost that another route takes
    (left,) = [one for one in held.routes if one.route_id == "odd"]
    assert [header.name for header in left.match.headers] == ["w"]


def test_what_is_refused_again_is_held_more_firmly() -> None:
    once = NOTHING_HELD.extended([route("shop")], STATE)
    twice = once.extended([route("shop")], STATE)
    thrice = twice.extended([route("shop")], STATE)
    item = Item(ItemKind.ROUTE, "shop")
    assert [q.held[item].severity for q in (once, twice, thrice)] == list(Severity)
    assert "shop" not in {str(one.route_id) for one in thrice.applied(STATE).routes}
    with pytest.raises(Blameless):
        thrice.extended([route("shop")], STATE)


def test_what_is_of_no_item_cannot_be_held() -> None:
    with pytest.raises(Blameless, match="all of it"):
        NOTHING_HELD.extended([route("shop"), Blame(Problem("", "all of it"))], STATE)


@pytest.mark.parametrize(
    ("changed", "still"),
    [
        (STATE, {"shop", "blue"}),
        (replace(STATE, routes=(replace(STATE.routes[0], timeout=1), *STATE.routes[1:])), {"blue"}),
        (replace(STATE, rate_limits=()), {"blue"}),  # its limit is a part of the route
        (replace(STATE, routes=STATE.routes[1:]), {"blue"}),
        (replace(STATE, pools=STATE.pools[1:]), {"shop"}),
    ],
)
def test_a_correction_lifts_it(changed: DesiredState, still: set[str]) -> None:
    held = NOTHING_HELD.extended([route("shop"), BLUE], STATE).still_meant(changed)
    assert {item.name for item in held.held} == still


def test_health_and_metrics_tell_of_it() -> None:
    held = NOTHING_HELD.extended([route("shop"), BLUE], STATE)
    judged = held.judge(HEALTHY)
    assert judged.status is HealthStatus.DEGRADED
    assert "route shop (Envoy refused it)" in judged.checks["quarantine"]
    assert judged.checks["envoy"] == "ok"
    assert [(point.value, point.labels) for point in held.points()] == [
        (1, (("kind", "route"),)),
        (1, (("kind", "pool"),)),
    ]
    down = EngineHealth(HealthStatus.UNHEALTHY, "Envoy is dead", {})
    assert held.judge(down).status is HealthStatus.UNHEALTHY


@pytest.mark.parametrize(
    ("route_id", "named"), [("shop", "route shop, pool blue"), ("both", "pool blue"), ("odd", ""), ("", "")]
)
def test_what_is_said_of_a_request_tells_of_it(route_id: str, named: str) -> None:
    held = NOTHING_HELD.extended([route("shop"), BLUE], STATE)
    verdict = Verdict(can_handle=True, reason="matches", details={"route_id": route_id})
    told = held.explain(verdict, STATE)
    assert told.details.get("quarantined", "") == named
    assert ("Envoy refused it" in told.reason) == bool(named)
    assert NOTHING_HELD.explain(verdict, STATE) is verdict


@pytest.mark.parametrize(
    ("pattern", "beginning"),
    [
        ("/a/b", "/a"),
        ("/a/b(?=c)", "/a"),
        ("/a/(?=c)", "/a"),
        ("/[ab]", "/"),
        ("/a|/b", "/"),
        (".*", "/"),
        ("/a/b?", "/a"),
    ],
)
def test_literal_beginning(pattern: str, beginning: str) -> None:
    assert literal_beginning(pattern) == beginning
