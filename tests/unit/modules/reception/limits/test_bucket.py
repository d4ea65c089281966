"""Buckets and seats of one worker, in virtual nanoseconds."""

from pathlib import Path

import pytest

from marchproxy.model.limit import LimitId, LimitUnit, RateLimit
from marchproxy.modules.reception.limits.bucket import Bucket
from marchproxy.modules.reception.limits.layout import WAYS, Layout
from marchproxy.modules.reception.limits.rate import SECOND, Rate, ration
from marchproxy.modules.reception.limits.table import LimitTable


class Tally:
    uncounted = 0


TALLY = Tally()
START = 1_000 * SECOND


class Now:
    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> int:
        return self.at


def limit(limit_id: str = "l", **fields: object) -> RateLimit:
    return RateLimit(LimitId(limit_id), "*", **fields)  # type: ignore[arg-type]


def bucket(table: LimitTable, now: Now, made: RateLimit, whose: str = "", instances: int = 1) -> Bucket:
    return Bucket(ration(made, instances), whose, table, TALLY, now=now)


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    TALLY.uncounted = 0


@pytest.mark.parametrize(
    ("fields", "instances", "at_once", "seconds_until_next"),
    [
        ({"per_second": 10}, 1, 10, 0.1),
        ({"per_second": 10, "burst": 3}, 1, 3, 0.1),
        ({"per_second": 10, "burst": 50}, 1, 50, 0.1),
        ({"per_minute": 6}, 1, 6, 10),
        ({"per_hour": 50}, 1, 50, 72),
        ({"per_second": 100, "per_hour": 7}, 1, 7, 3600 / 7),
        ({"per_second": 10}, 2, 5, 0.2),
        ({"per_second": 10, "shared": False}, 2, 10, 0.1),
        ({"per_second": 10}, 4, 2, 0.2),  # 2.5: the half is granted before its time has come
        ({"per_second": 3}, 8, 1, 8 / 3),  # a share below one: one still passes at a time
    ],
)
def test_as_many_at_once_as_a_bucket_holds_and_the_next_when_it_is_due(
    fields: dict[str, object], instances: int, at_once: int, seconds_until_next: float
):
    now, table = Now(), LimitTable()
    one = bucket(table, now, limit(**fields), instances=instances)
    assert [one.take() for _ in range(at_once)] == [0] * at_once
    wait = one.take()
    assert wait == pytest.approx(seconds_until_next * SECOND, abs=1000)
    assert one.take() == wait  # what was refused took nothing
    now.at += wait - 1
    assert one.take() == 1
    now.at += 1
    assert one.take() == 0
    assert one.take() > 0


def test_over_a_long_time_exactly_the_rate_passes():
    now, table = Now(), LimitTable()
    one = bucket(table, now, limit(per_second=7, burst=1))
    granted = 0
    for _ in range(10_000):
        granted += one.take() == 0
        now.at += SECOND // 1000
    assert granted == 70


def test_a_limit_that_has_become_wider_is_not_held_up_by_what_stands_there():
    now, table = Now(), LimitTable()
    strict = bucket(table, now, limit(per_hour=1))
    assert strict.take() == 0
    assert strict.take() == 3600 * SECOND
    assert bucket(table, now, limit(per_hour=3600)).take() == SECOND
    minute = bucket(table, now, limit(per_minute=1))
    assert (minute.take(), minute.take()) == (0, 60 * SECOND)


def test_each_value_of_per_has_a_bucket_of_its_own():
    now, table = Now(), LimitTable()
    made = limit("own", per_hour=1, per="user")
    assert [bucket(table, now, made, user).take() == 0 for user in ("ann", "ann", "bob", "ann")] == [
        True, False, True, False,
    ]  # fmt: skip


def test_what_is_given_back_can_be_taken_again():
    now, table = Now(), LimitTable()
    one = bucket(table, now, limit(per_hour=2, per_second=2))
    assert (one.take(), one.take()) == (0, 0)
    one.give_back()
    assert one.take() == 0
    assert one.take() > 0


def test_seats_are_held_until_they_are_left():
    now, table = Now(), LimitTable()
    made = limit(max_concurrent=2)
    seats = [bucket(table, now, made) for _ in range(4)]
    assert [seat.sit() for seat in seats[:3]] == [True, True, False]
    seats[2].leave()  # had none
    assert not seats[3].sit()
    seats[0].leave()
    seats[0].leave()
    assert seats[3].sit()
    assert not seats[2].sit()
    assert seats[2].sit(checked=False)
    assert "2 connections at once" in seats[2].too_many().words


def test_more_keys_than_places_are_let_pass_and_counted_and_full_buckets_make_room():
    now, table = Now(), LimitTable(layout=Layout(slots=WAYS))
    made = limit(per_minute=1, per="user")
    buckets = [bucket(table, now, made, str(number)) for number in range(WAYS + 1)]
    assert [one.take() for one in buckets] == [0] * (WAYS + 1)
    assert TALLY.uncounted == 1
    assert all(one.take() for one in buckets[:WAYS])
    assert buckets[WAYS].take() == 0  # still not limited
    now.at += 61 * SECOND  # all are full again: nothing that matters is forgotten
    assert (buckets[WAYS].take(), TALLY.uncounted) == (0, 2)
    assert buckets[WAYS].take() > 0


def test_a_slot_in_which_somebody_sits_is_not_given_away():
    now, table = Now(), LimitTable(layout=Layout(slots=WAYS))
    made = limit(max_concurrent=1, per="user")
    sitting = [bucket(table, now, made, str(number)) for number in range(WAYS)]
    assert all(one.sit() for one in sitting)
    assert bucket(table, now, made, "late").sit()
    assert TALLY.uncounted == 1
    assert not bucket(table, now, made, "3").sit()


def test_a_table_is_taken_over_with_all_that_was_counted_and_nothing_that_was_held(tmp_path: Path):
    now, path = Now(), tmp_path / "limits"
    table = LimitTable(path)
    made = limit(per_hour=5, max_concurrent=1)
    assert [bucket(table, now, made).take() for _ in range(5)] == [0] * 5
    assert bucket(table, now, made).sit()
    table.close()
    again = LimitTable(path)
    try:
        assert bucket(again, now, made).take() > 0
        assert bucket(again, now, made).sit()
    finally:
        again.close()


@pytest.mark.parametrize("content", [b"", b"rubbish", b"mpxlim00" + bytes(8192)])
def test_a_file_that_is_none_of_ours_is_replaced(tmp_path: Path, content: bytes):
    path = tmp_path / "limits"
    path.write_bytes(content)
    table = LimitTable(path)
    try:
        assert bucket(table, Now(), limit(per_hour=1)).take() == 0
        assert path.stat().st_size == Layout().size
    finally:
        table.close()


def test_words_name_the_limit_and_say_when_to_come_again():
    now, table = Now(), LimitTable()
    one = bucket(table, now, limit("slow", per_hour=50, per="user", counts=LimitUnit.CONNECTIONS), "ann")
    refusal = one.too_fast(71_999_100_001)
    assert refusal.words == "limit slow: 50 connections a hour for each user; try again in 72 s"
    assert refusal.retry_after == 72


def test_the_slowest_rate_stands_first():
    assert [rate.place for rate in ration(limit(per_second=1, per_minute=2, per_hour=3), 1).rates] == [
        3,
        2,
        1,
    ]
    assert ration(limit(per_second=4, burst=8), 2).rates == (
        Rate(1, SECOND // 2, 2 * SECOND, "4 requests a second"),
    )
