"""Expected: whose answers relays are to bring, by reservation. Pure; times in nanoseconds.

Not as long as a request is under way: its end may be reported before its answer comes.
"""

from collections import OrderedDict
from typing import NamedTuple

from marchproxy.modules.ailb.dialects.operations import Operation

_MOST = 20_000


class Expectation(NamedTuple):
    """`key`: of the answer; `keep_for` nanoseconds; `since`: when the request was let pass."""

    key: str
    operation: Operation
    keep_for: int
    since: int


class Expected:
    """At most some; the oldest are given up for others."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._by_number: OrderedDict[int, Expectation] = OrderedDict()

    def add(self, number: int, expectation: Expectation) -> None:
        """A request was let pass, and what is answered to it is to be kept."""
        self._by_number[number] = expectation
        if len(self._by_number) > self._most:
            self._by_number.popitem(last=False)

    def take(self, number: str) -> Expectation | None:
        """What a relay brings is for this; once."""
        is_number = number.isascii() and number.isdigit() and len(number) <= 20
        return self._by_number.pop(int(number), None) if is_number else None
