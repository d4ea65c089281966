"""What an AILB is asked beyond other gateways: models, and where their endpoints are."""

from dataclasses import replace

import pytest

from marchproxy.model.ai import AiPool, AiRoute, Model, ModelTarget, Pick
from marchproxy.model.choice import PoolChoice
from marchproxy.model.module import ModuleType, PoolName
from marchproxy.model.plan import Verdict
from marchproxy.model.pool import BackendPool, Discovery, Endpoint
from marchproxy.model.route import BackendRef, Route, RouteId
from marchproxy.model.state import DesiredState
from marchproxy.modules.ailb import rules
from marchproxy.modules.ailb.choice import Attempts
from marchproxy.modules.ailb.plan import compile_plan
from marchproxy.modules.ailb.talk import Move
from marchproxy.modules.base.observation import EndpointSeen, Observation, PoolSeen, Traffic

A, B = PoolName("a"), PoolName("b")
FAST = Model("fast", (ModelTarget(A, 60), ModelTarget(A, 40), ModelTarget(B, tier=1)), aliases=("small",))
OTHER = Model("other", (ModelTarget(B),))
ROUTE = Route(RouteId("llm"), ai=AiRoute((FAST, OTHER)))
POOLS = tuple(BackendPool(name, endpoints=(Endpoint("10.0.0.1:1"),), ai=AiPool()) for name in (A, B))
STATE = DesiredState(routes=(ROUTE,), pools=POOLS)
YES = Verdict(can_handle=True, reason="its route", details={"route_id": "llm"})


@pytest.mark.parametrize(
    ("model", "healthy", "can", "words"),
    [
        ("", {}, True, "its route"),
        ("fast", {}, True, "its route"),
        ("small", {A: False}, True, "its route"),
        ("small", {A: False, B: False}, False, 'no pool of the model "fast" has a healthy endpoint'),
        ("none", {}, False, 'nobody serves the model "none"'),
    ],
)
def test_a_model_is_taken_where_somebody_serves_it(model, healthy, can, words):
    found = rules.with_model(YES, compile_plan(STATE), {"model": model}, healthy)
    assert (found.can_handle, words in found.reason) == (can, True)
    if can and model:
        assert found.details["model"] == "fast"


def test_another_module_s_verdict_stays():
    no = replace(YES, can_handle=False)
    assert rules.with_model(no, compile_plan(STATE), {"model": "fast"}, {}) is no
    other = replace(YES, details={"route_id": "shop"})
    assert rules.with_model(other, compile_plan(STATE), {"model": "fast"}, {}) is other


@pytest.mark.parametrize(
    ("model", "backends"),
    [
        ("small", (BackendRef(A, 60), BackendRef(A, 40))),
        ("other", (BackendRef(B),)),
        ("", (BackendRef(A, 60), BackendRef(A, 40))),
    ],
)
def test_choices_are_those_of_who_is_asked_first(model, backends):
    (route,) = rules.as_forwarding(STATE, ROUTE.route_id, model).routes
    assert (route.backends, route.ai, route.module_type) == (backends, None, ModuleType.AILB)
    assert rules.as_forwarding(STATE, RouteId("shop"), model) == STATE


@pytest.mark.parametrize("pick", Pick)
def test_who_asks_why_hears_how_the_decider_picks(pick):
    state = replace(STATE, pools=(replace(POOLS[0], ai=AiPool(pick=pick)), replace(POOLS[1], ai=None)))
    mine, other = (PoolChoice(name, "v1", 0.5, "the least busy of two") for name in "ab")
    found = rules.as_decided((mine, other), state)
    assert found[0].policy.startswith("an endpoint") or pick is Pick.ROUND_ROBIN
    assert replace(found[0], policy=mine.policy) == mine
    assert found[1] is other


def test_pools_of_both_are_there_while_a_change_is_made():
    after = DesiredState(
        routes=(ROUTE,), pools=(replace(POOLS[1], connect_timeout=9), BackendPool(PoolName("c")))
    )
    wider = rules.with_all_pools(STATE, after)
    assert wider.routes == STATE.routes
    assert [pool.name for pool in wider.pools] == ["a", "b", "c"]
    assert wider.pools[1].connect_timeout == 9
    assert rules.with_all_pools(STATE, STATE) is STATE
    assert rules.with_all_pools(DesiredState(), STATE) == DesiredState()  # nobody is served yet


def test_what_the_decider_is_told_of_endpoints():
    named = replace(POOLS[0], endpoints=(Endpoint("api.example:443"),))
    found = BackendPool(PoolName("c"), ai=AiPool(), discovery=Discovery(file="/f"))
    plain = BackendPool(PoolName("d"), endpoints=(Endpoint("api.example:443"),))
    state = DesiredState(pools=(named, POOLS[1], found, plain))
    seen = {
        "a": PoolSeen(
            endpoints=(
                EndpointSeen("192.0.2.1:443", healthy=True),
                EndpointSeen("192.0.2.2:443", healthy=False),
            )
        ),
        "b": PoolSeen(endpoints=(EndpointSeen("10.0.0.1:1", healthy=False),)),
        "c": PoolSeen(endpoints=(EndpointSeen("10.0.0.3:1", healthy=True),)),
        "d": PoolSeen(endpoints=(EndpointSeen("192.0.2.1:443", healthy=True),)),
    }
    assert rules.moved(state, Observation(pools=seen)) == Move(
        {A: (Endpoint("192.0.2.1:443"), Endpoint("192.0.2.2:443")), PoolName("c"): (Endpoint("10.0.0.3:1"),)},
        {A: ("192.0.2.2:443",), B: ("10.0.0.1:1",)},
    )
    assert rules.healthy(Observation(pools=seen)) == {"a": True, "b": False, "c": True, "d": True}


def test_a_pool_s_failures_are_its_own_whoever_answered_in_the_end():
    pools = {name: PoolSeen(Traffic(7, 0, 5, 6), trouble=name) for name in ("a", "other")}
    found = rules.attempted(pools, {A: Attempts(served=4, failed=3), B: Attempts(1, 1)})
    assert found == {"a": PoolSeen(Traffic(7, 3, 5, 6), trouble="a"), "other": pools["other"]}
