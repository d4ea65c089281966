"""Envoy's bins in buckets of ours: exact, because every bound is an edge of a bin."""

import pytest

from marchproxy.engines.envoy.metrics.buckets import BOUNDS, Distribution, distribution, distributions
from marchproxy.engines.envoy.stats import EnvoyStats, Histogram


def bin_of(lower: float, count: int = 1) -> dict[str, float]:
    """Envoy's bin: two significant digits."""
    width = 0.0 if lower == 0 else 0.1 if lower < 10 else 10 ** (len(str(int(lower))) - 2)
    return {"lower_bound": lower, "width": width, "count": count}


def below(found: Distribution) -> dict[float, int]:
    total, seen = 0, {}
    for bound, count in zip(BOUNDS, found.counts, strict=False):
        total += count
        seen[bound] = total
    return seen


@pytest.mark.parametrize(
    ("milliseconds", "first"),
    [
        (0, 0.001), (1, 0.005), (4, 0.005), (5, 0.01), (9, 0.01), (10, 0.025), (24, 0.025), (25, 0.05), (49, 0.05),
        (50, 0.1), (99, 0.1), (100, 0.25), (240, 0.25), (250, 0.5), (990, 1.0), (1000, 2.5), (2500, 5.0), (9900, 10.0),
        (10000, None), (60000, None),
    ],
)  # fmt: skip
def test_a_request_is_in_the_buckets_whose_bound_it_stayed_below(
    milliseconds: int, first: float | None
) -> None:
    """Envoy cuts off: 5 stands for 5 to 6 ms, so it is not among those that took less than 5."""
    counts = below(distribution([bin_of(milliseconds)]))
    assert [bound for bound, count in counts.items() if count] == [b for b in BOUNDS if first and b >= first]


def test_an_edge_that_binary_cannot_write_is_an_edge() -> None:
    assert below(distribution([{"lower_bound": 4.999999999999999, "width": 0.1, "count": 1}]))[0.005] == 0


def test_samples_and_seconds() -> None:
    found = distribution([bin_of(0, 5), bin_of(20, 2), bin_of(300, 1)])
    assert found.samples == 8
    assert found.seconds == pytest.approx((2 * 20.5 + 305) / 1000)


def test_since_and_plus() -> None:
    one = distribution([bin_of(3, 2)])
    two = distribution([bin_of(3, 5), bin_of(70, 1)])
    assert one.plus(two.since(one)).counts == two.counts
    assert one.plus(two.since(one)).seconds == pytest.approx(two.seconds)
    assert one.since(two) == one  # it went back, so it was started anew


def test_a_histogram_without_bins_is_left_out() -> None:
    histograms = {"a": Histogram(None, None, [bin_of(3)]), "b": Histogram(None, None)}
    assert set(distributions(EnvoyStats({}, {}, histograms))) == {"a"}
