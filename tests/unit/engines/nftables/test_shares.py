"""Shares follow the weights, whatever the kernel uses as a number."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.engines.nftables.shares import MAX_TURNS, RING, WIDE_RING, intervals, ring, slots, turns

WEIGHTS = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3), st.integers(1, 65_535), min_size=1, max_size=12
)


def test_intervals_are_the_weights_side_by_side():
    assert intervals({"a": 3, "b": 1, "c": 2}) == (((0, 2), "a"), ((3, 3), "b"), ((4, 5), "c"))


@pytest.mark.parametrize(
    ("weights", "repeated"),
    [
        ({"a": 1}, "a"),
        ({"a": 300, "b": 100}, "aaab"),
        ({"a": MAX_TURNS, "b": 1}, ""),  # finer than slots can be
    ],
)
def test_slots_are_exact_or_none(weights: dict[str, int], repeated: str):
    assert "".join(slots(weights)) == repeated


@pytest.mark.parametrize(
    ("weights", "order"),
    [
        ({"a": 1}, "a"),
        ({"a": 50, "b": 50}, "ab"),
        ({"a": 5, "b": 1, "c": 1}, "aabacaa"),  # the example of nginx's own commit, 52327e0
    ],
)
def test_turns(weights: dict[str, int], order: str):
    assert "".join(turns(weights)) == order


@given(WEIGHTS)
def test_turns_are_bounded_and_forget_nobody(weights: dict[str, int]):
    order = turns(weights)
    assert len(order) <= MAX_TURNS + len(weights)
    assert set(order) == set(weights)


@given(WEIGHTS)
def test_ring_gives_each_its_share_to_a_slot_or_two(weights: dict[str, int]):
    held = Counter(ring(weights))
    assert held.total() == RING
    for name, weight in weights.items():
        assert held[name] == pytest.approx(RING * weight / sum(weights.values()), abs=2 + len(weights) / 2)


def test_ring_does_not_depend_on_order():
    assert ring({"a": 1, "b": 2}) == ring({"b": 2, "a": 1})


def test_many_backends_share_a_wide_ring():
    assert len(ring({f"b{number}": 1 for number in range(101)})) == WIDE_RING


def test_a_backend_that_goes_moves_few_other_clients():
    before = ring(dict.fromkeys("abcde", 1))
    after = ring(dict.fromkeys("abcd", 1))
    moved = sum(old != new for old, new in zip(before, after, strict=True) if old != "e")
    assert moved < 0.15 * RING
