"""What counts of connections say of an instance's endpoint."""

import pytest

from marchproxy.nlb.dataplane.plane import ConnectionCounts
from marchproxy.nlb.rules.connects import failed_percent, trouble


def counts(total: int, failed: int) -> ConnectionCounts:
    return ConnectionCounts(total=total, failed=failed)


@pytest.mark.parametrize(
    ("before", "now", "percent", "words"),
    [
        (counts(5, 1), counts(5, 1), None, None),
        (counts(5, 1), counts(9, 1), 0.0, ""),
        (counts(0, 0), counts(8, 4), 50.0, "4 of the last attempts to connect failed"),
        (counts(0, 0), counts(0, 3), 100.0, "3 of the last attempts to connect failed"),
        (counts(0, 0), counts(2, 2), 100.0, None),
        (counts(0, 0), counts(100, 10), 10.0, ""),
        (counts(50, 9), counts(3, 0), None, None),
    ],
    ids=[
        "nothing happened",
        "all well",
        "half",
        "failures alone are counted",
        "too few",
        "some",
        "counted anew",
    ],
)
def test_connects(before, now, percent, words):
    assert failed_percent(before, now) == percent
    assert trouble(before, now) == words
