import pytest

from marchproxy.kit.breaker import Breaker, BreakerLimits, BreakerState, admit, failed, succeeded

LIMITS = BreakerLimits(failures=2, open_seconds=5)
OPEN = Breaker(BreakerState.OPEN, failures=2, opened_at=100)
PROBING = Breaker(BreakerState.HALF_OPEN, failures=2, opened_at=105)


@pytest.mark.parametrize(
    ("breaker", "now", "state", "admitted"),
    [
        (Breaker(), 0, BreakerState.CLOSED, True),
        (OPEN, 104.9, BreakerState.OPEN, False),
        (OPEN, 105, BreakerState.HALF_OPEN, True),
        (PROBING, 106, BreakerState.HALF_OPEN, False),  # one probe at a time
        (PROBING, 110, BreakerState.HALF_OPEN, True),  # the first probe never came back
    ],
)
def test_admit(breaker, now, state, admitted):
    after, answer = admit(breaker, now, LIMITS)
    assert (after.state, answer) == (state, admitted)


@pytest.mark.parametrize(
    ("breaker", "after"),
    [
        (Breaker(), Breaker(failures=1)),
        (Breaker(failures=1), Breaker(BreakerState.OPEN, 2, 110)),
        (PROBING, Breaker(BreakerState.OPEN, 3, 110)),
        (OPEN, OPEN),  # a late failure does not prolong the wait
    ],
)
def test_failed(breaker, after):
    assert failed(breaker, 110, LIMITS) == after


@pytest.mark.parametrize(
    ("breaker", "after"),
    [(Breaker(failures=1), Breaker()), (PROBING, Breaker()), (OPEN, OPEN), (Breaker(), Breaker())],
)
def test_succeeded(breaker, after):
    assert succeeded(breaker) == after
