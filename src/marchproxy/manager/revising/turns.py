"""Turns: work that waits in a bounded queue until it is its turn, and for whom it is done waits up to a deadline."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from marchproxy.manager.revising.outcome import Busy

T = TypeVar("T")
_MOST_WAITING = 32
_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class _Job:
    work: Callable[[], Awaitable[Any]]
    answer: "asyncio.Future[Any]"


class Turns:
    """One worker calls `next` in a loop; anybody calls `take`."""

    def __init__(self, *, most: int = _MOST_WAITING, seconds: float = _SECONDS) -> None:
        self._jobs: asyncio.Queue[_Job | None] = asyncio.Queue()
        self._most = most
        self._seconds = seconds
        self._closed = False

    async def take(self, work: Callable[[], Awaitable[T]]) -> T:
        """Have `work` done when its turn has come. Raises what it raises, and Busy.

        Who goes away before its turn loses it; what has begun is carried through.
        """
        if self._closed:
            raise Busy("the manager is stopping")
        if self._jobs.qsize() >= self._most:
            raise Busy(f"{self._most} changes wait already; try again in a moment")
        job = _Job(work, asyncio.get_running_loop().create_future())
        self._jobs.put_nowait(job)
        try:
            async with asyncio.timeout(self._seconds):
                answer: T = await job.answer
        except TimeoutError:
            raise Busy(
                f"not done within {self._seconds:g} s; see the revisions for what became of it"
            ) from None
        return answer

    async def next(self, within: float) -> bool:
        """Do the next work, if there is some within so many seconds; whether there was."""
        try:
            async with asyncio.timeout(within):
                job = await self._jobs.get()
        except TimeoutError:
            return False
        if job is None:
            return False
        if not job.answer.cancelled():
            await _carry_out(job)
        return True

    def wake(self) -> None:
        """Have `next` return soon, though there is nothing to do."""
        if self._jobs.empty():
            self._jobs.put_nowait(None)

    def close(self) -> None:
        """Refuse whatever waits, and everything from now on."""
        self._closed = True
        while not self._jobs.empty():
            job = self._jobs.get_nowait()
            if job is not None and not job.answer.done():
                job.answer.set_exception(Busy("the manager is stopping"))


async def _carry_out(job: _Job) -> None:
    try:
        answer = await job.work()
    except asyncio.CancelledError:
        if not job.answer.done():
            job.answer.set_exception(Busy("the manager is stopping; it will finish this when it is back"))
        raise
    except Exception as error:  # noqa: BLE001 - it is the asker's, who raises it
        if not job.answer.done():
            job.answer.set_exception(error)
        return
    if not job.answer.done():
        job.answer.set_result(answer)
