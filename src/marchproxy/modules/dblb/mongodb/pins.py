"""Pins: which server has a cursor or a transaction. Pure; times in seconds of a monotonic clock.

Both belong to a server and not to a connection, so nothing holds a connection for them. A driver may ask for the rest of a cursor
over another connection than the one that opened it. Clients know cursors by numbers of ours: two servers may choose the same.
"""

import secrets
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a cursor is, and whose; `number` is the server's, `names` its database and collection or what opened it."""

    server: str
    user: str
    number: int
    database: str
    collection: str
    pool: str = ""


@dataclass(slots=True)
class _Kept:
    cursor: Cursor
    used: float
    holder: int


_WORKER_SHIFT = 54


def worker_of(number: int) -> int:
    """Which worker has the cursor of one of our numbers."""
    return number >> _WORKER_SHIFT


class Cursors:
    """Open cursors by numbers of ours, the one used last at the end; at most `most` of them; `worker` is in the numbers."""

    def __init__(self, *, most: int, worker: int = 0) -> None:
        self._most = most
        self._worker = worker
        self._kept: OrderedDict[int, _Kept] = OrderedDict()
        self._of: dict[int, set[int]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def open(self, cursor: Cursor, holder: int, now: float) -> tuple[int, Cursor | None]:
        """Our number of a new cursor, and the one that had to go for it; `holder` is the client's connection."""
        number = (self._worker << _WORKER_SHIFT) + secrets.randbits(_WORKER_SHIFT - 1) + 1
        self._kept[number] = _Kept(cursor, now, holder)
        self._of.setdefault(holder, set()).add(number)
        if len(self._kept) <= self._most:
            return number, None
        oldest = next(iter(self._kept))
        return number, self.drop(oldest, self._kept[oldest].cursor.user)

    def use(self, number: int, user: str, holder: int, now: float) -> Cursor | None:
        """The cursor of one of our numbers, which this connection uses now; None when this user has no such cursor."""
        kept = self._kept.get(number)
        if kept is None or kept.cursor.user != user:
            return None
        if kept.holder != holder:
            self._forget_holder(kept.holder, number)
            self._of.setdefault(holder, set()).add(number)
        kept.used, kept.holder = now, holder
        self._kept.move_to_end(number)
        return kept.cursor

    def drop(self, number: int, user: str) -> Cursor | None:
        """Forget one; None when this user has no such cursor."""
        kept = self._kept.get(number)
        if kept is None or kept.cursor.user != user:
            return None
        del self._kept[number]
        self._forget_holder(kept.holder, number)
        return kept.cursor

    def left(self, holder: int) -> frozenset[int]:
        """The cursors that a connection used last, which has ended: somebody else may still ask for them."""
        return frozenset(self._of.get(holder, ()))

    def orphans(self, numbers: frozenset[int], holder: int) -> Iterator[Cursor]:
        """Forget those of the numbers that nobody but this holder has used, and yield them."""
        for number in numbers:
            kept = self._kept.get(number)
            if kept is not None and kept.holder == holder:
                self.drop(number, kept.cursor.user)
                yield kept.cursor

    def expire(self, before: float) -> Iterator[Cursor]:
        """Forget those not used since, and yield them."""
        while self._kept:
            number, kept = next(iter(self._kept.items()))
            if kept.used >= before:
                return
            self.drop(number, kept.cursor.user)
            yield kept.cursor

    def _forget_holder(self, holder: int, number: int) -> None:
        numbers = self._of.get(holder)
        if numbers is not None:
            numbers.discard(number)
            if not numbers:
                del self._of[holder]


class Transactions:
    """Which server has the transaction of a user's logical session; at most `most` of them, the oldest goes."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[str, bytes], tuple[int, str]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def begin(self, user: str, session: bytes, number: int, server: str) -> None:
        """It has its first statement sent there; one that the session had before is over."""
        self._kept[user, session] = (number, server)
        self._kept.move_to_end((user, session))
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def server(self, user: str, session: bytes, number: int) -> str | None:
        """The server that has it; None when none is known to."""
        kept = self._kept.get((user, session))
        return kept[1] if kept is not None and kept[0] == number else None

    def end(self, user: str, session: bytes, number: int) -> None:
        """It was committed or aborted."""
        if self.server(user, session, number) is not None:
            del self._kept[user, session]
