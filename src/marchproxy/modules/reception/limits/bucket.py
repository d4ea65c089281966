"""Bucket: what one limit grants one value of its `per`: requests or connections by rate, and seats for those connected."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from marchproxy.modules.reception.limits.rate import SECOND, Ration
from marchproxy.modules.reception.limits.table import LimitTable

#: Nanoseconds of the system's monotonic clock, which all processes of a host see alike.
Nanoseconds = Callable[[], int]


class Counting(Protocol):
    """Whoever counts what was let pass because the table had no place for it, or its lock was not to be had."""

    uncounted: int


@dataclass(frozen=True, slots=True)
class Exceeded:
    """A limit does not grant any more now: in words for the client, and after how many seconds it may; 0: nobody knows."""

    words: str
    retry_after: float = 0.0


class Bucket:
    """A limit's place in the table, for one value (`whose`) of its `per`. Remembers the slot, and looks for it when that is another's now."""

    __slots__ = ("_at", "_key", "_now", "_rates", "_seat", "_table", "_tally", "ration")

    def __init__(
        self,
        ration: Ration,
        whose: str,
        table: LimitTable,
        tally: Counting,
        *,
        now: Nanoseconds = time.monotonic_ns,
    ) -> None:
        self.ration = ration
        self._key = table.key(ration.limit.limit_id, whose)
        self._rates = tuple((rate.place, rate.interval, rate.depth - rate.interval) for rate in ration.rates)
        self._table = table
        self._tally = tally
        self._now = now
        self._at = 0
        self._seat = -1

    def take(self) -> int:
        """Take one. 0: granted; otherwise nothing is taken, and so many nanoseconds later it would be."""
        table, key = self._table, self._key
        if not table.shared:
            return self._take(self._now())
        if not table.lock(key):
            self._tally.uncounted += 1
            return 0
        try:
            return self._take(self._now())
        finally:
            table.unlock(key)

    def _take(self, now: int) -> int:
        words, at = self._table.words, self._at
        if words[at] != self._key and (at := self._find(now)) < 0:
            return 0
        wait = 0
        for place, interval, slack in self._rates:
            ahead = words[at + place] - now
            if ahead > slack:
                # never emptier than empty: what stands there may be from when the limit was another
                wait = max(wait, min(ahead - slack, interval))
        if wait:
            return wait
        for place, interval, _ in self._rates:
            words[at + place] = max(words[at + place], now) + interval
        return 0

    def give_back(self) -> None:
        """Put back one that was taken a moment ago."""
        table = self._table
        if not table.lock(self._key):
            return
        try:
            if table.words[self._at] == self._key:
                for place, interval, _ in self._rates:
                    table.words[self._at + place] = max(0, table.words[self._at + place] - interval)
        finally:
            table.unlock(self._key)

    def sit(self, *, checked: bool = True) -> bool:
        """Hold a seat until `leave`; False: all are held. Unchecked: even then, for who was connected before the limit was."""
        table = self._table
        if not table.lock(self._key):
            self._tally.uncounted += 1
            return True
        try:
            at = self._find(self._now())
            if at < 0:
                return True
            if checked and table.held(at) >= self.ration.most:
                return False
            table.hold(at)
            self._seat = at
            return True
        finally:
            table.unlock(self._key)

    def leave(self) -> None:
        """Hold the seat no more, if there is one."""
        if self._seat >= 0:
            self._table.let_go(self._seat)
            self._seat = -1

    def too_fast(self, wait: int) -> Exceeded:
        """What a client is told who must wait so many nanoseconds."""
        limit, seconds = self.ration.limit, math.ceil(wait / SECOND * 1000) / 1000
        rates = ", ".join(rate.words for rate in self.ration.rates)
        words = f"limit {limit.limit_id}: {rates}{self._whose()}; try again in {seconds:g} s"
        return Exceeded(words, seconds)

    def too_many(self) -> Exceeded:
        """What a client is told for whom there is no seat."""
        words = f"limit {self.ration.limit.limit_id}: {self.ration.most} connections at once{self._whose()}"
        return Exceeded(words)

    def _whose(self) -> str:
        per = self.ration.limit.per.lower()
        return f" for each {per}" if per else ""

    def _find(self, now: int) -> int:
        at = self._table.find(self._key, now)
        if at < 0:
            self._tally.uncounted += 1
        else:
            self._at = at
        return at
