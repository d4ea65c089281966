"""How long something took of late."""

import pytest

from marchproxy.modules.ailb.choice.latency import Latency


def test_nobody_knows_before_the_first_and_a_minute_after_the_last():
    latency = Latency()
    assert latency.value(5.0) is None
    latency.took(2.0, 10.0)
    assert latency.value(10.0) == 2.0
    assert latency.value(70.0) == 2.0
    assert latency.value(70.1) is None


@pytest.mark.parametrize(("after", "value"), [(0.0, 1.05), (10.0, 1.632), (1e-9, 1.05), (40.0, 1.982)])
def test_what_is_new_counts_more_the_longer_ago_the_last_was(after, value):
    latency = Latency()
    latency.took(1.0, 100.0)
    latency.took(2.0, 100.0 + after)
    assert latency.value(100.0 + after) == pytest.approx(value, abs=0.001)


def test_who_was_slow_long_ago_may_be_fast_now():
    latency = Latency()
    latency.took(9.0, 0.0)
    latency.took(1.0, 100.0)
    assert latency.value(100.0) == 1.0
