"""Rate: how many in how long, as the generic cell rate algorithm has it: one number for each bucket. Pure.

The number is the theoretical arrival time, in nanoseconds of the system's monotonic clock: until then the bucket is not full
again. One more is granted as long as that moves it no further ahead of now than the bucket is large.
https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm
"""

from dataclasses import dataclass

from marchproxy.model.limit import LimitUnit, RateLimit

SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Rate:
    """One of a limit's rates. `place`: 1, 2 or 3, where its number stands in a slot. `interval` and `depth` in nanoseconds:
    what one request costs, and how far ahead of now the arrival time may be."""

    place: int
    interval: int
    depth: int
    words: str = ""


@dataclass(frozen=True, slots=True)
class Ration:
    """What a limit grants one instance to one value of its `per`."""

    limit: RateLimit
    rates: tuple[Rate, ...] = ()
    """The slowest first."""
    most: int = 0
    """Connections at once; 0: any number."""

    @property
    def counts_requests(self) -> bool:
        """Whether the rates are of requests, and not of connections."""
        return self.limit.counts is LimitUnit.REQUESTS


def ration(limit: RateLimit, instances: int) -> Ration:
    """What this instance may grant; a shared limit is divided among `instances`, in which the last one of a bucket stays."""
    members = max(1, instances) if limit.shared else 1
    units = (
        (3, "hour", 3600, limit.per_hour, 0),
        (2, "minute", 60, limit.per_minute, 0),
        (1, "second", 1, limit.per_second, limit.burst),
    )
    rates = tuple(
        _rate(place, f"{tokens} {limit.counts.value} a {unit}", seconds, (tokens, burst or tokens), members)
        for place, unit, seconds, tokens, burst in units
        if tokens
    )
    most = max(1, limit.max_concurrent // members) if limit.max_concurrent else 0
    return Ration(limit, rates, most)


def _rate(place: int, words: str, seconds: int, size: tuple[int, int], members: int) -> Rate:
    tokens, burst = size
    interval = max(1, seconds * SECOND * members // tokens)
    # as many as fit at once for the fleet, divided; one at least, or nobody would ever be served
    return Rate(place, interval, max(interval, interval * burst // members), words)
