"""Subscription: events as they happen, for one reader who may be slow; nobody waits for him."""

import asyncio
from collections import deque

from marchproxy.model.record import Event


class Subscription:
    """An async iterator of events. It ends when the reader is too far behind (`lagged`), or when nothing comes any more."""

    def __init__(self, most: int = 256) -> None:
        self._waiting: deque[Event] = deque()
        self._most = most
        self._news = asyncio.Event()
        self._over = False
        self.lagged = False
        """Events were lost: look at the whole again."""

    def put(self, event: Event) -> None:
        """Hand over an event; never blocks."""
        if len(self._waiting) >= self._most:
            self.lagged = True
            self._waiting.clear()
        if not self.lagged:
            self._waiting.append(event)
        self._news.set()

    def close(self) -> None:
        """No more will come; what is there is still read."""
        self._over = True
        self._news.set()

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> Event:
        while not self._waiting:
            if self.lagged or self._over:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._waiting.popleft()
