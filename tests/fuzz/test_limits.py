"""Buckets in a table that is too small for them: never more than the rate, never a wait longer than told, no seat lost."""

from hypothesis import given
from hypothesis import strategies as st

from marchproxy.model.limit import LimitId, RateLimit
from marchproxy.modules.dblb.tally import Tally
from marchproxy.modules.reception.limits.bucket import Bucket
from marchproxy.modules.reception.limits.layout import WAYS, Layout
from marchproxy.modules.reception.limits.rate import SECOND, ration
from marchproxy.modules.reception.limits.table import LimitTable

LIMITS = st.builds(
    RateLimit,
    st.just(LimitId("l")),
    st.just("*"),
    per_second=st.integers(0, 20),
    per_minute=st.integers(0, 100),
    per_hour=st.integers(1, 500),
    burst=st.integers(0, 40),
)
STEPS = st.lists(st.tuples(st.integers(0, 30 * SECOND), st.integers(1, 30)), max_size=30)


@given(LIMITS, st.integers(1, 5), STEPS)
def test_no_window_grants_more_than_the_bucket_and_the_rate(
    limit: RateLimit, instances: int, steps: list[tuple[int, int]]
) -> None:
    now, granted = 10**15, list[int]()
    made = ration(limit, instances)
    bucket = Bucket(made, "", LimitTable(layout=Layout(WAYS)), Tally(), now=lambda: now)
    for pause, times in steps:
        now += pause
        for _ in range(times):
            wait = bucket.take()
            if not wait:
                granted.append(now)
    for rate in made.rates:
        for first, since in enumerate(granted):
            for last in range(first, len(granted)):
                assert (last - first) * rate.interval <= granted[last] - since + rate.depth - rate.interval
    wait = bucket.take()
    if wait:
        now += wait
        assert bucket.take() == 0


@given(st.lists(st.tuples(st.integers(0, 39), st.sampled_from(("sit", "leave", "take"))), max_size=300))
def test_seats_in_a_table_that_is_too_small(steps: list[tuple[int, str]]) -> None:
    table, tally = LimitTable(layout=Layout(WAYS)), Tally()
    made = ration(RateLimit(LimitId("l"), "*", per_hour=5, max_concurrent=2, per="user"), 1)
    users = [f"u{number % 20}" for number in range(40)]
    buckets = [Bucket(made, user, table, tally, now=lambda: 10**15) for user in users]
    seated: set[int] = set()
    for number, what in steps:
        if what == "take":
            buckets[number].take()
        elif what == "leave":
            buckets[number].leave()
            seated.discard(number)
        elif number not in seated:
            before = tally.uncounted
            if buckets[number].sit() and tally.uncounted == before:
                seated.add(number)
        for user in {users[one] for one in seated}:
            assert sum(users[one] == user for one in seated) <= made.most
    for number in seated:
        buckets[number].leave()
    assert not any(table.held(at) for at in range(512, 512 + 4 * WAYS, 4))
