"""One database server of a test's own, which it may kill, start again and wait for."""

import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.support.unprivileged import unprivileged
from tests.ports import free_port
from tests.real.support.process import Started, start
from tests.real.support.waiting import until

WITHIN_SECONDS = 30.0


class Server(ABC):
    """Its port stays the same when it is started again; `data` is in `folder`."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.data = folder / name
        self.port = free_port()
        self._process: Started | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def process(self) -> Started:
        assert self._process is not None, f"{self.name} was not started"
        return self._process

    async def end(self) -> None:
        """Stop it if it runs; pytest shows what it wrote when the test failed."""
        if self._process is not None:
            await self._process.end()

    @abstractmethod
    async def ask(self, statement: str) -> Sequence[Any]:
        """The rows of a statement, over a connection of its own that goes past every proxy."""

    async def until(self, statement: str, right: Callable[[object], object] = bool) -> None:
        """Wait until the statement's first value is right."""

        async def is_right() -> object:
            return right((await self.ask(statement))[0][0])

        await until(is_right, WITHIN_SECONDS)

    async def _run(self, command: Sequence[str], absent: type[Exception]) -> None:
        """Run it until it answers; `absent` is raised by `ask` while nobody does."""

        async def answers() -> bool:
            assert self.process.running, self.process.log.read_text()
            try:
                await self.ask("select 1")
            except absent:
                return False
            return True

        self._process = await start((*unprivileged(), *command), self.folder / f"{self.name}.log")
        await until(answers, WITHIN_SECONDS)

    async def _crash(self, number: signal.Signals) -> None:
        self.process.send(number)
        await self.process.ended(WITHIN_SECONDS)
