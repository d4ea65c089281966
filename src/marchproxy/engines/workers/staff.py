"""Staff: all workers of an instance: found or started, told, asked, started again, ended.

They outlive a supervisor that crashes; the next one adopts them, with their clients. All follow what they were told last, or
what they were told before.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar, Generic, TypeAlias

from marchproxy.engines.workers.line import Answer, Question
from marchproxy.engines.workers.seat import Seat, WorkerRefused, WorkerUnavailable
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.kit.tasks import every
from marchproxy.model.problem import RefusalCode, Refused

_log = get_logger(__name__)
_TRIM_SECONDS = 30.0

#: Seconds, what is done so often, and its name in the log.
Beat: TypeAlias = tuple[float, Callable[[], Awaitable[None]], str]


class Staff(Generic[Question, Answer]):
    """Use it inside `employed`. `end_seconds`: what workers have to end by themselves."""

    end_seconds: ClassVar[float] = 2.0

    def __init__(self, seats: Sequence[Seat[Question, Answer]], *, clock: Clock) -> None:
        self._seats = tuple(seats)
        self._clock = clock
        self._group = asyncio.TaskGroup()
        self._watches: dict[Seat[Question, Answer], asyncio.Task[None]] = {}

    @asynccontextmanager
    async def employed(self, *beats: Beat) -> AsyncIterator[None]:
        """Adopt the workers that run; end all at the end of the block, unless it fails with what another one began.

        Meanwhile each of `beats` is done every so often.
        """
        failure: Exception | None = None
        async with asyncio.TaskGroup() as self._group:
            adopted = await self._adopt()
            beating = [
                self._group.create_task(every(seconds, work, clock=self._clock, name=name))
                for seconds, work, name in (*beats, (_TRIM_SECONDS, self._trim, "worker logs"))
            ]
            try:
                yield
            except Exception as error:  # noqa: BLE001 - raised again below, outside the group, so that it is not wrapped
                failure = error
            finally:
                for task in (*beating, *self._watches.values()):
                    task.cancel()
                await self._end(keep=failure is not None and adopted)
        if failure is not None:
            raise failure

    async def adoptable(self, seat: Seat[Question, Answer]) -> bool:  # noqa: ARG002 - for those who override it
        """Whether a worker that was found is one to go on with; otherwise it finishes what is open. Raises WorkerUnavailable."""
        return True

    def states(self) -> Mapping[str, str]:
        """`ok`, or what is wrong, for each worker."""
        return {f"worker:{index}": seat.trouble or "ok" for index, seat in enumerate(self._seats)}

    async def start(self) -> None:
        """Have all workers run that never did. Raises Refused (UNAVAILABLE)."""
        new = [seat for seat in self._seats if seat not in self._watches]
        try:
            async with asyncio.TaskGroup() as group:
                for seat in new:
                    group.create_task(seat.start())
        except* WorkerUnavailable as errors:
            raise Refused(RefusalCode.UNAVAILABLE, str(errors.exceptions[0])) from errors
        for seat in new:
            self._watch(seat)

    async def tell(self, message: Question, before: Question | None) -> None:
        """Tell all, or none: then all go by `before`. Raises Refused (INVALID_ARGUMENT: it cannot be; UNAVAILABLE)."""
        try:
            for seat in self._seats:
                await seat.apply(message)
        except (WorkerRefused, WorkerUnavailable) as error:
            if before is not None:
                await self.take_back(before)
            refused = isinstance(error, WorkerRefused)
            code = RefusalCode.INVALID_ARGUMENT if refused else RefusalCode.UNAVAILABLE
            raise Refused(code, str(error)) from error
        if not self.serving_seats():
            raise Refused(RefusalCode.UNAVAILABLE, f"no worker is running: {self._seats[0].trouble}")

    async def take_back(self, message: Question) -> None:
        """Have all go by this; who cannot hears of it at its next start. Raises nothing."""
        for seat in self._seats:
            await seat.take_back(message)

    async def replace(self, seat: Seat[Question, Answer]) -> None:
        """Have another worker in its place; the old one finishes what is open. Raises WorkerRefused, WorkerUnavailable."""
        if (watch := self._watches.pop(seat, None)) is not None:
            watch.cancel()
        try:
            await seat.replace()
        finally:
            self._watch(seat)

    def reap(self) -> None:
        """Let go of workers that were retired and have ended; call it now and then."""
        for seat in self._seats:
            seat.process.reap()

    def serving_seats(self) -> list[Seat[Question, Answer]]:
        """Those with a worker that serves."""
        return [seat for seat in self._seats if seat.pid is not None]

    async def ask_all(self, question: Question) -> list[tuple[Seat[Question, Answer], int, Answer]]:
        """The answers of those that answer, with their process ids. Raises Refused (UNAVAILABLE) when none does."""
        answers: list[tuple[Seat[Question, Answer], int, Answer]] = []
        problems: list[str] = []

        async def ask(seat: Seat[Question, Answer], pid: int) -> None:
            try:
                answers.append((seat, pid, await seat.ask(question)))
            except WorkerUnavailable as error:
                problems.append(str(error))

        async with asyncio.TaskGroup() as group:
            for seat in self._seats:
                if seat.pid is not None:
                    group.create_task(ask(seat, seat.pid))
        if not answers:
            words = problems[0] if problems else "no worker is running"
            raise Refused(RefusalCode.UNAVAILABLE, words)
        return answers

    async def _adopt(self) -> bool:
        for seat in self._seats:
            if await seat.adopt():
                try:
                    wanted = await self.adoptable(seat)
                except WorkerUnavailable as error:
                    _log.warning("worker replaced", reason=str(error))
                    seat.kill()
                    continue
                if wanted:
                    self._watch(seat)
                else:
                    seat.retire()
        return bool(self.serving_seats())

    def _watch(self, seat: Seat[Question, Answer]) -> None:
        self._watches[seat] = self._group.create_task(seat.watch())

    async def _trim(self) -> None:
        for seat in self._seats:
            await seat.process.log.trim()

    async def _end(self, *, keep: bool) -> None:
        for seat in self._seats:
            if keep:
                seat.process.let_go()
        async with asyncio.TaskGroup() as group:
            for seat in self._seats:
                group.create_task(seat.process.end(self.end_seconds))
