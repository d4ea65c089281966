"""In which order pools are asked, and which attempt goes where."""

from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from marchproxy.model.ai import AiPool, Prefer, Price
from marchproxy.model.model_names import ModelPatterns
from marchproxy.model.pool import BackendPool, Endpoint
from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.choice.member import Member
from marchproxy.modules.ailb.choice.members import Members
from marchproxy.modules.ailb.choice.targets import Candidate, Wish, spread, tiers
from marchproxy.modules.ailb.ledger.prices import PriceList
from marchproxy.modules.ailb.plan import PoolPlan, Target

AS_MUCH = Usage(1000, 1000)


def candidate(name, *, weight=100, tier=0, full=False, endpoints=1, price=None):
    target = Target(PoolPlan(BackendPool(name), AiPool(), ModelPatterns(())), name, weight, tier)
    if price is not None:
        tariff = PriceList({name: price}).tariff(name)
        target = replace(target, tariff=tariff, is_priced=True)
    among = [Member(Endpoint(f"{name}{at}")) for at in range(endpoints)]
    return Candidate(target, Members(), among, full)


def names(ordered):
    return ["".join(one.target.name for one in tier) for tier in ordered]


def wish(prefer=Prefer.WEIGHT, expected=AS_MUCH):
    return Wish(prefer, expected, 100.0)


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        ([candidate("a")], ["a"]),
        ([candidate("a", tier=1), candidate("b", tier=0)], ["b", "a"]),
        ([candidate("a", full=True), candidate("b", tier=1)], ["b", "a"]),
        ([candidate("a", full=True), candidate("b", tier=1, full=True)], ["a", "b"]),
    ],
)
def test_tiers_come_in_order_and_those_that_are_full_behind_all_others(candidates, expected):
    assert names(tiers(candidates, wish(), Random(1))) == expected


def test_pools_are_first_as_often_as_their_weight_says():
    pools, dice = [candidate("a", weight=90), candidate("b", weight=10)], Random(5)
    firsts = Counter(names(tiers(pools, wish(), dice))[0] for _ in range(10_000))
    assert 8_870 < firsts["ab"] < 9_130  # four deviations


@pytest.mark.parametrize(
    ("expected", "first"),
    [(Usage(1000, 10), "a"), (Usage(10, 1000), "b")],  # much to read, much to write
)
def test_the_cheapest_is_first_by_what_the_request_will_use(expected, first):
    pools = [
        candidate("c"),  # nobody has given it a price
        candidate("a", price=Price(1, 10)),
        candidate("b", price=Price(2, 5)),
    ]
    (order,) = names(tiers(pools, wish(Prefer.COST, expected), Random(2)))
    assert order[0] == first
    assert order[-1] == "c"


def test_the_fastest_is_first_and_who_is_not_known_is_tried_by_one_request():
    pools = [candidate("a"), candidate("b"), candidate("c")]
    pools[0].members.latency.took(0.5, 99.0)
    pools[1].members.latency.took(0.2, 99.0)
    dice = Random(6)  # does not say to explore below
    fastest = wish(Prefer.LATENCY)
    assert names(tiers(pools, fastest, dice)) == ["cba"]
    pools[2].members.in_flight = 1
    assert names(tiers(pools, fastest, dice)) == ["bac"]


def test_one_in_a_hundred_goes_by_weight_so_that_it_is_known_how_fast_all_are():
    pools, dice = [candidate("a"), candidate("b")], Random(7)
    pools[0].members.latency.took(0.5, 99.0)
    pools[1].members.latency.took(0.2, 99.0)
    firsts = Counter(names(tiers(pools, wish(Prefer.LATENCY), dice))[0] for _ in range(10_000))
    assert 10 < firsts["ab"] < 110  # half of those that explore


A, A4 = candidate("a"), candidate("a", endpoints=4)
B, B4 = candidate("b", tier=1), candidate("b", endpoints=4, tier=1)
C, C2 = candidate("c"), candidate("c", endpoints=2)


@pytest.mark.parametrize(
    ("ordered", "attempts", "expected"),
    [
        ([[A]], 1, "a0"),
        ([[A]], 3, "a0 a0 a0"),  # nobody else is there
        ([[A4]], 3, "a0 a1 a2"),
        ([[A4], [B]], 3, "a0 a1 b0"),
        ([[A4], [B]], 2, "a0 b0"),
        ([[A4], [B]], 1, "a0"),
        ([[A], [B]], 3, "a0 b0 a0"),
        ([[A], [B4]], 3, "a0 b0 b1"),
        ([[A], [B4]], 5, "a0 b0 b1 b2 b3"),
        ([[A, C]], 3, "a0 c0 a0"),
        ([[A4, C2]], 4, "a0 c0 a1 c1"),
        ([[A4, C], [B]], 4, "a0 c0 a1 b0"),
        ([[A], [C2], [B]], 2, "a0 c0"),
    ],
)
def test_each_attempt_goes_on_to_who_was_not_asked(ordered, attempts, expected):
    made = spread(ordered, attempts, lambda one: one.among)
    assert [one.member.address for one in made] == expected.split()


def test_who_is_not_reached_is_not_put_in_order():
    asked = []

    def order(one):
        asked.append(one.target.name)
        return one.among

    spread([[A4, C], [B]], 2, order)
    assert asked == ["a", "b"]
