"""Workforce: the worker processes of an instance: found or started, told, started again, replaced, ended.

They outlive a DBLB that crashes; the next one adopts them, with their clients. All follow one plan, or the one before.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

from marchproxy.contract.document import encode
from marchproxy.engines.workers.files import FileWatch, read_files
from marchproxy.engines.workers.seat import Seat, WorkerRefused, WorkerUnavailable
from marchproxy.engines.workers.words import PORT_SECONDS, Count
from marchproxy.kit.clock import Clock
from marchproxy.kit.listening import BindError, until_free
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import HostPort
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.model.route import RouteId
from marchproxy.model.state import DesiredState
from marchproxy.modules.dblb.plan import Files, compile_plan
from marchproxy.modules.dblb.supervisor.inquiry import Inquiry
from marchproxy.modules.dblb.talk import Answer, Apply, Counts, Question, contents_of
from marchproxy.modules.reception.doors import Doors
from marchproxy.modules.reception.serving import Serving

_log = get_logger(__name__)
_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Told:
    state: DesiredState
    files: Files
    message: Apply


class Workforce(Inquiry):
    """A Crew of processes. Use it inside `running`."""

    def __init__(
        self,
        seats: Sequence[Seat[Question, Answer]],
        doors: Doors,
        *,
        clock: Clock,
    ) -> None:
        super().__init__(seats, clock=clock)
        self.instances = 1
        self._doors = doors
        self._turn = asyncio.Lock()
        self._told: _Told | None = None
        self._files = FileWatch()
        self._trouble = ""
        self._addresses: frozenset[HostPort] = frozenset()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Workforce"]:
        """Adopt the workers that run; end all at the end of the block, unless it fails with what another one began."""
        async with self.employed((_LOOK_SECONDS, self._look, "files")):
            yield self

    async def apply(self, state: DesiredState, files: Files) -> None:
        """As a Crew's."""
        async with self._turn:
            paused = self._told.message.paused if self._told else {}
            document, contents = encode(state).decode(), contents_of(files)
            message = Apply(document, contents, self._doors.serving(), self.instances, paused)
            await self._begin(message.serving)
            await self._tell(message)
            self._told, self._files, self._trouble = _Told(state, files, message), FileWatch(files), ""

    async def pause(self, routes: Sequence[RouteId], seconds: float) -> None:
        """As a Crew's."""
        async with self._turn:
            if self._told is None:
                raise Refused(RefusalCode.UNAVAILABLE, "the workers were told nothing yet")
            message = replace(self._told.message, paused=dict.fromkeys(routes, seconds))
            await self._tell(message)
            self._told = replace(self._told, message=message)

    async def resume(self) -> None:
        """As a Crew's."""
        async with self._turn:
            if self._told is None:
                return
            self._told = replace(self._told, message=replace(self._told.message, paused={}))
            await self.take_back(self._told.message)

    def divide(self, instances: int) -> None:
        """As a Crew's."""
        self.instances = instances

    def health(self) -> Mapping[str, str]:
        """As a Crew's."""
        return {**self.states(), "files": self._trouble or self._doors.trouble() or "ok"}

    async def renew(self, finish_seconds: float | None) -> str:
        """As a Crew's."""
        with suppress(Refused):
            await self.count()  # what the old ones counted is kept
        async with self._turn:
            try:
                for seat in self._seats:
                    await self._renew(seat, finish_seconds)
            except (WorkerRefused, WorkerUnavailable) as error:
                words = f"not all workers were replaced, those that run serve on: {error}"
                raise Refused(RefusalCode.UNAVAILABLE, words) from error
        return f"{len(self._seats)} workers were replaced; sessions of the old ones end between transactions"

    async def _renew(self, seat: Seat[Question, Answer], finish_seconds: float | None) -> None:
        told = self._told
        if told is not None and finish_seconds is not None and not seat.trouble:
            serving = replace(told.message.serving, drain_seconds=finish_seconds)
            await seat.apply(replace(told.message, serving=serving))
            seat.note(told.message)
        await self.replace(seat)

    async def adoptable(self, seat: Seat[Question, Answer]) -> bool:
        """Not one that drains, or was told nothing yet."""
        counts = await seat.ask(Count())
        if not isinstance(counts, Counts) or not counts.ports:
            return False
        self._addresses |= set(counts.ports)
        return True

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

    async def _tell(self, message: Apply) -> None:
        """Tell all, or none. Raises Refused."""
        await self.tell(message, self._told.message if self._told else None)
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
            if told is not self._told:
                return  # what has just been applied was read later
            await self._refresh(told)

    async def _refresh(self, told: _Told) -> None:
        files = read_files(told.files)
        _, problems = compile_plan(told.state, files)
        if problems:
            self._trouble = str(problems[0])
            _log.error("what a file held before stays in force", reason=self._trouble)
            files = told.files
        serving = self._doors.serving()
        message = replace(
            told.message, contents=contents_of(files), serving=serving, instances=self.instances
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
