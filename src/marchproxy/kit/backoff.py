"""Backoff: how long to wait before another attempt. Pure: the caller brings the dice."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff. `initial` and `maximum` in seconds; `jitter` is the share of the delay that is random."""

    initial: float = 0.1
    maximum: float = 10.0
    factor: float = 2.0
    jitter: float = 0.2

    def delay(self, attempt: int, roll: float) -> float:
        """Return the seconds to wait after failed attempt number `attempt` (from 0), given `roll` in [0, 1).

        The jitter spreads the delay evenly over ±`jitter`; the result never exceeds `maximum`.
        """
        # the exponent is bounded: 2.0 ** 1100 overflows, and the maximum was reached long before
        grown = min(self.initial * self.factor ** min(attempt, 64), self.maximum)
        return min(grown * (1.0 + self.jitter * (2.0 * roll - 1.0)), self.maximum)
