"""Bucket: whether one more arrival keeps to its rates. Pure: what was taken before and the time in, what is taken out.

The generic cell rate algorithm (ITU-T I.371): a bucket is one number, the time at which it will be full again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from marchproxy.model.limit import RateLimit

_SECOND, _MINUTE, _HOUR = 1.0, 60.0, 3600.0


@dataclass(frozen=True, slots=True)
class Rate:
    """One arrival each `interval` seconds in the long run, and up to `burst` at once."""

    interval: float
    burst: int


Levels: TypeAlias = tuple[float, ...]
"""For each rate the monotonic time in seconds at which its bucket is full again; in the past: it is full."""


def rates_of(limit: RateLimit) -> tuple[Rate, ...]:
    """The rates that a limit gives; all of them hold."""
    return tuple(_rates(limit))


def take(levels: Levels | None, rates: Sequence[Rate], now: float) -> Levels | None:
    """The levels after one more arrival at `now`, or None when one of the buckets is empty; None as levels: all full."""
    taken = []
    for index, rate in enumerate(rates):
        full_at = max(levels[index], now) if levels else now
        # the slack of a nanosecond: sums of intervals must not round an arrival away
        if full_at - now > (rate.burst - 1) * rate.interval + 1e-9:
            return None
        taken.append(full_at + rate.interval)
    return tuple(taken)


def _rates(limit: RateLimit) -> Iterator[Rate]:
    if limit.per_second:
        yield Rate(_SECOND / limit.per_second, limit.burst or limit.per_second)
    if limit.per_minute:
        yield Rate(_MINUTE / limit.per_minute, limit.per_minute)
    if limit.per_hour:
        yield Rate(_HOUR / limit.per_hour, limit.per_hour)
