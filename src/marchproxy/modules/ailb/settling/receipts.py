"""Receipts: which relay is to be told that a request is written down, so that it need not speak of it again. Pure."""

from collections.abc import Iterable
from typing import Protocol


class Relay(Protocol):
    """Who has reported."""

    def tell(self, numbers: Iterable[int], /) -> None:
        """It need not speak of these requests again."""


class Receipts:
    """Those that are owed, at most `most`: a relay that gets none speaks of the request again some day, which changes nothing."""

    def __init__(self, most: int = 100_000) -> None:
        self._most = most
        self._owed: dict[int, Relay] = {}

    def __len__(self) -> int:
        return len(self._owed)

    def owe(self, number: int, relay: Relay) -> None:
        """A relay has spoken of a request."""
        self._owed[number] = relay
        if len(self._owed) > self._most:
            del self._owed[next(iter(self._owed))]

    def give(self, numbers: Iterable[int]) -> None:
        """These requests are written down."""
        told: dict[Relay, list[int]] = {}
        for number in numbers:
            relay = self._owed.pop(number, None)
            if relay is not None:
                told.setdefault(relay, []).append(number)
        for relay, known in told.items():
            relay.tell(known)
