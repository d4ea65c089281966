import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.model import balance
from marchproxy.model.balance import Candidate, Draw, pick_instance
from marchproxy.model.pool import BalancePolicy

LEAST, ROUND, RANDOM, HASH = (
    BalancePolicy.LEAST_CONNECTIONS,
    BalancePolicy.ROUND_ROBIN,
    BalancePolicy.RANDOM,
    BalancePolicy.SOURCE_HASH,
)
TRIO = (Candidate("a", weight=1), Candidate("b", weight=2), Candidate("c", weight=3))
CLIENTS = [f"10.0.{n >> 8}.{n & 255}" for n in range(6000)]


def picked(policy, candidates, draws):
    return Counter(pick_instance(policy, candidates, draw).instance_id for draw in draws)


@pytest.mark.parametrize("policy", BalancePolicy)
def test_nobody_to_choose(policy):
    assert pick_instance(policy, (), Draw()) is None
    assert pick_instance(policy, (Candidate("a", weight=0),), Draw()) is None


@pytest.mark.parametrize("policy", BalancePolicy)
def test_weight_0_is_never_chosen(policy):
    candidates = (Candidate("off", 0, weight=0), Candidate("on", 1000, weight=1))
    rng = random.Random(1)
    draws = [Draw(turn, (rng.random(), rng.random()), str(turn)) for turn in range(50)]
    assert picked(policy, candidates, draws) == {"on": 50}


@pytest.mark.parametrize(
    ("candidates", "chosen"),
    [
        ((Candidate("a", 3), Candidate("b", 2)), "b"),
        ((Candidate("b", 2), Candidate("a", 2)), "a"),  # a tie: by id, whatever the order
        ((Candidate("a", 9, weight=100), Candidate("b", 1, weight=10)), "a"),  # per weight
        ((Candidate("a", 0, weight=1), Candidate("b", 0, weight=2)), "b"),
    ],
)
def test_least_connections(candidates, chosen):
    assert pick_instance(LEAST, candidates, Draw()).instance_id == chosen


def test_least_connections_fills_in_proportion_to_weight():
    live = Counter()
    for _ in range(600):
        candidates = [Candidate(c.instance_id, live[c.instance_id], c.weight) for c in TRIO]
        live[pick_instance(LEAST, candidates, Draw()).instance_id] += 1
    assert live == {"a": 100, "b": 200, "c": 300}


@given(
    weights=st.lists(st.integers(0, 9), min_size=1, max_size=5),
    rounds=st.integers(1, 3),
    start=st.integers(0, 10**9),
)
def test_round_robin_is_exact_in_every_round(weights, rounds, start):
    candidates = [Candidate(str(n), weight=weight) for n, weight in enumerate(weights)]
    if not sum(weights):
        return
    draws = [Draw(start + turn) for turn in range(rounds * sum(weights))]
    assert picked(ROUND, candidates, draws) == Counter(
        {str(n): rounds * w for n, w in enumerate(weights) if w}
    )


def test_random_is_the_better_of_two():
    idle, busy = Candidate("idle", 0), Candidate("busy", 50)
    rolls = [0.0, 0.49, 0.51, 0.999999]
    draws = [Draw(rolls=(first, second)) for first in rolls for second in rolls]
    assert picked(RANDOM, (idle, busy), draws) == {"idle": 12, "busy": 4}  # busy only when both rolls find it


def test_random_respects_weights():
    rng = random.Random(7)
    # equal loads, a tie that "a" wins whenever one of the two rolls finds it
    counts = picked(
        RANDOM,
        [Candidate("a", 99, 100), Candidate("b", 299, 300)],
        [Draw(rolls=(rng.random(), rng.random())) for _ in range(4000)],
    )
    assert counts["a"] / 4000 == pytest.approx(1 - 0.75**2, abs=0.03)


def test_source_hash_respects_weights():
    counts = picked(HASH, TRIO, [Draw(source=client) for client in CLIENTS])
    for candidate in TRIO:
        assert counts[candidate.instance_id] / len(CLIENTS) == pytest.approx(candidate.weight / 6, abs=0.02)


@pytest.mark.parametrize("gone", TRIO)
def test_an_instance_that_goes_moves_only_its_own_clients(gone):
    left = [candidate for candidate in TRIO if candidate is not gone]
    for client in CLIENTS[:1000]:
        before = pick_instance(HASH, TRIO, Draw(source=client))
        after = pick_instance(HASH, left, Draw(source=client))
        assert after == before or before is gone


def test_source_hash_does_not_depend_on_order_or_load():
    busy = tuple(Candidate(c.instance_id, 1000, c.weight) for c in reversed(TRIO))
    for client in CLIENTS[:200]:
        assert (
            pick_instance(HASH, TRIO, Draw(source=client)).instance_id
            == pick_instance(HASH, busy, Draw(source=client)).instance_id
        )


@pytest.mark.parametrize("digest", [bytes(8), b"\xff" * 8])
def test_no_hash_is_too_small_or_too_large(digest, monkeypatch):
    class Extreme:
        def __init__(self, *_, **__):
            pass

        def digest(self):
            return digest

    monkeypatch.setattr(balance, "blake2b", Extreme)
    assert pick_instance(HASH, TRIO, Draw(source="x")).instance_id == "c"  # equal luck: the heaviest
