"""Several histograms as one: what is true of all samples together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.engines.envoy.blend import blend
from marchproxy.engines.envoy.stats import Quantiles

NAMES = ("minimum", "p25", "p50", "p75", "p90", "p95", "p99", "p99_5", "p99_9", "maximum")
FLAT_5, FLAT_9 = Quantiles(*[5.0] * 10), Quantiles(*[9.0] * 10)
EVEN = Quantiles(0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100, mean=50)
values = st.lists(st.integers(0, 50).map(float), min_size=10, max_size=10).map(sorted)


def listed(found: Quantiles | None) -> list[float]:
    assert found is not None
    return [getattr(found, name) for name in NAMES]


def test_nothing_and_one_part_stay_as_they_are() -> None:
    assert blend([]) is None
    assert blend([(EVEN, 3)]) is EVEN


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ((50, 50), [5, 5, 5, 9, 9, 9, 9, 9, 9, 9]),
        ((98, 2), [5, 5, 5, 5, 5, 5, 9, 9, 9, 9]),
        ((1, 99), [5, 9, 9, 9, 9, 9, 9, 9, 9, 9]),
    ],
)
def test_two_kinds_of_answers_have_the_quantiles_of_their_shares(
    shares: tuple[int, int], expected: list[float]
) -> None:
    assert listed(blend([(FLAT_5, shares[0]), (FLAT_9, shares[1])])) == expected


def test_the_same_twice_is_the_same() -> None:
    found = blend([(EVEN, 1), (EVEN, 9)])
    assert listed(found) == pytest.approx(listed(EVEN))
    assert found is not None
    assert found.mean == 50


def test_a_slow_tenth_is_seen_from_the_ninth_decile_on() -> None:
    slow = Quantiles(*[200.0] * 10)
    found = blend([(EVEN, 9), (slow, 1)])
    assert found is not None
    assert (found.p50, found.p90, found.p99) == pytest.approx((55.56, 100, 200), abs=0.01)
    assert found.mean is None  # of the slow part it is not known


@given(st.lists(st.tuples(values, st.integers(1, 1000)), min_size=2, max_size=4))
def test_a_blend_lies_between_its_parts_and_grows(parts: list[tuple[list[float], int]]) -> None:
    found = listed(blend([(Quantiles(*each), share) for each, share in parts]))
    assert found == sorted(found)
    for place, value in enumerate(found):
        of_all = [each[place] for each, _ in parts]
        assert min(of_all) - 1e-6 <= value <= max(of_all) + 1e-6
