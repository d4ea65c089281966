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
from marchproxy.modules.ailb.choice import Attempts, Standing
from marchproxy.modules.ailb.plan import compile_plan
from marchproxy.modules.ailb.talk import Move
from marchproxy.modules.base.observation import EndpointSeen, Observation, PoolSeen, Traffic

A, B = PoolName("a"), PoolName("b")
FAST = Model("fast", (ModelTarget(A, 60), ModelTarget(A, 40), ModelTarget(B, tier=1)), aliases=("small",))
OTHER = Model("other", (ModelTarget(B),))
IDLE = Model("idle", (ModelTarget(A), ModelTarget(B, 0)))
ROUTE = Route(RouteId("llm"), ai=AiRoute((FAST, OTHER, IDLE)))
POOLS = tuple(BackendPool(name, endpoints=(Endpoint("10.0.0.1:1"),), ai=AiPool()) for name in (A, B))
STATE = DesiredState(routes=(ROUTE,), pools=POOLS)
YES = Verdict(can_handle=True, reason="its route", details={"route_id": "llm"})


@pytest.mark.parametrize(
    ("model", "unsound", "can", "words"),
    [
        ("", {}, True, "its route"),
        ("fast", {}, True, "its route"),
        ("small", {A: "failed"}, True, "its route"),
        ("small", {A: "failed", B: "gone"}, False, 'model "fast" is sound: pool a: failed; pool b: gone'),
        ("idle", {A: "failed"}, False, "pool a: failed"),
        ("none", {}, False, 'nobody serves the model "none"'),
    ],
)
def test_a_model_is_taken_where_somebody_serves_it(model, unsound, can, words):
    found = rules.with_model(YES, compile_plan(STATE), {"model": model}, unsound)
    assert (found.can_handle, words in found.reason) == (can, True)
    if can and model:
        assert found.details["model"] == "fast"
        assert found.details.get("unsound", "") == "; ".join(
            f"pool {name}: {why}" for name, why in unsound.items()
        )


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
    assert found[0].policy.split()[0] in {"by", "with", "in"}  # "an endpoint" stands before it
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
    assert rules.moved(
        state, Observation(pools=seen), {"192.0.2.1:443": "hot", "10.0.0.3:1": "lost"}
    ) == Move(
        {A: (Endpoint("192.0.2.1:443"), Endpoint("192.0.2.2:443")), PoolName("c"): (Endpoint("10.0.0.3:1"),)},
        {A: ("192.0.2.1:443", "192.0.2.2:443"), B: ("10.0.0.1:1",), PoolName("c"): ("10.0.0.3:1",)},
    )


FIRST, SECOND = "10.0.0.1:1", "10.0.0.2:1"


@pytest.mark.parametrize(
    ("ill", "failed", "unfit", "words"),
    [
        ((), (), {}, None),
        ((FIRST,), (), {}, None),
        ((FIRST,), (SECOND,), {}, f"{FIRST} fails its health checks; {SECOND} is left alone for a while"),
        ((SECOND,), (), {FIRST: "GPU 0 is lost"}, f"{FIRST}: GPU 0 is lost; {SECOND} fails"),
        ((), (FIRST, SECOND), {}, "because it failed"),
        ((FIRST, SECOND), (), {}, "fails its health checks"),
    ],
)
def test_a_pool_is_sound_while_one_of_its_endpoints_may_be_asked(ill, failed, unfit, words):
    endpoints = tuple(EndpointSeen(each, healthy=each not in ill) for each in (FIRST, SECOND))
    seen = Observation(pools={"a": PoolSeen(endpoints=endpoints), "b": PoolSeen()})
    standings = [Standing(A, each, is_sound=each not in failed) for each in (FIRST, SECOND)]
    found = rules.unsound(seen, [*standings, Standing(B, FIRST, is_sound=False)], unfit)
    assert found["b"] == "it has no endpoint"
    assert (words in found["a"]) if words else "a" not in found
    assert list(rules.addresses(seen)) == [FIRST, SECOND]


def test_of_a_large_pool_a_few_faults_are_told():
    ill = PoolSeen(endpoints=tuple(EndpointSeen(f"10.0.0.{n}:1", healthy=False) for n in range(9)))
    assert rules.unsound(Observation(pools={"a": ill}), (), {})["a"].endswith(" (and 4 more)")


def test_a_pool_s_failures_are_its_own_whoever_answered_in_the_end():
    pools = {name: PoolSeen(Traffic(7, 0, 5, 6), trouble=name) for name in ("a", "other")}
    found = rules.attempted(pools, {A: Attempts(served=4, failed=3), B: Attempts(1, 1)})
    assert found == {"a": PoolSeen(Traffic(7, 3, 5, 6), trouble="a"), "other": pools["other"]}
