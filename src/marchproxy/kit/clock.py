"""Clock: the one place that reads time. Everything that waits or stamps takes a Clock, so tests can own time."""

import asyncio
import heapq
import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Time as the rest of the program sees it."""

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start; never goes back."""
        ...

    def now(self) -> datetime:
        """Return the wall-clock time, timezone-aware, in UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for this many seconds; zero or less only yields to the loop."""
        ...


class SystemClock:
    """The machine's clock."""

    #: Without a function of ours around it: it is asked twice for every query.
    monotonic = staticmethod(time.monotonic)

    def now(self) -> datetime:
        """Return the wall-clock time in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop."""
        await asyncio.sleep(max(seconds, 0.0))


class VirtualClock:
    """A clock that moves only when told to, for tests. Monotonic and wall time move together."""

    def __init__(self, start: datetime = datetime(2030, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def monotonic(self) -> float:
        """Return the seconds this clock was advanced by."""
        return self._elapsed

    def now(self) -> datetime:
        """Return the start plus what the clock was advanced by."""
        return self._start + timedelta(seconds=self._elapsed)

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has been advanced by this many seconds."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), woken))
        await woken

    def advance(self, seconds: float) -> None:
        """Move time at once and wake every sleeper that is due. A task that sleeps again waits for the next call."""
        self._move_to(self._elapsed + seconds)

    async def elapse(self, seconds: float) -> None:
        """Move time from one sleeper to the next, letting woken tasks run and sleep again in between."""
        end = self._elapsed + seconds
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self._move_to(self._sleepers[0][0])
            await _settle()
        self._move_to(end)
        await _settle()

    def _move_to(self, moment: float) -> None:
        self._elapsed = max(moment, self._elapsed)
        while self._sleepers and self._sleepers[0][0] <= self._elapsed:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)


async def _settle() -> None:
    # a woken task usually needs a few turns of the loop (future → task → queue → task) before it waits again
    for _ in range(20):
        await asyncio.sleep(0)
