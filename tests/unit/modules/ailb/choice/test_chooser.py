"""Where a request goes: over pools that are full, failing, gone or refused; and what is learnt from its end."""

import json
from collections import Counter
from random import Random

import pytest

from marchproxy.model.ai import AiPool, Pick, Prefer, Provider
from marchproxy.model.model_names import ModelPatterns
from marchproxy.model.pool import BackendPool, Endpoint
from marchproxy.modules.ailb.choice import FULL, NOBODY, Attempts, Chooser, Outcome, Prompt, Standing, Wanted
from marchproxy.modules.ailb.dialects.body import Body
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.load import EngineLoad
from marchproxy.modules.ailb.plan import ModelPlan, PoolPlan, Target

FINE = Outcome(200, 1, 0.1)


class Rig:
    """Pools `a`, `b`, … with so many endpoints each, and a model that all of them answer for, by their tiers."""

    def __init__(self, pick=Pick.LEAST_PENDING, prefer=Prefer.WEIGHT, **pools):
        options = AiPool(Provider.VLLM, pick=pick)
        self.plans = {name: PoolPlan(BackendPool(name), options, ModelPatterns(())) for name in pools}
        self.places = {
            name: [Endpoint(f"10.0.{ord(name)}.{at}:80") for at in range(size)]
            for name, (size, _) in pools.items()
        }
        targets = tuple(Target(self.plans[name], "m", 100, tier) for name, (_, tier) in pools.items())
        self.model = ModelPlan("m", targets, prefer)
        self.chooser = Chooser(Random(1))
        self.configure()

    def configure(self, now=0.0):
        self.chooser.configure(self.plans, self.places, now)

    def hears(self, pool, waiting, running=10.0, kv=0.1, now=0.0):
        for member in self.chooser.members(pool):
            for _ in range(2):  # who is full is full for two looks
                member.asked()
                member.heard(EngineLoad(waiting, running, kv), now)

    def choose(self, now=0.0, *, attempts=1, prompt=None, affinity="", even_full=False):
        wanted = Wanted(self.model, prompt, attempts, affinity)
        return self.chooser.choose(wanted, now, even_full=even_full)

    def fails(self, pool, times=5, now=0.0, status=503):
        """Requests to a pool's first endpoint fail."""
        first = self.places[pool][0].address
        while times:
            chosen = self.choose(now)
            hit = chosen.attempts[0].member.address == first
            self.chooser.ended(chosen, Outcome(status) if hit else Outcome(None), now)
            times -= hit

    def pools(self, now=0.0, **options):
        return self.choose(now, **options).pools


def in_flight(rig, pool):
    return [member.in_flight for member in rig.chooser.members(pool)]


def test_a_request_is_counted_where_it_goes_until_it_ends_once():
    rig = Rig(a=(2, 0))
    chosen = [rig.choose() for _ in range(4)]
    assert in_flight(rig, "a") == [2, 2]
    for each in chosen[:3]:
        rig.chooser.ended(each, FINE, 1.0)
        rig.chooser.ended(each, FINE, 1.0)
    assert sum(in_flight(rig, "a")) == 1
    assert rig.chooser.members("a").in_flight == 1


def test_hosts_are_told_in_the_order_of_attempts_and_names_are_left_to_envoy():
    rig = Rig(a=(1, 0), b=(2, 1))
    rig.places["b"][1] = Endpoint("b.example:443")
    rig.places["a"] = [Endpoint("[::1]:80")]
    rig.configure()
    chosen = rig.choose(attempts=3)
    assert chosen.pools == ("a", "b", "b")
    hosts = chosen.hosts.split(",")
    assert sorted(hosts) == ["10.0.98.0:80", "[::1]:80"]
    assert hosts[0] == "[::1]:80"


def test_nobody_answers_for_pools_without_endpoints():
    rig = Rig(a=(0, 0))
    assert rig.choose() is NOBODY
    rig.places = {}
    rig.configure()
    assert rig.choose() is NOBODY


def test_a_target_without_weight_is_never_asked():
    rig = Rig(a=(1, 0), b=(1, 0))
    first = rig.model.targets[0]
    rig.model = ModelPlan("m", (first, Target(rig.plans["b"], "m", 0, 0)))
    assert {rig.pools(attempts=3) for _ in range(50)} == {("a", "a", "a")}


def test_who_is_full_is_asked_last_and_when_all_are_nobody_is():
    rig = Rig(a=(2, 0), b=(2, 1))
    rig.hears("a", waiting=5)
    assert rig.pools(attempts=2) == ("b", "a")
    rig.hears("b", waiting=5)
    assert rig.choose(attempts=2) is FULL
    assert rig.pools(attempts=2, even_full=True) == ("a", "b")
    rig.hears("b", waiting=0)
    assert rig.pools() == ("b",)


@pytest.mark.parametrize(
    ("waiting", "kv", "full"),
    [(0, 0.1, False), (4, 0.1, False), (5, 0.1, True), (0, 0.79, False), (0, 0.8, True), (6, 1.0, True)],
)
def test_an_engine_is_full_by_its_queue_or_its_cache(waiting, kv, full):
    rig = Rig(a=(1, 0))
    rig.hears("a", waiting, kv=kv)
    assert (rig.choose() is FULL) is full


