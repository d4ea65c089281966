import pytest

from marchproxy.modules.rtmp.streams.timeline import Timeline

_DAY = 24 * 3600 * 1000


def _stamped(times: list[int]) -> list[int]:
    timeline = Timeline()
    timeline.arrive(0.0)
    return [timeline.stamp(time) for time in times]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([0, 40, 80], [0, 40, 80]),
        ([20_000_000, 20_000_040], [20_000_000, 20_000_040]),  # whatever it begins with
        ([0, 46, 40, 69, 80], [0, 46, 40, 69, 80]),  # audio and video out of step
        ([0xFF_FFFE, 0xFF_FFFF, 0x100_0000], [0xFF_FFFE, 0xFF_FFFF, 0x100_0000]),
        ([0x7FFF_FFF0, 0x8000_0010], [0x7FFF_FFF0, 0x8000_0010]),
        (
            [0x7FFF_FFF0, 0x10],
            [0x7FFF_FFF0, 0x8000_0010],
        ),  # encoders that wrap at 31 bits: players see no step back
        ([0xFFFF_FFF0, 0x10], [0xFFFF_FFF0, 0x10]),  # and at 32 there is nothing beyond
        ([0xFFFF_FFF0, 0x10, 0xFFFF_FFF8, 0x40], [0xFFFF_FFF0, 0x10, 0xFFFF_FFF8, 0x40]),
    ],
)
def test_a_sound_clock_is_left_alone(given: list[int], expected: list[int]) -> None:
    assert _stamped(given) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([50_000, 50_040, 0, 40], [50_000, 50_040, 50_041, 50_081]),  # set back
        ([50_000, 46_000, 42_000, 42_040], [50_000, 46_000, 50_001, 50_041]),  # bit by bit
        ([0, 40, 9_000_000, 9_000_040], [0, 40, 41, 81]),  # set forward
    ],
)
def test_a_clock_that_jumps_goes_on(given: list[int], expected: list[int]) -> None:
    assert _stamped(given) == expected


def test_a_pause_is_no_jump() -> None:
    timeline = Timeline()
    timeline.arrive(5.0)
    assert timeline.stamp(100) == 100
    timeline.arrive(65.0)
    assert timeline.stamp(60_100) == 60_100


def test_the_next_publisher_is_as_much_later_as_time_has_passed() -> None:
    timeline = Timeline()
    timeline.arrive(5.0)
    assert [timeline.stamp(time) for time in (100, 140, 123)] == [100, 140, 123]
    timeline.leave()
    timeline.arrive(7.5)
    assert [timeline.stamp(time) for time in (9_999_999, 10_000_039)] == [2640, 2680]


def test_the_next_publisher_never_begins_where_the_last_one_ended() -> None:
    timeline = Timeline()
    timeline.arrive(5.0)
    timeline.stamp(100)
    timeline.leave()
    timeline.arrive(5.0)
    assert timeline.stamp(0) == 101


def test_sixty_days_go_on_without_a_step_back() -> None:
    timeline, last, now = Timeline(), -1, 0
    for second in range(0, 60 * _DAY // 1000, 7):
        timeline.arrive(float(second))
        now = timeline.stamp(second * 1000 % 2**31)  # an encoder that wraps after 24 days
        assert timeline.latest == second * 1000 > last
        last = timeline.latest
    assert now == last % 2**32 != last


def test_what_has_no_time_is_of_now() -> None:
    timeline = Timeline()
    assert timeline.now == 0
    timeline.arrive(0.0)
    timeline.stamp(2**32 - 5)
    timeline.stamp(5)
    assert timeline.now == 5
