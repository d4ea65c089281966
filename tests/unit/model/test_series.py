import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.model.series import Frame, Point, Series, thin

CPU, MEMORY = Point("cpu", 1.0), Point("memory", 2.0, (("unit", "MiB"),))


def recorded(*times, capacity=10, points=(CPU, MEMORY), **limits):
    series = Series(capacity, **limits)
    for at in times:
        series.record(Frame(at, points))
    return series


def times(series, *arguments):
    return [at for at, _ in series.between(*arguments)]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, [1.0, 2.0, 3.0]),
        (2.0, None, [2.0, 3.0]),  # both ends included
        (None, 2.0, [1.0, 2.0]),
        (1.5, 2.5, [2.0]),
        (2.0, 2.0, [2.0]),
        (3.5, None, []),
        (None, 0.5, []),
        (3.0, 1.0, []),
    ],
)
def test_between(start, end, expected):
    assert times(recorded(1.0, 2.0, 3.0, points=(CPU,)), start, end) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [((), [CPU, MEMORY]), (["memory"], [MEMORY]), ({"cpu", "memory"}, [CPU, MEMORY]), (["disk"], [])],
)
def test_names(names, expected):
    assert [point for _, point in recorded(1.0).between(names=names)] == expected


def test_the_oldest_frame_goes_first():
    series = recorded(1.0, 2.0, 3.0, 4.0, capacity=3)
    assert len(series) == 3
    assert times(series, None, None, ["cpu"]) == [2.0, 3.0, 4.0]
    assert series.latest() == Frame(4.0, (CPU, MEMORY))


@pytest.mark.parametrize(("most", "kept"), [(7, [2.0, 3.0, 4.0]), (4, [3.0, 4.0]), (1, [4.0])])
def test_points_are_bounded_but_the_newest_frame_stays(most, kept):
    assert times(recorded(1.0, 2.0, 3.0, 4.0, most_points=most), None, None, ["cpu"]) == kept


def test_a_clock_that_goes_back_does_not_break_the_order():
    series = recorded(5.0, 3.0, 6.0, points=(CPU,))
    assert times(series) == [5.0, 5.0, 6.0]
    assert times(series, 5.0, 5.0) == [5.0, 5.0]


def test_an_empty_series():
    assert recorded().latest() is None
    assert times(recorded()) == []


def test_a_series_needs_room():
    with pytest.raises(ValueError, match="capacity: 0 is less than 1"):
        Series(0)


@given(
    moments=st.lists(st.integers(0, 20), max_size=30),
    capacity=st.integers(1, 8),
    start=st.integers(0, 20) | st.none(),
    end=st.integers(0, 20) | st.none(),
)
def test_between_agrees_with_a_scan(moments, capacity, start, end):
    ordered = [max(moments[: index + 1]) for index in range(len(moments))][-capacity:]
    expected = [at for at in ordered if (start is None or at >= start) and (end is None or at <= end)]
    assert times(recorded(*moments, capacity=capacity, points=(CPU,)), start, end) == expected


def test_newest_is_the_last_point_of_each_name_and_labels():
    series = Series(10)
    old, new = Point("cpu", 1.0), Point("cpu", 2.0)
    series.record(Frame(1.0, (Point("gone", 9.0),)))
    series.record(Frame(2.0, (old, MEMORY)))
    series.record(Frame(3.0, (new,)))
    assert series.newest() == (new,)
    assert series.newest(frames=2) == (new, MEMORY)
    assert series.newest(["memory"], frames=9) == (MEMORY,)
    assert Series(10).newest() == ()


@pytest.mark.parametrize(
    ("moments", "most", "expected"),
    [
        (5, 10, [0, 1, 2, 3, 4]),
        (10, 10, [1, 3, 5, 7, 9]),
        (10, 6, [3, 6, 9]),
        (10, 3, [9]),
        (10, 0, [9]),
        (1, 1, [0]),
        (0, 1, []),
    ],
)
def test_thin_keeps_whole_moments_and_the_newest(moments, most, expected):
    points = [(float(at), point) for at in range(moments) for point in (CPU, MEMORY)]
    assert thin(points, most) == [(float(at), point) for at in expected for point in (CPU, MEMORY)]
