"""Hangups: who has hung up, of connections that the event loop does not read: so that it is known at once all the same."""

import asyncio
import select
from collections.abc import Callable
from contextlib import suppress
from typing import Final

_EVENTS: Final = select.EPOLLRDHUP | select.EPOLLONESHOT


class Hangups:
    """An epoll of its own, which data do not wake."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._watched: dict[int, Callable[[], None]] = {}
        loop.add_reader(self._epoll.fileno(), self._look)

    def watch(self, descriptor: int, seen: Callable[[], None]) -> None:
        """Have it called when the other side has hung up; once."""
        self._watched[descriptor] = seen
        self._epoll.register(descriptor, _EVENTS)

    def forget(self, descriptor: int) -> None:
        """To be called before the descriptor is closed; it need not be watched."""
        if self._watched.pop(descriptor, None) is not None:
            with suppress(FileNotFoundError):
                self._epoll.unregister(descriptor)

    def close(self) -> None:
        """Watch nobody any more."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        self._watched.clear()

    def _look(self) -> None:
        for descriptor, _ in self._epoll.poll(0):
            seen = self._watched.get(descriptor)
            if seen is not None:
                seen()
