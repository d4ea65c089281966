"""The journal: events on their way into the store, and from the store, whoever wrote them, to those who read along."""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.manager.watching.subscription import Subscription
from marchproxy.model.record import Event
from marchproxy.store import StoreUnavailable

if TYPE_CHECKING:
    from marchproxy.store import Store

_log = get_logger(__name__)
_RETRY_SECONDS = 2.0
_PAGE = 100
_MOST_PAGES = 10


class Journal:
    """Nobody waits for the store: when it is away for long, the oldest events that wait for it are lost, and logged."""

    def __init__(self, store: "Store", clock: Clock, *, most: int = 1000) -> None:
        """`most` events wait for the store."""
        self._store, self._clock, self._most = store, clock, most
        self._waiting: deque[Event] = deque()
        self._some = asyncio.Event()
        self._readers: set[Subscription] = set()

    def note(self, events: Iterable[Event]) -> None:
        """Have these written down."""
        for event in events:
            if len(self._waiting) >= self._most:
                lost = self._waiting.popleft()
                _log.warning("an event is lost", kind=lost.kind, subject=lost.subject, message=lost.message)
            self._waiting.append(event)
            self._some.set()

    @contextmanager
    def subscribe(self, most: int) -> Iterator[Subscription]:
        """Events as they are written, for the length of the block."""
        reader = Subscription(most)
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)

    async def run(self) -> None:
        """Write and tell, until cancelled; then no reader gets more."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write())
                group.create_task(self._tell())
        finally:
            for reader in self._readers:
                reader.close()

    async def _write(self) -> None:
        while True:
            await self._some.wait()
            try:
                await self._store.write_event(self._waiting[0])
            except StoreUnavailable as error:
                _log.warning("events wait for the store", waiting=len(self._waiting), reason=str(error))
                await self._clock.sleep(_RETRY_SECONDS)
                continue
            self._waiting.popleft()
            if not self._waiting:
                self._some.clear()

    async def _tell(self) -> None:
        last: int | None = None
        while True:
            changes = self._store.changes()
            try:
                last = await self._newest() if last is None else await self._tell_since(last)
                async for topic in changes:
                    if topic == "events":
                        last = await self._tell_since(last)
            except StoreUnavailable as error:
                _log.warning("readers of events wait for the store", reason=str(error))
                await self._clock.sleep(_RETRY_SECONDS)

    async def _newest(self) -> int:
        return max((event.id for event in await self._store.events(limit=1)), default=0)

    async def _tell_since(self, last: int) -> int:
        """Hand over what was written after `last`; of very much the newest."""
        found: list[Event] = []
        before = None
        for _ in range(_MOST_PAGES):
            page = await self._store.events(before=before, limit=_PAGE)
            found += [event for event in page if event.id > last]
            if len(page) < _PAGE or page[-1].id <= last:
                break
            before = page[-1].id
        for event in sorted(found, key=lambda event: event.id):
            for reader in self._readers:
                reader.put(event)
        return max((event.id for event in found), default=last)
