"""Registry: which server has which cursor and transaction, in this worker, and in the others by asking them.

Our number of a cursor says which worker has it. A driver asks for the rest of a cursor over any of its connections, and so of
any worker: one that has not got it asks the one that has. What a worker is told is JSON of at most 1024 bytes.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import astuple

from marchproxy.kit.logs import get_logger
from marchproxy.modules.dblb.mongodb.pins import Cursor, Cursors, Transactions, worker_of
from marchproxy.modules.dblb.mongodb.settings import MongoLimits
from marchproxy.modules.dblb.service import Surroundings

_log = get_logger(__name__)
_ASK_SECONDS = 1.0
_LONGEST = 1024
#: Who holds a cursor that was asked for by another worker.
_ELSEWHERE = 0

Found = Callable[[Cursor | None], None]


class Registry:
    """`kill` has a cursor closed by its server."""

    def __init__(self, limits: MongoLimits, around: Surroundings, kill: Callable[[Cursor], None]) -> None:
        self.cursors = Cursors(most=limits.cursors, worker=around.worker)
        self.transactions = Transactions(most=limits.transactions)
        self._limits = limits
        self._around = around
        self._kill = kill
        self._tokens = 0
        self._asking: dict[int, tuple[Found, asyncio.TimerHandle]] = {}

    def opened(self, cursor: Cursor, holder: int) -> int:
        """Our number of a new cursor."""
        number, forgotten = self.cursors.open(cursor, holder, self._now())
        if forgotten is not None:
            self._kill(forgotten)
        return number

    def used(self, number: int, user: str, holder: int) -> Cursor | None:
        """The cursor of one of our numbers, which this connection uses now; None: this worker has no such cursor."""
        return self.cursors.use(number, user, holder, self._now())

    def is_elsewhere(self, number: int) -> bool:
        """Whether another worker may have the cursor."""
        return worker_of(number) != self._around.worker and 0 <= worker_of(number) < self._around.workers

    def ask(self, number: int, user: str, found: Found) -> None:
        """Ask the worker that has it. `found` is called once, within a second."""
        self._tokens += 1
        token = self._tokens
        alarm = asyncio.get_running_loop().call_later(_ASK_SECONDS, self._hear, token, None)
        self._asking[token] = (found, alarm)
        self._say(
            worker_of(number), {"ask": number, "user": user, "from": self._around.worker, "token": token}
        )

    def drop(self, number: int, user: str) -> Cursor | None:
        """It has ended, or is not wanted any more; who has it forgets it, which is returned if that is this worker."""
        if self.is_elsewhere(number):
            self._say(worker_of(number), {"drop": number, "user": user})
            return None
        return self.cursors.drop(number, user)

    def kill(self, number: int, user: str) -> bool:
        """Have a cursor closed; whether there was one, as far as this worker knows."""
        if self.is_elsewhere(number):
            self._say(worker_of(number), {"kill": number, "user": user})
            return True
        cursor = self.cursors.drop(number, user)
        if cursor is not None:
            self._kill(cursor)
        return cursor is not None

    def left(self, holder: int) -> None:
        """A connection has ended; its cursors are closed unless another one asks for them soon."""
        numbers = self.cursors.left(holder)
        if numbers:
            asyncio.get_running_loop().call_later(self._limits.orphan, self._orphaned, numbers, holder)

    def expire(self) -> None:
        """Close cursors that nobody has asked for in a long time."""
        for cursor in self.cursors.expire(self._now() - self._limits.cursor):
            self._kill(cursor)

    def told(self, message: bytes) -> None:
        """What another worker says."""
        try:
            said = json.loads(message)
            match said:
                case {"ask": int(number), "user": str(user), "from": int(asker), "token": int(token)}:
                    cursor = self.cursors.use(number, user, _ELSEWHERE, self._now())
                    self._say(asker, {"token": token, "cursor": None if cursor is None else astuple(cursor)})
                case {"token": int(token), "cursor": list(cursor)}:
                    self._hear(token, Cursor(*cursor))
                case {"token": int(token)}:
                    self._hear(token, None)
                case {"drop": int(number), "user": str(user)}:
                    self.cursors.drop(number, user)
                case {"kill": int(number), "user": str(user)}:
                    self.kill(number, user)
                case _:
                    _log.warning("another worker says what nobody understands")
        except (ValueError, TypeError) as error:
            _log.warning("another worker says what nobody understands", reason=str(error))

    def _hear(self, token: int, cursor: Cursor | None) -> None:
        found, alarm = self._asking.pop(token, (None, None))
        if found is not None and alarm is not None:
            alarm.cancel()
            found(cursor)

    def _say(self, worker: int, document: dict[str, object]) -> None:
        message = json.dumps(document, separators=(",", ":")).encode()
        if len(message) > _LONGEST:
            _log.warning("a cursor's names are too long to be told to another worker", bytes=len(message))
            return
        self._around.group.create_task(self._tell(worker, message), name="tell another worker")

    async def _tell(self, worker: int, message: bytes) -> None:
        await self._around.elsewhere(worker, message)

    def _orphaned(self, numbers: frozenset[int], holder: int) -> None:
        for cursor in self.cursors.orphans(numbers, holder):
            self._kill(cursor)

    def _now(self) -> float:
        return self._around.clock.monotonic()
