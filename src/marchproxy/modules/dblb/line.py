"""Line: those who wait for something that is shared, in the order in which they came, each for the same time."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from marchproxy.kit.clock import Clock

W = TypeVar("W")


class Line(Generic[W]):
    """First come, first served. One timer does for all: their times end in the order in which they came."""

    def __init__(self, seconds: float, late: Callable[[W], None], clock: Clock) -> None:
        """`late` is called with whoever has waited for `seconds`, and waits no more."""
        self.seconds = seconds
        """Of those who join from now on; those who wait already keep their time."""
        self._late = late
        self._clock = clock
        self._waiting: deque[tuple[float, W]] = deque()
        self._alarm: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self, waiter: W) -> None:
        """Wait from now on."""
        self._waiting.append((self._clock.monotonic() + self.seconds, waiter))
        self._watch()

    def leave(self, waiter: W) -> None:
        """It does not wait any more."""
        self._waiting = deque(item for item in self._waiting if item[1] is not waiter)

    def first(self) -> W:
        """Whoever has waited longest, who waits no more. Raises IndexError when nobody waits."""
        return self._waiting.popleft()[1]

    def all(self) -> list[W]:
        """Everybody, who wait no more."""
        waiting, self._waiting = self._waiting, deque()
        return [waiter for _, waiter in waiting]

    def close(self) -> None:
        """Wake nobody any more."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _watch(self) -> None:
        if self._alarm is None and self._waiting:
            after = max(0.0, self._waiting[0][0] - self._clock.monotonic())
            self._alarm = asyncio.get_running_loop().call_later(after, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        now = self._clock.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            self._late(self.first())
        self._watch()
