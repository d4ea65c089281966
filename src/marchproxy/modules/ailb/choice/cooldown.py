"""Cooldown: who fails is left alone for a while. Pure; `now` is monotonic seconds.

The rules are LiteLLM's (`cooldown_handlers.py`): more than half of at least five requests of this minute failed, or the
provider refused our credential. There the pause is always 5 s; here it grows while nothing but failures follows.
"""

from enum import Enum

from marchproxy.kit.backoff import Backoff

_MINUTE = 60.0
_FEWEST = 5
_PAUSES = Backoff(initial=5.0, maximum=60.0, jitter=0.0)
_REFUSALS = frozenset({401, 403})
#: Of the client's fault are all others below 500.
_BUSY = frozenset({408, 429})


class Judgement(Enum):
    """What an answer says of who gave it. REFUSED: our credential does not do, so nobody in the pool will."""

    SERVED = "served"
    FAILED = "failed"
    REFUSED = "refused"


def judge(status: int) -> Judgement:
    """By an answer's status; 0: there was none, or it broke off."""
    if 200 <= status < 400:  # nearly always
        return Judgement.SERVED
    if status in _REFUSALS:
        return Judgement.REFUSED
    failed = status == 0 or status >= 500 or status in _BUSY
    return Judgement.FAILED if failed else Judgement.SERVED


class Cooldown:
    """What one endpoint, or one pool, has done in this minute, and until when it is left alone."""

    __slots__ = ("_began", "_failed", "_pauses", "_served", "until")

    def __init__(self) -> None:
        self.until = 0.0
        """Left alone before that; 0: it is not."""
        self._began = 0.0
        self._served = 0
        self._failed = 0
        self._pauses = 0

    def served(self, now: float) -> None:
        """It answered as it should."""
        self._turn(now)
        self._served += 1
        if now >= self.until:  # not one from before it was left alone
            self._pauses = 0

    def failed(self, now: float) -> bool:
        """It did not; whether it is left alone from now on."""
        self._turn(now)
        self._failed += 1
        if self._served + self._failed < _FEWEST or self._failed <= self._served:
            return False
        return self.pause(now)

    def pause(self, now: float) -> bool:
        """Leave it alone, the longer the more often; whether it was not already."""
        if now < self.until:
            return False
        self.until = now + _PAUSES.delay(self._pauses, 0.5)
        self._pauses += 1
        return True

    def end(self, now: float) -> None:
        """Where its time is over, leave it alone no more: it begins anew."""
        if self.until and now >= self.until:
            self.until = 0.0
            self._began, self._served, self._failed = now, 0, 0

    def _turn(self, now: float) -> None:
        if now - self._began >= _MINUTE:
            self._began, self._served, self._failed = now, 0, 0
