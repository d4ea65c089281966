"""Errand: what is under way for a client: one task, in whose place another one may come."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Errand:
    """`group` owns the task."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._task: asyncio.Task[None] | None = None

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have this done, instead of what is under way, unless it is that which asks."""
        self.stop()
        self._task = self._group.create_task(work)
        return self._task

    def stop(self) -> None:
        """Have nothing done any more, unless it is that which asks."""
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
