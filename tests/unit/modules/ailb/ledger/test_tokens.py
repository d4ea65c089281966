"""Token buckets: what is given back is granted once, whatever the order in which requests begin and end.

The judge is a bucket from which each request takes at once what it turned out to need. It is never fuller than ours.
"""

from dataclasses import dataclass
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from marchproxy.modules.ailb.ledger.bucket import MINUTE
from marchproxy.modules.ailb.ledger.periods import SECOND
from marchproxy.modules.ailb.ledger.tokens import Portion, TokenBucket

RATE = 1000


@dataclass
class Taken:
    at: int
    reserved: int
    portion: Portion
    needed: int | None = None
    ended: int = 0


def level(taken: list[Taken], now: int) -> Fraction:
    """Of a bucket in which nothing was ever reserved: in tokens."""
    arrivals = []
    for one in taken:
        needed = one.reserved if one.needed is None else one.needed
        arrivals.append((one.at, min(one.reserved, needed)))
        if needed > one.reserved:
            arrivals.append((one.ended, needed - one.reserved))
    found, last = Fraction(0), 0
    for at, tokens in [*sorted(arrivals), (now, 0)]:
        found = max(Fraction(0), found - Fraction((at - last) * RATE, MINUTE)) + tokens
        last = at
    return found


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, SECOND // 10, 3 * SECOND, 20 * SECOND, 59 * SECOND, 61 * SECOND]),
        st.one_of(
            st.integers(1, RATE),
            st.tuples(st.integers(0, 7), st.sampled_from([0, 0.1, 0.5, 1, 1.3])),
        ),
    ),
    max_size=30,
)


@given(STEPS)
@example([(0, 1000), (60 * SECOND, 1000), (0, (0, 0.1)), (0, 900)])
@example([(0, 500), (0, 500), (29 * SECOND, (0, 0)), (29 * SECOND, 950), (0, (0, 0)), (0, 10)])
@example([(0, 4), (0, 4), (3 * SECOND, (0, 1.3)), (0, (0, 1.3))])
@example([(0, 10), (0, (0, 0.1)), (0, 1), (0, 1), (0, 1), (0, (0, 0)), (0, (1, 1)), (0, (0, 0))])
def test_no_more_is_granted_than_what_was_needed_leaves(steps):
    bucket, now = TokenBucket(), 0
    bucket.resize(RATE, 1, now)
    taken: list[Taken] = []
    under_way: list[Taken] = []
    for passes, what in steps:
        now += passes
        if isinstance(what, tuple):
            if under_way:
                one = under_way.pop(what[0] % len(under_way))
                one.needed, one.ended = int(one.reserved * what[1]), now
                bucket.settle(one.portion, one.reserved * MINUTE, one.needed * MINUTE, now)
        elif bucket.wait(what * MINUTE, now) == 0:
            assert level(taken, now) + what <= RATE
            taken.append(Taken(now, what, bucket.reserve(what * MINUTE)))
            under_way.append(taken[-1])
        assert bucket.portions <= 2 * len(under_way) + 1
    for one in under_way:
        bucket.settle(one.portion, one.reserved * MINUTE, one.reserved * MINUTE, now)
    assert not bucket.is_idle(now) or level(taken, now) == 0
    assert bucket.is_idle(now + 1000 * MINUTE)
    assert bucket.portions == 0


@pytest.mark.parametrize(
    ("seconds", "fits"),
    [
        (0, 1000),  # it ended at once: all of it
        (30, 1000),  # half has sunk away, the other half comes back
        (60, 1000),
    ],
)
def test_alone_all_of_it_comes_back(seconds, fits):
    bucket = TokenBucket()
    bucket.resize(RATE, 1, 0)
    portion = bucket.reserve(RATE * MINUTE)
    bucket.settle(portion, RATE * MINUTE, 0, seconds * SECOND)
    assert bucket.left(seconds * SECOND) == fits


def test_what_has_sunk_away_does_not_come_back():
    bucket = TokenBucket()
    bucket.resize(RATE, 1, 0)
    first = bucket.reserve(RATE * MINUTE)
    assert bucket.wait(RATE * MINUTE, MINUTE) == 0
    bucket.reserve(RATE * MINUTE)
    bucket.settle(first, RATE * MINUTE, 0, MINUTE)
    assert bucket.left(MINUTE) == 0


def test_under_load_short_requests_get_back_all_that_they_did_not_need():
    bucket = TokenBucket()
    bucket.resize(RATE, 1, 0)
    now, granted = 0, 0
    for _ in range(600):
        now += SECOND
        while bucket.wait(100 * MINUTE, now) == 0:  # each needs a tenth of what is reserved for it
            portion = bucket.reserve(100 * MINUTE)
            bucket.settle(portion, 100 * MINUTE, 10 * MINUTE, now)
            granted += 10
    assert granted > 0.98 * RATE * 10
