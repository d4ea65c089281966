"""The rooms of a manager that watch, operate and revise, in this process, without its HTTP."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from marchproxy.contract.document import decode
from marchproxy.kit.clock import SystemClock
from marchproxy.kit.tasks import beside
from marchproxy.manager.operating import Operations
from marchproxy.manager.revising import Revisions
from marchproxy.manager.revising.fleet import Fleet
from marchproxy.manager.watching import LiveView, Observer
from marchproxy.store import Sealer, Store, StoreSettings, open_store


@dataclass
class Rooms:
    """What works together."""

    store: Store
    revisions: Revisions
    live: Observer
    operations: Operations

    @property
    def view(self) -> LiveView:
        return self.live.view

    async def told(self, kind: str, subject: str, *, by: str = "", within: float = 60) -> str:
        """Wait for an event, whose message names `by`; the message."""
        async with asyncio.timeout(within):
            while True:
                for event in await self.store.events(kind=kind, limit=100):
                    if event.subject == subject and by in event.message:
                        return event.message
                await asyncio.sleep(0.1)


@asynccontextmanager
async def rooms(folder: Path, document: bytes, nlbs: Sequence[str]) -> AsyncIterator[Rooms]:
    """They run for the length of the block, on a SQLite file in `folder`."""
    clock = SystemClock()
    sealer = Sealer.of_file(folder / "secret.key")
    async with open_store(StoreSettings(f"sqlite:///{folder / 'manager.db'}"), sealer) as store:
        revisions = Revisions(store, Fleet(nlbs, clock=clock), clock=clock)
        live = Observer(nlbs, store, revisions, clock=clock, beat=0.4)
        operations = Operations(live, revisions, store, clock=clock)
        await revisions.start(decode(document), "system.yaml")
        async with (
            beside(revisions.run(), name="revisions"),
            beside(live.run(), name="watching"),
            beside(operations.run(), name="operations"),
        ):
            yield Rooms(store, revisions, live, operations)
