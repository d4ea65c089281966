"""Seat: the place of one worker, whoever has it now; asked by many, one at a time.

What it is told to serve by is told to each worker that takes the place.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import count
from typing import Generic

from marchproxy.engines.workers.line import Answer, Question
from marchproxy.engines.workers.process import WorkerProcess
from marchproxy.engines.workers.words import Done, Refused, once_ports_are_free
from marchproxy.kit.backoff import Backoff
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger

_log = get_logger(__name__)
_POLL_SECONDS = 0.01
_RESTART = Backoff(initial=0.1, maximum=5.0)
_NOT_STARTED = "is not started yet"
_MOST_SILENT = 3  # answers that may be missing in a row


class WorkerUnavailable(Exception):
    """A worker cannot be started, or does not answer."""


class WorkerRefused(Exception):
    """A worker cannot do what it is told, and has changed nothing."""


class Seat(Generic[Question, Answer]):
    """`trouble`: what is wrong with the worker, in words; empty: it serves."""

    def __init__(
        self,
        process: WorkerProcess[Question, Answer],
        *,
        clock: Clock,
        meanwhile: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """`meanwhile`: what is done for as long as a worker that died has no successor."""
        self.process = process
        self.meanwhile = meanwhile
        self.trouble = _NOT_STARTED
        self._clock = clock
        self._turn = asyncio.Lock()
        self._told: Question | None = None
        self._silent = 0

    @property
    def pid(self) -> int | None:
        """The worker that serves; None while there is none."""
        return None if self.trouble else self.process.pid

    async def ask(self, question: Question) -> Answer:
        """The worker's answer. Raises WorkerUnavailable."""
        if self.trouble:
            raise WorkerUnavailable(self.trouble)
        async with self._turn:
            try:
                answer = await self.process.ask(question)
            except WorkerUnavailable:
                self._silent += 1
                if self._silent >= _MOST_SILENT:  # its clients wait for nothing, and new ones are sent to it
                    _log.error("worker killed: it does not answer", pid=self.process.pid)
                    self.process.kill()
                raise
            self._silent = 0
            return answer

    async def apply(self, told: Question) -> None:
        """Have it serve by this, from its next start on as well. Raises WorkerRefused, WorkerUnavailable.

        Where no worker is, the next one hears of it.
        """
        before, self._told = self._told, told
        if self.trouble:
            return
        try:
            await self._tell(told, self.ask)
        except (WorkerRefused, WorkerUnavailable):
            self._told = before
            raise

    async def take_back(self, told: Question) -> None:
        """Have it serve by what it served by before; a worker that cannot is told at its next start."""
        self._told = told
        try:
            await self._tell(told, self.ask)
        except (WorkerRefused, WorkerUnavailable) as error:
            _log.error("a worker could not be taken back", reason=str(error))

    def note(self, told: Question) -> None:
        """What the worker is told at its next start."""
        self._told = told

    def kill(self) -> None:
        """Kill the worker."""
        self.process.kill()
        self.trouble = _NOT_STARTED

    def retire(self) -> None:
        """Let the worker finish what is open, and have none."""
        self.process.retire()
        self.trouble = _NOT_STARTED

    async def adopt(self) -> bool:
        """Take over the worker that runs, if one does that answers."""
        async with self._turn:
            if await self.process.adopt():
                self.trouble = ""
        return not self.trouble

    async def start(self) -> None:
        """Start a worker where none is. Raises WorkerUnavailable."""
        async with self._turn:
            if self.process.pid is None:
                await self.process.start()
            self.trouble, self._silent = "", 0

    async def replace(self) -> None:
        """Have another worker; the one that is there finishes what is open. Not while `watch` runs.

        Raises WorkerRefused, WorkerUnavailable; then `watch` goes on trying.
        """
        async with self._turn:
            self.process.retire()
        await self._revive()

    async def watch(self) -> None:
        """Start it again whenever it ends, until cancelled."""
        while True:
            await self.process.ended()
            self.trouble = self.trouble or "is being started again"
            with self.meanwhile():
                await self._revive_at_last()

    async def _revive_at_last(self) -> None:
        for attempt in count():
            try:
                await self._revive()
            except (WorkerRefused, WorkerUnavailable) as error:
                self.trouble = f"cannot be started again: {error}"
                _log.error("worker not in service again", reason=str(error))
                self.process.kill()
                await self._clock.sleep(_RESTART.delay(attempt, random.random()))  # noqa: S311 - spreads load only
            else:
                return

    async def _revive(self) -> None:
        async with self._turn:
            await self.process.start()
            if self._told is not None:
                await self._tell(self._told, self.process.ask)
            self.trouble, self._silent = "", 0

    async def _tell(self, told: Question, ask: Callable[[Question], Awaitable[Answer]]) -> None:
        match await once_ports_are_free(lambda: ask(told), self._clock, every=_POLL_SECONDS):
            case Done():
                return
            case Refused(reason):
                raise WorkerRefused(reason)
            case other:
                raise WorkerUnavailable(f"the worker answered {type(other).__name__}")
