"""Crew: the processes of an instance beside its Envoy, the decider and the relays: found or started, told, started again, ended.

They outlive an AILB that crashes; the next one adopts them. All follow one document, or the one before.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import Any, TypeAlias

from marchproxy.contract.document import encode
from marchproxy.engines.workers.seat import Seat, WorkerUnavailable
from marchproxy.engines.workers.staff import Staff
from marchproxy.engines.workers.words import Count
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.model.problem import Refused
from marchproxy.model.state import DesiredState
from marchproxy.modules.ailb.relay import talk as relay_talk
from marchproxy.modules.ailb.supervisor.keys_file import KeysFile
from marchproxy.modules.ailb.talk import Answer, Apply, Counts, Move, Question

_log = get_logger(__name__)
_LOOK_SECONDS = 1.0

DeciderSeat: TypeAlias = Seat[Question, Answer]
#: The same questions, but for counts the same answers.
RelaySeat: TypeAlias = Seat[relay_talk.Question, relay_talk.Answer]


class Crew(Staff[Any, Any]):
    """Use it inside `running`."""

    end_seconds = 5.0

    def __init__(
        self, decider: DeciderSeat, relays: Sequence[RelaySeat], keys: KeysFile, *, clock: Clock
    ) -> None:
        # a relay hears first of a pool, which the decider may name as soon as it has heard of it
        super().__init__((*relays, decider), clock=clock)
        self.instances = 1
        self._decider = decider
        self._names = (*(f"relay:{number}" for number in range(len(relays))), "decider")
        self._keys = keys
        self._turn = asyncio.Lock()
        self._told: Apply | None = None
        self._moved = Move()
        self._moved_are: tuple[int | None, ...] = ()
        self._last: tuple[int, Counts] = (0, Counts())
        self._until_told = ExitStack()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Crew"]:
        """Adopt what runs, and begin to start the rest; end all at the end of the block, unless it fails with what another
        AILB began."""
        async with self.employed((_LOOK_SECONDS, self._look, "keys")):
            if self._decider.pid is None:  # an Envoy that was adopted may ask already
                self._until_told.enter_context(self._decider.meanwhile())
            beginning = self._group.create_task(self._begin())
            try:
                yield self
            finally:
                beginning.cancel()
                await asyncio.wait([beginning])
                self._until_told.close()

    async def apply(self, state: DesiredState) -> None:
        """Have all go by this document; returns when they do. Raises Refused; then they go by the one before."""
        async with self._turn:
            await self.start()
            await self._tell(self._message(encode(state).decode()))
            self._until_told.close()

    async def move(self, moved: Move) -> None:
        """Tell of endpoints that were found, or went out: whoever has not heard it. Call it often."""
        are = tuple(seat.pid for seat in self._seats)
        if (moved, are) == (self._moved, self._moved_are):
            return
        try:
            for seat in self._seats:
                await seat.ask(moved)
        except WorkerUnavailable as error:
            _log.warning("not all were told of endpoints", reason=str(error))
        else:
            self._moved, self._moved_are = moved, are

    def divide(self, instances: int) -> None:
        """Limits are divided among so many instances, soon."""
        self.instances = instances

    def health(self) -> Mapping[str, str]:
        """`ok`, or what is wrong, for each process and file."""
        found = {name: seat.trouble or "ok" for name, seat in zip(self._names, self._seats, strict=True)}
        return {**found, "keys_file": self._keys.trouble or "ok"}

    async def count(self) -> tuple[int, Counts]:
        """The decider's pid and what it has counted; as it did last, where it does not answer."""
        pid = self._decider.pid
        try:
            counts = await self._decider.ask(Count())
        except WorkerUnavailable:
            return self._last
        if isinstance(counts, Counts) and pid is not None:
            self._last = pid, counts
        return self._last

    def _message(self, document: str) -> Apply:
        return Apply(
            document,
            self._moved.places,
            keys=self._keys.content,
            keys_file=self._keys.path,
            instances=self.instances,
        )

    async def _begin(self) -> None:
        """Beside an Envoy, which takes a while as well. What does not start is tried again, and told, by `apply`."""
        async with self._turn:
            with suppress(Refused):
                await self.start()

    async def _tell(self, message: Apply) -> None:
        """Tell all, or none. Raises Refused."""
        await self.tell(message, self._told)
        self._told = message

    async def _look(self) -> None:
        """Tell of keys that have changed, and among how many instances limits are divided now."""
        self.reap()
        changed = self._keys.look()
        async with self._turn:
            told = self._told
            if told is None or not (changed or told.instances != self.instances):
                return
            try:
                await self._tell(self._message(told.document))
            except Refused as refused:
                _log.error("not all take what has changed", reason=refused.message)
