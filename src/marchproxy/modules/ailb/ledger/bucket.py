"""Bucket: how much of something a minute may have, filled evenly. Pure; whole numbers, so nothing drifts.

What was used is the level, which sinks evenly. It is counted in sixty-billionths: one request, or one token, is MINUTE of
them, and a bucket of N a minute loses N of them in a nanosecond.
"""

from enum import Enum
from typing import Final, Literal, TypeAlias

#: Nanoseconds in a minute; also the weight of one.
MINUTE = 60_000_000_000


class Never(Enum):
    """More is asked than there will ever be."""

    NEVER = "never"


NEVER: Final = Never.NEVER
#: Nanoseconds until it would be granted, 0: it is.
Wait: TypeAlias = int | Literal[Never.NEVER]


class Bucket:
    """What one name has used of one allowance's requests."""

    __slots__ = ("_at", "_level", "_rate", "_room", "_sunk", "_whole")

    def __init__(self) -> None:
        self._at = 0
        self._level = 0
        self._sunk = 0
        self._rate = self._room = self._whole = 1

    def resize(self, per_minute: int, instances: int, now: int) -> None:
        """Be this instance's share of so many a minute from now on, of one at least; what was used stays used."""
        self._sink(now)
        self._rate = max(1, per_minute // instances)
        self._room = self._rate * MINUTE
        self._whole = per_minute * MINUTE

    def wait(self, units: int, now: int) -> Wait:
        """How long until so much fits. What fits into the whole, but not into a share, needs a share of which nothing is used.

        A clock that was set back takes nothing away, and gives nothing.
        """
        level = self._level
        if level:  # as `_sink`, which is a call
            sunk = (now - self._at) * self._rate
            if sunk >= level:
                self._sunk += level
                self._level = level = 0
            elif sunk > 0:
                self._sunk += sunk
                self._level = level = level - sunk
        self._at = now
        over = level + units - self._room
        if over <= 0:
            return 0
        if units > self._room:
            if units > self._whole:
                return NEVER
            over = level
        return -(-over // self._rate)

    def take(self, units: int) -> None:
        """Use so much, right after `wait` was 0."""
        self._level += units

    @property
    def per_minute(self) -> int:
        """This instance's share."""
        return self._rate

    def left(self, now: int) -> int:
        """How many whole ones fit now."""
        self._sink(now)
        return max(0, (self._room - self._level) // MINUTE)

    def is_idle(self, now: int) -> bool:
        """Whether it says nothing that a new one would not say."""
        self._sink(now)
        return not self._level

    def _sink(self, now: int) -> None:
        sunk = (now - self._at) * self._rate
        self._at = now
        if sunk > 0 and (level := self._level):
            sunk = min(sunk, level)
            self._sunk += sunk
            self._level = level - sunk
