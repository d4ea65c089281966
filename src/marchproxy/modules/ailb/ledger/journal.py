"""Journal: writes entries down behind the requests, which never wait for it. Totals follow now and then.

A disk that is full or slow costs entries beyond a bound, which are counted; the totals in memory have them all the same, and
so has the next snapshot.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.modules.ailb.ledger.entry import Entry
from marchproxy.modules.ailb.ledger.store import Store
from marchproxy.modules.ailb.ledger.totals import Row, Totals

#: Encoding holds the GIL, which a write gives back.
_AT_ONCE = 100
_LAST_WAIT = 5.0
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class JournalLimits:
    """`queue`: entries that wait to be written. Seconds: `gather` between two writes, `patience` before another attempt after
    one that failed, `snapshot_every`."""

    queue: int = 50_000
    gather: float = 0.1
    patience: float = 1.0
    snapshot_every: float = 30.0


@dataclass(frozen=True, slots=True)
class _Totals:
    """The totals as they are when everything that is in the queue before them has been written."""

    rows: Sequence[Row]


def _ignore(_: Iterable[int]) -> None:
    """Nobody asks."""


class Journal:
    """What waits to be written. Begin with `Store.restore`; then `run` for as long as there are requests."""

    def __init__(
        self, store: Store, totals: Totals, clock: Clock, limits: JournalLimits = JournalLimits()
    ) -> None:
        self.unwritten = 0
        """Entries for which there was no room."""
        self.written: Callable[[Iterable[int]], None] = _ignore
        """Is called with the numbers of requests of which nothing more is to be said: a crash does not undo them (one of the host
        can)."""
        self._store = store
        self._totals = totals
        self._clock = clock
        self._limits = limits
        self._queue: deque[Entry | _Totals] = deque()
        self._batch: list[Entry] = []
        self._done: deque[int] = deque()
        self._next: _Totals | None = None
        self._wake = asyncio.Event()
        self._writing = threading.Lock()
        self._trouble = ""

    @property
    def waiting(self) -> int:
        """How many entries are not written yet."""
        return len(self._queue) + len(self._batch)

    def put(self, entry: Entry) -> None:
        """Have an entry written soon. At once after the ledger has settled it, or a snapshot may have it twice."""
        if self.waiting >= self._limits.queue:
            self.unwritten += 1
            self._done.append(entry.number)  # the totals have it: told again it would be counted twice
            return
        self._queue.append(entry)
        self._wake.set()

    async def run(self) -> None:
        """Write whatever is to be written, until cancelled; the last of it, and the totals, on the way out."""
        kept_at = self._clock.monotonic()
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if self._clock.monotonic() - kept_at >= self._limits.snapshot_every and not self._trouble:
                    self._keep_totals()
                    kept_at = self._clock.monotonic()
                written = await asyncio.to_thread(self.flush)
                self.written([self._done.popleft() for _ in range(len(self._done))])
                await self._clock.sleep(self._limits.gather if written else self._limits.patience)
                if not written:
                    self._wake.set()
        finally:
            self._keep_totals()
            self.flush()
            self._store.close()

    def flush(self) -> bool:
        """Write what waits, now; False: the store refuses, which is logged once."""
        # the last flush waits for one that is under way in its thread
        if not self._writing.acquire(timeout=_LAST_WAIT):
            return self._tell("a write does not return")
        try:
            while self._batch or self._next is not None or self._queue:
                self._write_some()
        except OSError as error:
            return self._tell(str(error))
        finally:
            self._writing.release()
        return self._tell("")

    def _write_some(self) -> None:
        while self._next is None and self._queue and len(self._batch) < _AT_ONCE:
            match self._queue.popleft():
                case _Totals() as totals:
                    self._next = totals
                case entry:
                    self._batch.append(entry)
        if self._batch:
            self._store.append(self._batch)
            self._done += [entry.number for entry in self._batch]
            self._batch = []
        if self._next is not None:
            self._store.snapshot(self._next.rows)
            self._next = None

    def _tell(self, trouble: str) -> bool:
        if trouble and not self._trouble:
            _log.error("the journal of usage cannot be written", reason=trouble, waiting=self.waiting)
        elif self._trouble and not trouble:
            _log.info("the journal of usage is written again", not_written=self.unwritten)
        self._trouble = trouble
        return not trouble

    def _keep_totals(self) -> None:
        self._queue.append(_Totals(self._totals.rows()))
