"""The Envoys of one data plane: the one that finishes is let go of once, and not found meanwhile."""

import asyncio
from typing import Any, cast

from marchproxy.engines.envoy.life import EnvoyLife
from marchproxy.engines.envoy.retired import Retired
from marchproxy.kit.clock import SystemClock


class Gone:
    """An Envoy that has ended, and takes its time to be let go of."""

    def __init__(self) -> None:
        self.leaving = asyncio.Event()
        self.left = asyncio.Event()
        self.ended = 0

    async def look(self, launcher: object, now: float) -> bool:
        return True

    async def end(self, seconds: float) -> None:
        self.ended += 1

    async def let_go(self) -> None:
        self.leaving.set()
        await self.left.wait()


async def test_a_stop_does_not_find_the_one_that_is_being_let_go_of():
    nobody = cast("Any", None)
    life, gone = EnvoyLife(nobody, nobody, SystemClock()), Gone()
    life.retired = cast("Retired", gone)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(life.look_after_retired())
        await gone.leaving.wait()
        await life.terminate(1)
        gone.left.set()
    assert gone.ended == 0
    assert life.retired is None
