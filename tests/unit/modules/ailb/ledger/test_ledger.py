"""What the ledger grants, refuses and remembers: one case at a time. The model test has the interleavings."""

from dataclasses import replace

import pytest

from marchproxy.model.ai import Allowance
from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.ledger import (
    FREE,
    Ledger,
    LedgerLimits,
    Measure,
    Refusal,
    Reservation,
    Tariff,
    Totals,
    Who,
)
from marchproxy.modules.ailb.ledger.bucket import MINUTE
from marchproxy.modules.ailb.ledger.periods import DAY, SECOND, nanoseconds, today
from marchproxy.modules.ailb.ledger.tokens import TokenBucket

NOW = nanoseconds("2030-06-30T18:00:00Z")
ANN, BOB = Who("k1", "ann", "red"), Who("k2", "bob", "red")
UNIT = Tariff(1_000_000, 1_000_000)  # a token is a micro-unit
TEN = Usage(4, 6)


def ledger(*allowances: Allowance, **limits: float) -> Ledger:
    found = Ledger(1, Totals(), LedgerLimits(**limits))
    found.configure(allowances, NOW)
    return found


def granted(found: Reservation | Refusal) -> Reservation:
    assert isinstance(found, Reservation), found
    return found


def refused(found: Reservation | Refusal) -> Refusal:
    assert isinstance(found, Refusal)
    return found


