"""Supervisor: all parts of a file, up together, the manager after them but for those that it serves, and down in order."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from marchproxy.cli.up.keeper import Keeper, PartFailed


class Supervisor:
    """The keepers of all parts, the NLB's first."""

    def __init__(self, keepers: Sequence[Keeper], when_ready: Callable[[], Awaitable[None]]) -> None:
        """`when_ready` is called once, when every part has said that it is ready."""
        self._keepers = keepers
        self._when_ready = when_ready
        self._failure: PartFailed | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop`; then modules stop before the NLB, so that they can leave it, and the manager before both.

        Cancelled: all are killed.

        Raises PartFailed when a part does not come up, after the others have been stopped.
        """
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._keep(keeper, stop)) for keeper in self._keepers]
                tasks.append(group.create_task(self._greet()))
                await stop.wait()
                for task in tasks:
                    task.cancel()
            await self._stop()
        except BaseException:
            for keeper in self._keepers:
                keeper.kill()
            raise
        if self._failure is not None:
            raise self._failure

    async def _keep(self, keeper: Keeper, stop: asyncio.Event) -> None:
        try:
            if keeper.part.kind == "manager":
                await _all_ready(
                    one for one in self._keepers if one is not keeper and not one.part.after_manager
                )
            await keeper.run()
        except PartFailed as failure:
            self._failure = self._failure or failure
            stop.set()

    async def _greet(self) -> None:
        await _all_ready(self._keepers)
        await self._when_ready()

    async def _stop(self) -> None:
        waves: dict[str, list[Keeper]] = {"manager": [], "module": [], "nlb": []}
        for keeper in self._keepers:
            waves.get(keeper.part.kind, waves["module"]).append(keeper)
        for wave in waves.values():
            async with asyncio.TaskGroup() as group:
                for keeper in wave:
                    group.create_task(keeper.stop())


async def _all_ready(keepers: Iterable[Keeper]) -> None:
    for keeper in keepers:
        await keeper.ready.wait()
