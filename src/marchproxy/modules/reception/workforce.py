"""Workforce: the worker processes of an instance that share ports; all follow one document, or the one before.

They are told again when files change that the document or the settings name, and when limits are divided otherwise.
"""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import ClassVar, Generic, Self, TypeVar, cast

from marchproxy.contract.document import encode
from marchproxy.engines.workers.contents import contents_of
from marchproxy.engines.workers.files import FileWatch, read_files
from marchproxy.engines.workers.line import Answer, Question
from marchproxy.engines.workers.seat import Seat, WorkerRefused, WorkerUnavailable
from marchproxy.engines.workers.staff import Staff
from marchproxy.engines.workers.words import PORT_SECONDS
from marchproxy.kit.clock import Clock
from marchproxy.kit.listening import BindError, until_free
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import HostPort
from marchproxy.model.problem import Problem, RefusalCode, Refused
from marchproxy.model.state import DesiredState
from marchproxy.modules.reception.doors import Doors
from marchproxy.modules.reception.following import Follow
from marchproxy.modules.reception.serving import Serving

_log = get_logger(__name__)
_LOOK_SECONDS = 1.0
_POLL_SECONDS = 0.02

#: What workers are told: one of the questions.
Message = TypeVar("Message", bound=Follow)
Files = Mapping[str, bytes | str]


@dataclass(frozen=True, slots=True)
class _Told(Generic[Message]):
    state: DesiredState
    files: Files
    message: Message


