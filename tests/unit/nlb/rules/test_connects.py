"""What counts of connections say of an instance's endpoint."""

import pytest

from marchproxy.nlb.dataplane.plane import ConnectionCounts
from marchproxy.nlb.rules.connects import FORGET_SECONDS, begin, failed_percent, look


def counts(total: int, failed: int) -> ConnectionCounts:
    return ConnectionCounts(total=total, failed=failed)


@pytest.mark.parametrize(
    ("before", "now", "percent"),
    [
        (counts(5, 1), counts(5, 1), None),
        (counts(5, 1), counts(9, 1), 0.0),
        (counts(0, 0), counts(4, 4), 50.0),
        (counts(0, 0), counts(0, 3), 100.0),
        (counts(50, 9), counts(3, 0), None),
    ],
    ids=["nothing happened", "all well", "half", "all", "counted anew"],
)
def test_failed_percent(before, now, percent):
    assert failed_percent(before, now) == percent


@pytest.mark.parametrize(
    ("looks", "troubled"),
    [
        ([(5, 0), (9, 0)], False),
        ([(5, 0), (5, 3)], True),
        ([(5, 0), (5, 2)], False),
        ([(5, 0), (5, 1), (5, 2), (5, 3)], True),
        ([(5, 0), (5, 1), (5, 1), (5, 2), (5, 2), (5, 3)], True),
        ([(5, 0), (5, 2), (9, 2), (9, 4)], False),
        ([(5, 0), (5, 9), (6, 9)], False),
        ([(5, 0), (5, 9), (6, 10)], True),
        ([(5, 0), (95, 9)], False),
        ([(0, 7)], False),
        ([(5, 0), (5, 9), (0, 0), (0, 2)], False),
    ],
    ids=[
        "all well",
        "three at once",
        "two",
        "one by one",
        "with pauses",
        "a success in between",
        "well again",
        "half of the last",
        "few among many",
        "from before the first look",
        "counted anew",
    ],
)
def test_failures_add_up_until_something_succeeds(looks, troubled):
    record, words = begin(counts(*looks[0]), 0.0), ""
    for second, seen in enumerate(looks):
        record, words = look(record, counts(*seen), float(second))
    assert bool(words) is troubled


def test_without_news_it_is_forgotten():
    record, words = look(begin(counts(0, 0), 0.0), counts(0, 3), 1.0)
    assert words == "3 attempts to connect failed"
    record, words = look(record, counts(0, 3), FORGET_SECONDS)
    assert words
    record, words = look(record, counts(0, 3), FORGET_SECONDS + 1)
    assert not words
    assert not look(record, counts(0, 5), FORGET_SECONDS + 2)[1]  # counted from there on
