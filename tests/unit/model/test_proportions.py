from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.model import proportions
from marchproxy.model.proportions import chance_of_difference, chance_of_failures


def by_counting(failures: int, trials: int, other_failures: int, other_trials: int) -> float:
    """Fisher's test from its definition, in whole numbers."""
    together, everything = failures + other_failures, comb(trials + other_trials, failures + other_failures)
    ways = sum(
        comb(trials, k) * comb(other_trials, together - k)
        for k in range(failures, min(trials, together) + 1)
        if together - k <= other_trials
    )
    return ways / everything


SAMPLES = st.integers(1, 150).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(canary=SAMPLES, baseline=SAMPLES)
def test_the_exact_test_is_fishers(canary, baseline):
    assert chance_of_difference(*canary, *baseline) == pytest.approx(
        by_counting(*canary, *baseline), rel=1e-6
    )


@pytest.mark.parametrize(
    ("canary", "baseline"), [((40, 1000), (20, 1000)), ((60, 2000), (210, 8000)), ((300, 9000), (290, 9000))]
)
def test_the_approximation_is_near_the_exact_test(monkeypatch, canary, baseline):
    exact = by_counting(*canary, *baseline)
    monkeypatch.setattr(proportions, "_EXACT_FAILURES", 0)
    assert chance_of_difference(*canary, *baseline) == pytest.approx(exact, rel=0.2)


@pytest.mark.parametrize("arguments", [(0, 0, 5, 10), (5, 10, 0, 0), (0, 10, 5, 10)])
def test_without_anything_to_compare_nothing_is_unlikely(arguments):
    assert chance_of_difference(*arguments) == 1.0


@given(sample=SAMPLES, rate=st.floats(0.001, 0.999))
def test_the_binomial_tail_is_the_sum_of_its_terms(sample, rate):
    failures, trials = sample
    terms = (comb(trials, k) * rate**k * (1 - rate) ** (trials - k) for k in range(failures, trials + 1))
    assert chance_of_failures(failures, trials, rate) == pytest.approx(sum(terms), abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "chance"),
    [((3, 10, 0.0), 0.0), ((3, 10, 1.0), 1.0), ((0, 10, 0.0), 1.0), ((10_250, 100_000, 0.1), 0.0043)],
)
def test_the_edges_of_the_binomial_tail(arguments, chance):
    assert chance_of_failures(*arguments) == pytest.approx(chance, rel=0.05)