class Workforce(Staff[Question, Answer], Generic[Question, Answer, Message]):
    """Use it inside `running`. A kind of worker says the rest by overriding what is abstract.

    `finish`: what becomes of what old workers have open, for the words of `renew`.
    """

    finish: ClassVar[str]

    def __init__(self, seats: Sequence[Seat[Question, Answer]], doors: Doors, *, clock: Clock) -> None:
        super().__init__(seats, clock=clock)
        self.instances = 1
        """Among how many instances limits are divided."""
        self._doors = doors
        self._turn = asyncio.Lock()
        self._told: _Told[Message] | None = None
        self._files = FileWatch()
        self._trouble = ""
        self._addresses: frozenset[HostPort] = frozenset()

    @abstractmethod
    def faults(self, state: DesiredState, files: Files) -> Sequence[Problem]:
        """What is wrong with the contents of the files that a sound state names."""

    @abstractmethod
    def message(self, follow: Follow, before: Message | None) -> Message:
        """What workers are told, who went by `before`."""

    @abstractmethod
    async def listening(self, seat: Seat[Question, Answer]) -> Sequence[HostPort]:
        """Where a worker that was found listens. Raises WorkerUnavailable."""

    @abstractmethod
    async def let_go(self) -> None:
        """Tell the workers to listen no more, and to have clients go. Raises Refused."""

    @abstractmethod
    async def clients(self) -> int:
        """How many clients are connected, having asked for all counts, which are kept. Raises Refused (UNAVAILABLE)."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Adopt the workers that run; end all at the end of the block, unless it fails with what another one began."""
        async with self.employed((_LOOK_SECONDS, self._look, "files")):
            yield self

    async def apply(self, state: DesiredState, files: Files) -> None:
        """Have all workers serve by this, a sound state and the contents of the files that it names.

        Raises Refused (INVALID_ARGUMENT: it cannot be; UNAVAILABLE: a worker does not answer); all is as before then.
        """
        async with self._turn:
            follow = Follow(encode(state).decode(), contents_of(files), self._doors.serving(), self.instances)
            message = self.message(follow, self.told)
            await self._begin(message.serving)
            await self._tell(message)
            self._told, self._files, self._trouble = _Told(state, files, message), FileWatch(files), ""

    def divide(self, instances: int) -> None:
        """Divide limits among so many instances from now on; the workers hear of it soon."""
        self.instances = instances

    def health(self) -> Mapping[str, str]:
        """By name of a check, `ok` or what is wrong: each worker, and the files. Asks nobody."""
        return {**self.states(), "files": self._trouble or self._doors.trouble() or "ok"}

    async def renew(self, finish_seconds: float | None) -> str:
        """Replace all workers by new ones, one by one; the old ones finish what is open. Says what came of it.

        Raises Refused (UNAVAILABLE); who could not be replaced serves on.
        """
        with suppress(Refused):
            await self.clients()  # what the old ones counted is kept
        async with self._turn:
            try:
                for seat in self._seats:
                    await self._renew(seat, finish_seconds)
            except (WorkerRefused, WorkerUnavailable) as error:
                words = f"not all workers were replaced, those that run serve on: {error}"
                raise Refused(RefusalCode.UNAVAILABLE, words) from error
        return f"{len(self._seats)} workers were replaced; {self.finish}"

    async def drain(self, seconds: float) -> int:
        """Listen no more, have clients go; how many are left after so many seconds."""
        deadline = self._clock.monotonic() + seconds
        try:
            await self.let_go()
            while left := await self.clients():
                if self._clock.monotonic() >= deadline:
                    break
                await self._clock.sleep(_POLL_SECONDS)
        except Refused:
            return 0  # without a worker there is no client
        return left

    @property
    def told(self) -> Message | None:
        """What the workers go by; None: they were told nothing yet."""
        return self._told.message if self._told else None

    async def tell_again(self, message: Message) -> None:
        """Have them go by something else of the same document. Raises Refused."""
        if self._told is None:
            raise Refused(RefusalCode.UNAVAILABLE, "the workers were told nothing yet")
        await self._tell(message)
        self._told = replace(self._told, message=message)

    async def adoptable(self, seat: Seat[Question, Answer]) -> bool:
        """Not one that drains, or was told nothing yet."""
        addresses = await self.listening(seat)
        self._addresses |= set(addresses)
        return bool(addresses)

    async def _renew(self, seat: Seat[Question, Answer], finish_seconds: float | None) -> None:
        told = self._told
        if told is not None and finish_seconds is not None and not seat.trouble:
            serving = replace(told.message.serving, drain_seconds=finish_seconds)
            await seat.apply(_question(replace(told.message, serving=serving)))
            seat.note(_question(told.message))
        await self.replace(seat)

    async def _begin(self, serving: Serving) -> None:
        """Have all workers run that never did. Raises Refused."""
        try:
            for port in serving.ports:
                # workers share ports, and would share them with anybody; so nobody must have them before
                if port.address not in self._addresses:
                    await until_free(port.address, port.setting, seconds=PORT_SECONDS, clock=self._clock)
        except BindError as error:
            raise Refused(RefusalCode.UNAVAILABLE, str(error)) from error
        await self.start()

    async def _tell(self, message: Message) -> None:
        """Tell all, or none. Raises Refused."""
        before = self.told
        await self.tell(_question(message), None if before is None else _question(before))
        self._addresses = frozenset(port.address for port in message.serving.ports)

    async def _look(self) -> None:
        """Tell the workers of files that have changed, and among how many instances limits are divided now."""
        self.reap()
        told = self._told
        if told is None:
            return
        changed = [self._doors.look(), self._files.look(), told.message.instances != self.instances]
        if not any(changed):
            return
        async with self._turn:
            if told is self._told:  # otherwise what has just been applied was read later
                await self._refresh(told)

    async def _refresh(self, told: _Told[Message]) -> None:
        files = read_files(told.files)
        problems = self.faults(told.state, files)
        if problems:
            self._trouble = str(problems[0])
            _log.error("what a file held before stays in force", reason=self._trouble)
            files = told.files
        message = replace(
            told.message,
            contents=contents_of(files),
            serving=self._doors.serving(),
            instances=self.instances,
        )
        if message != told.message:
            try:
                await self._tell(message)
            except Refused as refused:
                self._trouble = refused.message
                _log.error("workers do not take what has changed", reason=refused.message)
                return
            _log.info("workers know what has changed", instances=self.instances)
        self._told = _Told(told.state, files, message)
        self._trouble = self._trouble if problems else ""


def _question(message: Follow) -> Question:  # type: ignore[type-var]  # each kind of message is one of its questions
    return cast("Question", message)
