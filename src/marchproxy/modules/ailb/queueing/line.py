"""Line: those who wait for the same pools. The most important first, then each key in turn, then who came first. Pure."""

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

_PRIORITIES = 10


class Waiter(Protocol):
    """Who waits. `priority` from 0 (first) to 9; `key`: whose turn it takes; `number`: unique, and larger than of who came
    before."""

    @property
    def priority(self) -> int: ...  # noqa: D102

    @property
    def key(self) -> str: ...  # noqa: D102

    @property
    def number(self) -> int: ...  # noqa: D102


W = TypeVar("W", bound=Waiter)


class Line(Generic[W]):
    """One line. Everything takes the same time, however many wait."""

    def __init__(self) -> None:
        self._bands: list[dict[str, dict[int, W]]] = [{} for _ in range(_PRIORITIES)]
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[W]:
        """Everybody, in no order that matters."""
        return (waiter for band in self._bands for waiting in band.values() for waiter in waiting.values())

    def join(self, waiter: W) -> None:
        """Wait from now on, behind who has the same key."""
        band = self._bands[waiter.priority]
        band.setdefault(waiter.key, {})[waiter.number] = waiter
        self._length += 1

    def first(self) -> W:
        """Whose turn it is. Raises IndexError when nobody waits."""
        for band in self._bands:
            for waiting in band.values():
                return next(iter(waiting.values()))
        raise IndexError("nobody waits")

    def serve(self) -> W:
        """Whose turn it was, who waits no more; then it is the next key's. Raises IndexError when nobody waits."""
        waiter = self.first()
        self.leave(waiter)
        band = self._bands[waiter.priority]
        if (others := band.pop(waiter.key, None)) is not None:
            band[waiter.key] = others
        return waiter

    def leave(self, waiter: W) -> bool:
        """Wait no more; whether it did."""
        band = self._bands[waiter.priority]
        waiting = band.get(waiter.key)
        if waiting is None or waiting.pop(waiter.number, None) is None:
            return False
        if not waiting:
            del band[waiter.key]
        self._length -= 1
        return True
