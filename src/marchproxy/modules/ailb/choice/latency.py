"""Latency: how long something took of late. Pure; seconds."""

from math import exp

_FADES = 10.0
_LEAST_SHARE = 0.05
_FORGOTTEN = 60.0


class Latency:
    """A moving average. What is new counts a twentieth, and the more the longer ago the last was: two thirds after 10 s."""

    __slots__ = ("_at", "_value")

    def __init__(self) -> None:
        self._at = 0.0
        self._value: float | None = None

    def took(self, seconds: float, now: float) -> None:
        """It took so long just now."""
        known = self.value(now)
        if known is None:
            self._value = seconds
        else:
            share = max(1.0 - exp((self._at - now) / _FADES), _LEAST_SHARE)
            self._value = known + (seconds - known) * share
        self._at = now

    def value(self, now: float) -> float | None:
        """The average; None: nothing was heard for a minute, so nobody knows."""
        return None if now - self._at > _FORGOTTEN else self._value
