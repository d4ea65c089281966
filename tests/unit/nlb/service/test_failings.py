"""The record of calls to modules."""

import pytest

from marchproxy.nlb.service.failings import Failings
from marchproxy.nlb.state.failing import DEGRADED_AFTER


@pytest.mark.parametrize(
    ("calls", "told"),
    [
        ("ff", []),
        ("fff", [True]),
        ("fffff", [True]),  # once
        ("ffaff", []),
        ("fffa", [True, False]),
        ("fffr", [True, False]),  # a no is an answer
        ("rrrrr", []),
        ("aaa", []),
    ],
)
def test_only_calls_without_an_answer_in_a_row_are_told(calls, told):
    heard = []
    failings = Failings(lambda address, trouble: heard.append((address, bool(trouble))))
    for call in calls:
        match call:
            case "f":
                failings.failed("h:1", "away")
            case "r":
                failings.refused("h:1", "no launcher")
            case "a":
                failings.answered("h:1")
    assert heard == [("h:1", bad) for bad in told]
    record = failings.of("h:1")
    assert (record.failed, record.refused) == (calls.count("f"), calls.count("r"))


def test_what_is_forgotten_begins_anew():
    failings = Failings()
    for _ in range(DEGRADED_AFTER):
        failings.failed("h:1", "away")
    assert failings.of("h:1").trouble == "3 calls in a row failed, the last with: away"
    failings.forget("h:1")
    assert failings.of("h:1").failed == 0


def test_records_are_bounded():
    failings = Failings()
    for number in range(3000):
        failings.failed(f"h:{number}", "away")
    assert failings.of("h:0").failed == 0
    assert failings.of("h:2999").failed == 1
