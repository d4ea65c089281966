"""Dialing: one attempt to connect to a target, which may be given up at any moment."""

import asyncio
from collections.abc import Callable
from functools import lru_cache

from marchproxy.kit.settings import HostPort
from marchproxy.model.plan import Target
from marchproxy.nlb.dataplane.relay.side import Side


class Attempt:
    """Connects `side`, which hears of its transport by itself. `failed` is told why it could not be done."""

    __slots__ = ("_failed", "_side", "_task")

    def __init__(
        self, group: asyncio.TaskGroup, target: Target, side: Side, failed: Callable[["Attempt", str], None]
    ) -> None:
        self._side = side
        self._failed = failed
        self._task = group.create_task(self._dial(target))

    def when_over(self, callback: Callable[["Attempt"], None]) -> None:
        """Call this once it has succeeded, failed or been given up."""
        # not at the end of the attempt itself, which one that is cancelled before it began never reaches
        self._task.add_done_callback(lambda _: callback(self))

    def give_up(self) -> None:
        """Connect no more."""
        # once there is a transport the attempt is over, and uvloop would end a cancelled one's without telling its protocol
        if self._side.transport is None and self._task is not asyncio.current_task():
            self._task.cancel()

    async def _dial(self, target: Target) -> None:
        try:
            address = _address(target.endpoint.address)
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: self._side, address.host, address.port)
        except (OSError, ValueError) as error:
            self._failed(self, str(error))


@lru_cache(maxsize=4096)
def _address(text: str) -> HostPort:
    return HostPort.parse(text)
