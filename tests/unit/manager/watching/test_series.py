"""The past of figures."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.manager.watching.series import History, Ring, Sample

START = 1_000_000_020.0  # a whole minute


def filled(most: int = 10, seconds: int = 120) -> History:
    history = History(most)
    for second in range(0, seconds, 2):
        history.record(START + second, [("total/requests", second + 1.0)])
    return history


def test_values_come_back_by_step() -> None:
    found = filled().between(["total/requests"], START, START + 8, 2)
    assert (found.start, found.step) == (START, 2)
    assert found.values == {"total/requests": (1.0, 3.0, 5.0, 7.0)}
    assert list(found.samples("total/requests"))[1] == Sample(START + 2, 3.0)


def test_wider_steps_are_means() -> None:
    assert filled().between(["total/requests"], START, START + 8, 4).values["total/requests"] == (2.0, 6.0)
    assert filled().between(["total/requests"], START, START + 60, 60).values["total/requests"] == (30.0,)


def test_a_day_is_kept_by_the_minute() -> None:
    history = History()
    for minute in range(24 * 60):
        history.record(START + 60 * minute, [("total/requests", 1.0 + minute)])
    end = START + 24 * 3600
    day = history.between(["total/requests"], START, end, 60).values["total/requests"]
    assert len(day) == 1440
    assert (day[0], day[-1]) == (1.0, 1440.0)
    hours = history.between(["total/requests"], end - 7200, end, 3600)
    assert hours.step == 3600
    # finer than what is kept of it
    assert history.between(["total/requests"], START, START + 7200, 2).step in {2, 60}


def test_what_was_not_measured_is_none() -> None:
    history = History()
    history.record(START, [("total/requests", 5.0)])
    history.record(START + 10, [("total/requests", 7.0)])
    found = history.between(["total/requests", "unknown"], START - 4, START + 14, 2)
    assert found.values == {"total/requests": (None, None, 5.0, None, None, None, None, 7.0, None)}


def test_a_gap_longer_than_the_ring_leaves_nothing_of_before() -> None:
    ring = Ring(2, 4)
    for slot in range(4):
        ring.put(slot * 2.0, slot + 1.0)
    ring.put(2.0 * 1000, 9.0)
    assert [ring.get(slot) for slot in range(996, 1001)] == [None, None, None, None, 9.0]
    assert ring.get(3) is None
    ring.put(10.0, 1.0)  # long over
    assert ring.get(1000) == 9.0


def test_a_name_begins_with_its_first_traffic() -> None:
    history = History()
    history.record(START, [("routes/idle/requests", 0.0)])
    assert history.names() == ()
    history.record(START, [("routes/idle/requests", 1.0)])
    history.record(START + 2, [], silent=("routes/",))
    found = history.between(["routes/idle/requests"], START, START + 4, 2)
    assert found.values["routes/idle/requests"] == (1.0, 0.0)


def test_one_that_is_idle_for_long_makes_room() -> None:
    history = History(most=2)
    history.record(START, [("a", 1.0), ("b", 1.0), ("c", 1.0)])
    assert (history.names(), history.left_out) == (("a", "b"), 1)
    history.record(START + 700, [("b", 1.0), ("c", 1.0)])
    assert history.names() == ("b", "c")


@given(st.lists(st.tuples(st.integers(0, 200), st.floats(0.5, 1e6, width=32)), min_size=1, max_size=60))
def test_a_ring_holds_the_mean_of_each_step(found: list[tuple[int, float]]) -> None:
    ring, expected = Ring(2, 1000), dict[int, list[float]]()
    for second, value in sorted(found, key=lambda pair: pair[0]):
        ring.put(float(second), value)
        expected.setdefault(second // 2, []).append(value)
    for slot, values in expected.items():
        value = ring.get(slot)
        assert value is not None
        assert math.isclose(value, sum(values) / len(values), rel_tol=1e-4)


@pytest.mark.parametrize("step", [2, 7, 60, 600])
def test_a_slice_covers_what_was_asked_for(step: float) -> None:
    found = filled().between(["total/requests"], START + 3, START + 100, step)
    count = len(found.values["total/requests"])
    assert found.start <= START + 3
    assert found.start + count * found.step >= START + 100