def test_a_pool_is_full_when_its_engines_are_in_the_mean():
    rig = Rig(a=(2, 0))
    one, other = rig.chooser.members("a")
    for member, waiting in ((one, 8), (other, 1)):
        for _ in range(2):
            member.asked()
            member.heard(EngineLoad(waiting, 10, 0.0), 0.0)
    assert rig.chooser.members("a").saturation(0.0) == pytest.approx(0.9)
    assert rig.choose() is not FULL
    assert rig.choose() is FULL  # that one made it ten that wait


def test_between_two_looks_no_more_are_sent_than_may_wait():
    rig = Rig(a=(1, 0))
    rig.hears("a", waiting=1, running=4)
    sent = []
    while (chosen := rig.choose()) is not FULL:
        sent.append(chosen)
    assert len(sent) == 4
    rig.chooser.ended(sent[0], FINE, 0.0)
    assert rig.choose() is not FULL


def test_of_who_says_nothing_nobody_knows_whether_it_is_full():
    rig = Rig(a=(2, 0))
    assert all(rig.choose() is not FULL for _ in range(500))
    rig.hears("a", waiting=500, now=10.0)
    assert rig.choose(10.0) is FULL
    rig.chooser.sweep(11.9)
    assert rig.choose(11.9) is FULL
    rig.chooser.sweep(12.1)  # what it said is too old
    assert rig.choose(12.1) is not FULL


def test_who_fails_is_left_alone_and_comes_back():
    rig = Rig(a=(2, 0))
    rig.fails("a", now=1.0)
    sick, sound = (each.address for each in rig.places["a"])
    assert {rig.choose(1.0).attempts[0].member.address for _ in range(9)} == {sound}
    assert {rig.choose(5.9).attempts[0].member.address for _ in range(9)} == {sound}
    assert sick in {rig.choose(6.0).attempts[0].member.address for _ in range(40)}


def test_a_pool_without_a_sound_endpoint_is_skipped():
    rig = Rig(a=(1, 0), b=(1, 1))
    rig.fails("a")
    assert rig.pools(attempts=2) == ("b", "b")
    assert rig.pools(5.0, attempts=2) == ("a", "b")


def test_when_nobody_is_sound_all_are_asked():
    rig = Rig(a=(1, 0), b=(1, 1))
    rig.fails("a")
    rig.chooser.keep_out("b", {rig.places["b"][0].address}, 0.0)
    assert rig.pools(attempts=2) == ("a", "b")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_credential_is_the_whole_pools(status):
    rig = Rig(a=(3, 0), b=(1, 1))
    rig.chooser.ended(rig.choose(), Outcome(status), 1.0)
    assert rig.pools(1.0) == ("b",)
    assert rig.pools(6.0) == ("a",)


@pytest.mark.parametrize("status", [200, 400, 404, None])
def test_what_is_not_the_endpoints_fault_leaves_it_sound(status):
    rig = Rig(a=(1, 0), b=(1, 1))
    for _ in range(20):
        rig.chooser.ended(rig.choose(), Outcome(status), 0.0)
    assert rig.pools() == ("a",)


@pytest.mark.parametrize(("made", "failed"), [(1, ""), (2, "a"), (3, "ab"), (9, "ab"), (0, "")])
def test_attempts_before_the_last_have_failed(made, failed):
    rig = Rig(a=(1, 0), b=(1, 1), c=(1, 2))
    chosen = [rig.choose(attempts=3) for _ in range(5)]
    for each in chosen:
        rig.chooser.ended(each, Outcome(200, made, 0.1), 0.0)
    left_alone = {name for name in "abc" if not rig.chooser.members(name).sound(0.0)}
    assert "".join(sorted(left_alone)) == failed


@pytest.mark.parametrize(
    ("outcome", "a", "b"),
    [
        (FINE, (1, 0), (0, 0)),
        (Outcome(200, 2, 0.1), (0, 1), (1, 0)),
        (Outcome(503, 2), (0, 1), (0, 1)),
        (Outcome(0), (0, 1), (0, 0)),
        (Outcome(429), (0, 1), (0, 0)),
        (Outcome(401), (0, 1), (0, 0)),
        (Outcome(400), (1, 0), (0, 0)),
        (Outcome(None), (0, 0), (0, 0)),
    ],
)
def test_attempts_are_counted_where_they_were_made(outcome, a, b):
    rig = Rig(a=(1, 0), b=(1, 1))
    rig.chooser.ended(rig.choose(attempts=2), outcome, 0.0)
    assert rig.chooser.attempts() == {"a": Attempts(*a), "b": Attempts(*b)}


def test_who_is_out_is_not_asked_until_it_is_back_even_when_endpoints_change():
    rig = Rig(a=(2, 0))
    out, other = (each.address for each in rig.places["a"])
    rig.chooser.keep_out("a", {out}, 0.0)
    rig.configure()
    assert {rig.choose().attempts[0].member.address for _ in range(9)} == {other}
    rig.chooser.keep_out("a", (), 0.0)
    assert len({rig.choose().attempts[0].member.address for _ in range(40)}) == 2
    rig.chooser.keep_out("nowhere", {out}, 0.0)


