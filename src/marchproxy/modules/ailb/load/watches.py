"""Watches: of all engines of an instance, as they come and go."""

import asyncio
from collections.abc import Callable, Mapping

from marchproxy.kit.clock import Clock
from marchproxy.model.module import PoolName
from marchproxy.modules.ailb.load.engine_load import Listener
from marchproxy.modules.ailb.load.watch import Engine, Watch


class Watches:
    """Tasks of `group`, one for each engine. `told`: see Watch."""

    def __init__(self, group: asyncio.TaskGroup, told: Callable[[PoolName], None], clock: Clock) -> None:
        self._group = group
        self._told = told
        self._clock = clock
        self._running: dict[Engine, tuple[Listener, asyncio.Task[None]]] = {}

    def follow(self, engines: Mapping[Engine, Listener]) -> None:
        """Watch these from now on, and no others."""
        for engine, (listener, task) in list(self._running.items()):
            if engines.get(engine) is not listener:
                task.cancel()
                del self._running[engine]
        for engine, listener in engines.items():
            if engine not in self._running:
                watch = Watch(engine, listener, self._told, self._clock)
                task = self._group.create_task(watch.run(), name=f"engine {engine.address}")
                self._running[engine] = listener, task

    def close(self) -> None:
        """Watch nobody any more."""
        self.follow({})
