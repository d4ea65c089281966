"""A manager's revisions in a process of their own, which proposes one item and dies at a given moment.

`python -m tests.real.support.proposing URL KEY NLB SECTION ITEM MOMENT`; the moments are in `MOMENTS`.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from marchproxy.contract.fleet.takers import Reload
from marchproxy.kit.clock import SystemClock
from marchproxy.kit.tasks import beside
from marchproxy.manager.revising import Fleet, Revisions
from marchproxy.model.changes import SECTIONS
from marchproxy.model.revision import Author
from marchproxy.model.state import DesiredState
from marchproxy.store import Sealer, Store, StoreSettings, open_store

MOMENTS = ("before begin", "after begin", "after part 1", "before commit")
ANN = Author("ann", "user")


@asynccontextmanager
async def revising(store: Store, nlb: str, state: DesiredState) -> AsyncIterator[Revisions]:
    """Revisions at work, until the end of the block."""
    clock = SystemClock()
    revisions = Revisions(store, Fleet([nlb], clock=clock), clock=clock)
    await revisions.start(state, "system.yaml")
    async with beside(revisions.run(), name="revisions"):
        yield revisions


def call_at(moment: str, store: Store, work: Any, patch: Any = setattr) -> None:
    """Await `work()` at the first such moment of applies through this store, and at no later one."""
    left = [moment]

    async def reached(name: str) -> None:
        if left == [name]:
            left.clear()
            await work()

    def around(name: str) -> None:
        original = getattr(store, name)

        async def call(*arguments: Any) -> Any:
            await reached(f"before {name}")
            answer = await original(*arguments)
            await reached(f"after {name}")
            return answer

        patch(store, name, call)

    for name in ("begin", "commit"):
        around(name)
    original, count = Reload._call, 0

    async def call(self: Reload, taker: Any, offer: Any, *, validate_only: bool) -> Any:
        nonlocal count
        answer = await original(self, taker, offer, validate_only=validate_only)
        if not validate_only:
            count += 1
            await reached(f"after part {count}")
        return answer

    patch(Reload, "_call", call)


async def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def main(url: str, key: str, nlb: str, section: str, item: str, moment: str) -> None:
    wanted = json.loads(item)
    async with (
        open_store(StoreSettings(url), Sealer.of_file(Path(key))) as store,
        revising(store, nlb, DesiredState()) as revisions,
    ):
        call_at(moment, store, _die)
        await revisions.put(section, wanted[SECTIONS[section]], wanted, by=ANN, reason=moment)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