def test_endpoints_that_stay_keep_what_is_known_of_them():
    rig = Rig(a=(2, 0))
    sent = [rig.choose() for _ in range(6)]
    rig.places["a"] = [rig.places["a"][0], Endpoint("10.0.0.9:80", 3)]
    rig.configure()
    assert in_flight(rig, "a") == [3, 0]
    for each in sent:  # to one that is gone, too
        rig.chooser.ended(each, FINE, 1.0)
    assert in_flight(rig, "a") == [0, 0]
    assert [member.share for member in rig.chooser.members("a")] == [3.0, 1.0]


def test_a_pool_that_went_and_came_back_owes_nothing():
    rig = Rig(a=(1, 0))
    sent = rig.choose()
    rig.chooser.configure({}, {}, 0.0)
    rig.configure()
    rig.chooser.ended(sent, FINE, 1.0)
    assert in_flight(rig, "a") == [0]
    assert rig.chooser.members("a").in_flight == 0


def test_least_pending_heeds_weights():
    rig = Rig(a=(2, 0))
    rig.places["a"] = [Endpoint("10.0.0.1:80", 3), Endpoint("10.0.0.2:80", 1)]
    rig.configure()
    for _ in range(400):
        rig.choose()
    heavy, light = in_flight(rig, "a")
    assert heavy == pytest.approx(300, abs=2)
    assert light == pytest.approx(100, abs=2)


def test_round_robin_takes_turns():
    rig = Rig(Pick.ROUND_ROBIN, a=(3, 0))
    firsts = [rig.choose().attempts[0].member.address for _ in range(9)]
    assert firsts[:3] * 3 == firsts
    assert len(set(firsts)) == 3


@pytest.mark.parametrize("pick", Pick)
def test_affinity_keeps_to_an_endpoint_whatever_the_pick(pick):
    rig = Rig(pick, a=(4, 0))
    assert len({rig.choose(affinity="me").attempts[0].member.address for _ in range(20)}) == 1


def prompt(text):
    body = {"model": "m", "messages": [{"role": "user", "content": text * 100}]}
    return Prompt(Operation.CHAT, Body.read(json.dumps(body).encode()), "m")


def test_a_prompt_goes_where_its_beginning_was():
    rig = Rig(Pick.SCORED, a=(4, 0))
    first = rig.choose(prompt=prompt("hello "))
    assert (first.cached, first.blocks) == (0, 9)
    again = [rig.choose(prompt=prompt("hello ")) for _ in range(5)]
    assert {each.attempts[0].member for each in again} == {first.attempts[0].member}
    assert {(each.cached, each.blocks) for each in again} == {(9, 9)}
    other = rig.choose(prompt=prompt("good day "))
    assert other.attempts[0].member is not first.attempts[0].member  # it has fewer requests


@pytest.mark.parametrize(("pick", "size"), [(Pick.LEAST_PENDING, 4), (Pick.ROUND_ROBIN, 4), (Pick.SCORED, 1)])
def test_no_prompt_is_hashed_where_it_does_not_matter(pick, size):
    rig = Rig(pick, a=(size, 0))
    chosen = rig.choose(prompt=prompt("hello "))
    assert chosen.blocks == 0
    assert not any(len(member.seen) for member in rig.chooser.members("a"))


def test_the_fastest_pool_takes_over():
    rig = Rig(prefer=Prefer.LATENCY, a=(1, 0), b=(1, 0))
    took = {"a": 0.5, "b": 0.1}
    now, firsts = 0.0, Counter()
    for number in range(500):
        now += 0.1
        chosen = rig.choose(now)
        if number >= 100:
            firsts[chosen.pools[0]] += 1
        rig.chooser.ended(chosen, Outcome(200, 1, took[chosen.pools[0]]), now)
    assert firsts["b"] > 350


def test_how_endpoints_are_can_be_told():
    rig = Rig(Pick.SCORED, a=(2, 0))
    rig.hears("a", waiting=2, running=3, kv=0.5)
    one, other = rig.places["a"]
    rig.chooser.keep_out("a", {other.address}, 0.0)
    for _ in range(2):
        rig.choose(prompt=prompt("hello "))
    _, silent = rig.chooser.members("a")
    silent.silent()
    assert rig.chooser.standings(0.0) == (
        Standing("a", one.address, 2, 7.0, 4.0, 0.5, True, 18, 9),
        Standing("a", other.address, is_sound=False),
    )


def test_what_was_sent_long_ago_counts_less():
    rig = Rig(Pick.SCORED, a=(2, 0))
    sent = [rig.choose() for _ in range(2001)]
    taken = [member.taken for member in rig.chooser.members("a")]
    assert 999 < sum(taken) < 1002
    for each in sent:
        rig.chooser.ended(each, FINE, 1.0)
    assert in_flight(rig, "a") == [0, 0]
