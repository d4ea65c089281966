"""Circuit breaker as values: a peer that keeps failing is left alone for a while, then probed by one call.

Pure: no clock, no I/O. Times are monotonic seconds.
"""

from dataclasses import dataclass, replace
from enum import Enum
from typing import assert_never


class BreakerState(Enum):
    """Closed lets calls through, open refuses them, half-open has one probe on its way."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """Consecutive `failures` that open the breaker; `open_seconds` until a probe is let through."""

    failures: int = 5
    open_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """What is known of a peer. `opened_at` is when it opened or, half-open, when the probe left."""

    state: BreakerState = BreakerState.CLOSED
    failures: int = 0
    opened_at: float = 0.0


def admit(breaker: Breaker, now: float, limits: BreakerLimits) -> tuple[Breaker, bool]:
    """Decide whether a call may go out."""
    match breaker.state:
        case BreakerState.CLOSED:
            return breaker, True
        case BreakerState.OPEN | BreakerState.HALF_OPEN:
            # a probe that was cancelled reports nothing; after the same wait the next one may go
            if now - breaker.opened_at < limits.open_seconds:
                return breaker, False
            return replace(breaker, state=BreakerState.HALF_OPEN, opened_at=now), True
        case _:
            assert_never(breaker.state)


def succeeded(breaker: Breaker) -> Breaker:
    """Note an answer: one is enough to close the breaker, unless it is a late one from before it opened."""
    return breaker if breaker.state is BreakerState.OPEN else Breaker()


def failed(breaker: Breaker, now: float, limits: BreakerLimits) -> Breaker:
    """Note a failure: the limit is reached, or the probe failed, and the breaker opens."""
    failures = breaker.failures + 1
    if breaker.state is BreakerState.OPEN:
        return breaker
    if breaker.state is BreakerState.HALF_OPEN or failures >= limits.failures:
        return Breaker(BreakerState.OPEN, failures, now)
    return replace(breaker, failures=failures)
