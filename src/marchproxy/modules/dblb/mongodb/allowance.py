"""Allowance: how many bytes of messages all clients of a worker may have sent that are not yet with a server.

Beyond it clients are not read from, first come, first served; the first of them always is, so that one message can be whole.
"""

from collections import OrderedDict
from typing import Protocol


class Reader(Protocol):
    """A client's connection."""

    def may_read(self) -> None:
        """It has its turn again."""
        ...


class Allowance:
    """`most` bytes; one message more may be there."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[Reader, int] = {}
        self._total = 0
        self._waiting: OrderedDict[Reader, None] = OrderedDict()

    @property
    def held(self) -> int:
        """Bytes that are held now."""
        return self._total

    def note(self, reader: Reader, size: int) -> bool:
        """So much of it is held now; whether it may be read from. If not, it is told."""
        self._total += size - self._held.get(reader, 0)
        if size:
            self._held[reader] = size
        else:
            self._held.pop(reader, None)
        if self._total <= self._most:
            self._waiting.pop(reader, None)
            self._wake()
            return True
        self._waiting.setdefault(reader)
        return next(iter(self._waiting)) is reader

    def leave(self, reader: Reader) -> None:
        """It is gone."""
        self._total -= self._held.pop(reader, 0)
        self._waiting.pop(reader, None)
        self._wake()

    def _wake(self) -> None:
        if self._total <= self._most:
            waiting, self._waiting = self._waiting, OrderedDict()
            for reader in waiting:
                reader.may_read()
        elif self._waiting:
            next(iter(self._waiting)).may_read()
