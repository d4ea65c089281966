import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.model.bucket import Rate, rates_of, take
from marchproxy.model.limit import LimitId, RateLimit


def admitted(rates, times):
    """Which of these arrivals keep to the rates."""
    levels, found = None, []
    for now in times:
        after = take(levels, rates, now)
        found.append(after is not None)
        levels = after or levels
    return found


@pytest.mark.parametrize(
    ("limit", "rates"),
    [
        ({"per_second": 5}, (Rate(0.2, 5),)),
        ({"per_second": 5, "burst": 20}, (Rate(0.2, 20),)),
        ({"per_minute": 6}, (Rate(10.0, 6),)),
        ({"per_hour": 36, "per_second": 1}, (Rate(1.0, 1), Rate(100.0, 36))),
        ({}, ()),
    ],
)
def test_rates_of_a_limit(limit, rates):
    assert rates_of(RateLimit(LimitId("r"), "*", **limit)) == rates


@pytest.mark.parametrize(
    ("rates", "times", "found"),
    [
        ((Rate(1.0, 2),), (0, 0, 0, 0.9, 1.0, 1.0), (True, True, False, False, True, False)),
        ((Rate(1.0, 2),), (5, 5, 5, 100, 100, 100), (True, True, False) * 2),
        # both hold: the slow one lets two pass in ten seconds
        ((Rate(1.0, 1), Rate(10.0, 2)), (0, 0.5, 1, 2, 10), (True, False, True, False, True)),
        ((), (0, 0), (True, True)),
    ],
)
def test_arrivals(rates, times, found):
    assert admitted(rates, times) == list(found)


@given(
    st.integers(1, 50),
    st.integers(1, 50),
    st.lists(st.floats(0, 0.5), min_size=1, max_size=200),
)
def test_no_more_than_the_burst_and_the_rate_pass(per_second, burst, gaps):
    times, now = [], 1000.0
    for gap in gaps:
        now += gap
        times.append(now)
    passed = sum(admitted((Rate(1 / per_second, burst),), times))
    assert passed <= burst + (times[-1] - times[0]) * per_second + 1e-6
    assert passed >= min(len(times), burst)


def test_a_steady_rate_loses_nothing_to_rounding():
    assert all(admitted((Rate(1 / 3, 1),), [n / 3 for n in range(3000)]))