@pytest.mark.parametrize(
    ("figures", "measure", "retry_after"),
    [
        ({"requests_per_minute": 3}, Measure.REQUESTS, 20.0),
        ({"tokens_per_minute": 30}, Measure.TOKENS, 20.0),
        ({"tokens_per_minute": 35}, Measure.TOKENS, 8.572),
        ({"concurrent": 3}, Measure.CONCURRENT, 1.0),
        ({"budget_day": 0.00003}, Measure.BUDGET_DAY, 6 * 3600.0),
        ({"budget_month": 0.000039}, Measure.BUDGET_MONTH, 6 * 3600.0),
        # of several that refuse, the one that does longest
        ({"requests_per_minute": 3, "concurrent": 3, "tokens_per_minute": 30}, Measure.REQUESTS, 20.0),
        ({"concurrent": 3, "budget_day": 0.00003}, Measure.BUDGET_DAY, 6 * 3600.0),
    ],
)
def test_three_fit_and_the_fourth_is_told_when(figures, measure, retry_after):
    found = ledger(Allowance("a", "*", **figures))
    for _ in range(3):
        granted(found.reserve(NOW, ANN, "m", TEN, UNIT))
    refusal = refused(found.reserve(NOW, ANN, "m", TEN, UNIT))
    assert (refusal.measure, refusal.retry_after) == (measure, retry_after)
    if measure is not Measure.CONCURRENT:
        later = NOW + int(retry_after * SECOND)
        if measure not in {Measure.BUDGET_DAY, Measure.BUDGET_MONTH}:
            refused(found.reserve(later - SECOND // 100, ANN, "m", TEN, UNIT))
        for number in (1, 2, 3):
            found.settle(number, None, NOW)
        granted(found.reserve(later, ANN, "m", TEN, UNIT))


def test_nothing_is_taken_when_one_of_several_refuses():
    found = ledger(
        Allowance("first", "user:*", 10, 100, 10, 1.0, 1.0), Allowance("last", "team:red", concurrent=1)
    )
    granted(found.reserve(NOW, BOB, "m", TEN, UNIT))
    for _ in range(50):
        refused(found.reserve(NOW, ANN, "m", Usage(50), UNIT))
    found.settle(1, None, NOW)
    for _ in range(2):
        number = granted(found.reserve(NOW, ANN, "m", Usage(50), UNIT)).number
        found.settle(number, None, NOW)
    assert refused(found.reserve(NOW, ANN, "m", Usage(50), UNIT)).measure is Measure.TOKENS


@pytest.mark.parametrize(
    ("target", "same", "other"),
    [
        ("key:*", ANN, BOB),
        ("key:k1", ANN, BOB),
        ("user:ann", Who("k9", "ann"), BOB),
        ("team:*", BOB, Who("k3", "eve", "blue")),
        ("team:red", BOB, Who("k3")),
    ],
)
def test_whose_an_allowance_is(target, same, other):
    found = ledger(Allowance("a", target, requests_per_minute=1))
    granted(found.reserve(NOW, ANN, "m", TEN))
    refused(found.reserve(NOW, same, "m", TEN))
    granted(found.reserve(NOW, other, "m", TEN))


def test_each_model_of_its_own():
    found = ledger(Allowance("a", "model:*", requests_per_minute=1))
    granted(found.reserve(NOW, ANN, "m1", TEN))
    granted(found.reserve(NOW, ANN, "m2", TEN))
    assert refused(found.reserve(NOW, BOB, "m1", TEN)).name == "m1"


@pytest.mark.parametrize(
    ("target", "figures", "words"),
    [
        ("key:*", {"requests_per_minute": 1}, "requests per minute of this key used up (limit 1, left 0, needed 1): try again in 60 s"),
        ("team:red", {"budget_day": 0.00001}, "budget of the day of team red used up (limit 0.00001, left 0, needed 0.00001): try again in 21600 s"),
        ("*", {"concurrent": 1}, "requests at once used up (limit 1, left 0, needed 1): try again in 1 s"),
    ],
)  # fmt: skip
def test_what_clients_are_told(target, figures, words):
    found = ledger(Allowance("a", target, **figures))
    granted(found.reserve(NOW, ANN, "m", TEN, UNIT))
    assert refused(found.reserve(NOW, ANN, "m", TEN, UNIT)).words == words


@pytest.mark.parametrize("figures", [{"tokens_per_minute": 9}, {"budget_day": 0.000009}])
def test_what_never_fits_is_not_told_to_wait(figures):
    refusal = refused(ledger(Allowance("a", "*", **figures)).reserve(NOW, ANN, "m", TEN, UNIT))
    assert refusal.retry_after is None
    assert "max_tokens" in refusal.words


def test_what_was_not_needed_is_there_for_others():
    found = ledger(Allowance("a", "*", tokens_per_minute=100, budget_day=0.0001))
    number = granted(found.reserve(NOW, ANN, "m", Usage(10, 90), UNIT)).number
    refused(found.reserve(NOW, ANN, "m", Usage(1), UNIT))
    settled = found.settle(number, Usage(10, 10), NOW)
    assert (settled.cost, settled.is_counted) == (20, True)
    granted(found.reserve(NOW, BOB, "m", Usage(80), UNIT))


def test_what_was_needed_beyond_is_owed():
    found = ledger(Allowance("a", "*", tokens_per_minute=100, budget_day=0.0001))
    number = granted(found.reserve(NOW, ANN, "m", Usage(50), UNIT)).number
    found.settle(number, Usage(150), NOW)
    assert refused(found.reserve(NOW, ANN, "m", Usage(1), UNIT)).measure is Measure.BUDGET_DAY
    assert refused(found.reserve(NOW, ANN, "m", Usage(1), FREE)).retry_after == pytest.approx(30.6)


def test_it_counts_for_the_day_on_which_it_ends():
    found = ledger(Allowance("a", "*", budget_day=0.00001))
    number = granted(found.reserve(NOW, ANN, "m", TEN, UNIT)).number
    refused(found.reserve(NOW + DAY, ANN, "m", TEN, UNIT))  # it is still under way
    found.settle(number, None, NOW + DAY)
    refused(found.reserve(NOW + DAY, ANN, "m", TEN, UNIT))
    granted(found.reserve(NOW + 2 * DAY, ANN, "m", TEN, UNIT))


def test_another_price_than_was_reserved_for():
    found = ledger(Allowance("a", "*", budget_day=1.0))
    number = granted(found.reserve(NOW, ANN, "m", TEN, Tariff(5_000_000, 5_000_000))).number
    assert found.settle(number, TEN, NOW, UNIT).cost == 10


def test_it_is_settled_once():
    found = ledger()
    number = granted(found.reserve(NOW, ANN, "m", TEN)).number
    assert found.settle(number, TEN, NOW) is not None
    assert found.settle(number, TEN, NOW) is None
    assert found.settle(number + 1, TEN, NOW) is None
    assert (found.counts.settled, found.counts.late) == (1, 2)


def test_what_nobody_reports_is_settled_at_its_reservation():
    found = ledger(Allowance("a", "*", concurrent=1), report_within=60.0)
    granted(found.reserve(NOW, ANN, "m", TEN, UNIT))
    assert found.expire(NOW + 59 * SECOND) == []
    (lost,) = found.expire(NOW + 60 * SECOND)
    assert (lost.cost, lost.is_counted, found.counts.lost) == (10, False, 1)
    granted(found.reserve(NOW + 60 * SECOND, ANN, "m", TEN, UNIT))


def test_who_is_spoken_of_is_not_lost():
    found = ledger(report_within=60.0)
    one, other = (granted(found.reserve(NOW, ANN, "m", TEN)).number for _ in range(2))
    found.touch(one, NOW + 50 * SECOND)
    assert [lost.reservation.number for lost in found.expire(NOW + 60 * SECOND)] == [other]
    assert [lost.reservation.number for lost in found.expire(NOW + 110 * SECOND)] == [one]
    found.touch(one, NOW)
    assert found.under_way == 0


def test_who_waits_here_is_not_lost():
    found = ledger(Allowance("a", "*", concurrent=1), report_within=60.0)
    number = granted(found.reserve(NOW, ANN, "m", TEN)).number
    found.hold(number)
    assert found.expire(NOW + 999 * SECOND) == []
    refused(found.reserve(NOW + 999 * SECOND, ANN, "m", TEN))
    found.touch(number, NOW + 999 * SECOND)
    assert found.under_way == 1
    assert len(found.expire(NOW + 1059 * SECOND)) == 1
    gone = granted(found.reserve(NOW, ANN, "m", TEN)).number
    found.hold(gone)
    assert found.settle(gone, Usage(), NOW) is not None
    assert found.under_way == 0


def test_a_seat_is_left_once_and_the_rest_when_it_is_known():
    found = ledger(Allowance("a", "*", concurrent=1, budget_day=0.00002))
    first = granted(found.reserve(NOW, ANN, "m", TEN, UNIT)).number
    assert refused(found.reserve(NOW, ANN, "m", TEN, UNIT)).measure is Measure.CONCURRENT
    for _ in range(2):
        found.leave(first)
    second = granted(found.reserve(NOW, ANN, "m", TEN, UNIT)).number
    found.settle(first, TEN, NOW)
    found.leave(first)
    assert refused(found.reserve(NOW, ANN, "m", Usage(), UNIT)).measure is Measure.CONCURRENT
    found.settle(second, Usage(), NOW)
    assert refused(found.reserve(NOW, ANN, "m", Usage(11), UNIT)).left == 10


def test_so_many_are_under_way_and_the_oldest_is_taken_for_lost():
    found = ledger(under_way=3)
    for _ in range(5):
        granted(found.reserve(NOW, ANN, "m", TEN))
    assert found.under_way == 3
    assert [lost.reservation.number for lost in found.expire(NOW)] == [1, 2]


def test_a_new_budget_knows_what_was_spent_before():
    found = ledger()
    found.settle(granted(found.reserve(NOW, ANN, "m", TEN, UNIT)).number, TEN, NOW)
    found.configure([Allowance("a", "user:*", budget_day=0.000015)], NOW)
    assert refused(found.reserve(NOW, ANN, "m", TEN, UNIT)).left == 5
    granted(found.reserve(NOW, BOB, "m", TEN, UNIT))


@pytest.mark.parametrize(
    "changed",
    [{"tokens_per_minute": 29}, {"requests_per_minute": 2}, {"concurrent": 2}, {"budget_day": 0.000029}],
)
def test_a_changed_limit_keeps_what_was_used(changed):
    before = Allowance("a", "*", 100, 1000, 100, 1.0)
    found = ledger(before)
    for _ in range(2):
        granted(found.reserve(NOW, ANN, "m", TEN, UNIT))
    found.configure([replace(before, **changed)], NOW)
    refused(found.reserve(NOW, ANN, "m", TEN, UNIT))
    found.configure([replace(before, enabled=False)], NOW)
    granted(found.reserve(NOW, ANN, "m", TEN, UNIT))
    found.configure([replace(before, **changed)], NOW)
    refused(found.reserve(NOW, ANN, "m", TEN, UNIT))


def test_a_budget_of_next_to_nothing_is_no_budget_without_end():
    found = ledger(Allowance("a", "*", budget_day=1e-9))
    refused(found.reserve(NOW, ANN, "m", TEN, UNIT))
    granted(found.reserve(NOW, ANN, "m", TEN, FREE))


def test_instances_share():
    found = ledger(Allowance("a", "*", 9, 90, 9, 0.00009))
    found.divide(3, NOW)
    for _ in range(3):
        granted(found.reserve(NOW, ANN, "m", TEN, UNIT))
    assert refused(found.reserve(NOW, ANN, "m", TEN, UNIT)).limit in {3, 30}
    found.divide(1, NOW)
    for _ in range(6):
        granted(found.reserve(NOW, ANN, "m", TEN, UNIT))
    refused(found.reserve(NOW, ANN, "m", TEN, UNIT))


def test_what_fits_into_the_whole_passes_at_an_instance_that_has_used_nothing():
    found = ledger(Allowance("a", "*", tokens_per_minute=90))
    found.divide(3, NOW)
    granted(found.reserve(NOW, ANN, "m", Usage(80)))
    assert refused(found.reserve(NOW, ANN, "m", Usage(80))).retry_after == pytest.approx(160)
    assert refused(found.reserve(NOW + 500 * SECOND, ANN, "m", Usage(91))).retry_after is None
    granted(found.reserve(NOW + 160 * SECOND, ANN, "m", Usage(80)))


def test_accounts_are_forgotten_when_they_say_nothing():
    found = ledger(Allowance("a", "user:*", 60, 600, 1, 1.0))
    for number in range(1, 101):
        granted(found.reserve(NOW, Who("k", f"user-{number}"), "m", TEN, UNIT))
        found.settle(number, TEN, NOW)
    assert found.accounts == 100
    found.sweep(NOW)
    assert found.accounts == 100
    found.sweep(NOW + 2 * SECOND)
    assert found.accounts == 0


def test_who_has_a_request_under_way_is_not_forgotten():
    found = ledger(Allowance("a", "user:*", concurrent=1), Allowance("b", "key:*", tokens_per_minute=60))
    number = granted(found.reserve(NOW, ANN, "m", TEN)).number
    later = NOW + 600 * SECOND
    found.sweep(later)
    assert refused(found.reserve(later, ANN, "m", TEN)).measure is Measure.CONCURRENT
    found.settle(number, Usage(70), later)  # 60 more than were reserved
    assert refused(found.reserve(later, ANN, "m", TEN)).retry_after == pytest.approx(10.0)


def test_money_that_is_held_is_not_forgotten():
    found = ledger(Allowance("a", "user:*", budget_day=0.00001))
    granted(found.reserve(NOW, ANN, "m", TEN, UNIT))
    found.sweep(NOW)
    refused(found.reserve(NOW, ANN, "m", TEN, UNIT))


def test_names_beyond_the_bound_share_and_nobody_who_owes_is_forgotten():
    found = ledger(Allowance("a", "user:*", requests_per_minute=1), names=3)
    for name in ("a", "b", "c", "d"):
        granted(found.reserve(NOW, Who("k", name), "m", TEN))
    for name in ("a", "b", "c", "d", "e"):
        refused(found.reserve(NOW, Who("k", name), "m", TEN))
    assert found.accounts == 4
    granted(found.reserve(NOW + 60 * SECOND, Who("k", "f"), "m", TEN))
    assert found.accounts <= 4


def test_a_clock_that_is_set_back_takes_nothing_away():
    found = ledger(Allowance("a", "*", requests_per_minute=60))
    granted(found.reserve(NOW, ANN, "m", TEN))
    back = NOW - 3600 * SECOND
    for _ in range(59):
        granted(found.reserve(back, ANN, "m", TEN))
    refused(found.reserve(back, ANN, "m", TEN))
    granted(found.reserve(back + SECOND, ANN, "m", TEN))


@pytest.mark.parametrize("looks", ["sweep", "settle"])
def test_looking_at_a_clock_that_was_set_back_takes_nothing_away(looks):
    found = ledger(Allowance("a", "*", tokens_per_minute=60))
    number = granted(found.reserve(NOW, ANN, "m", TEN)).number
    back = NOW - 3600 * SECOND
    if looks == "sweep":
        found.sweep(back)
    else:
        found.settle(number, TEN, back)
    granted(found.reserve(back, ANN, "m", Usage(50)))


def test_a_clock_that_is_set_back_over_midnight_begins_no_day_again():
    found = ledger(Allowance("a", "*", budget_day=0.00002))
    morning = nanoseconds("2030-07-01T00:00:01Z")
    for now in (morning, NOW):
        found.settle(granted(found.reserve(now, ANN, "m", TEN, UNIT)).number, TEN, now)
    for now in (NOW, morning):
        refused(found.reserve(now, ANN, "m", TEN, UNIT))
    granted(found.reserve(morning + DAY, ANN, "m", TEN, UNIT))


def test_a_clock_that_was_far_ahead_ends_no_budget_for_good():
    found = ledger(Allowance("a", "*", budget_day=0.00001))
    ahead = NOW + 400 * DAY
    found.settle(granted(found.reserve(ahead, ANN, "m", TEN, UNIT)).number, TEN, ahead)
    found.settle(granted(found.reserve(NOW, ANN, "m", TEN, UNIT)).number, TEN, NOW)
    refused(found.reserve(NOW, ANN, "m", TEN, UNIT))


def test_there_are_no_more_portions_than_requests_under_way_need():
    bucket = TokenBucket()
    bucket.resize(10**9, 1, 0)
    long = bucket.reserve(MINUTE)
    for now in range(1000):
        portion = bucket.reserve(10 * MINUTE)
        bucket.settle(portion, 10 * MINUTE, 5 * MINUTE, now)
    assert bucket.portions <= 3
    bucket.settle(long, MINUTE, MINUTE, 1000)
    assert bucket.portions <= 1
    assert bucket.is_idle(MINUTE)
    assert bucket.portions == 0


def test_totals_beyond_the_bound_are_those_of_all_others():
    totals, when = Totals(most=3), today(NOW)
    for name in ("k1", "k2", "k3", "k4", "k5"):
        totals.add(Who(name), "", 7, when)
    spent = {(scope, name): one_day for scope, name, _, one_day, _, _ in totals.rows()}
    assert spent["key", "(others)"] == 7 * sum(
        ("key", name) not in spent for name in ("k1", "k2", "k3", "k4", "k5")
    )
    assert spent["*", ""] == 35
    assert len(spent) <= 3 + 2
