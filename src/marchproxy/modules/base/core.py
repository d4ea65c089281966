"""Core: the one owner of what a module runs. Every change goes through `change`, one at a time, all or nothing."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from marchproxy.contract.document import Decoder, Encoder, checksum
from marchproxy.kit.clock import Clock
from marchproxy.model.checks import check_change, check_state
from marchproxy.model.lasting import Lasting, lasting_routes
from marchproxy.model.problem import InvalidValue, Problem, RefusalCode, Refused
from marchproxy.model.state import DesiredState
from marchproxy.modules.base.engine import Advising, Engine, Governed, Isolate
from marchproxy.modules.base.running import Running

Decide = Callable[[DesiredState], DesiredState]
Check = Callable[[DesiredState], Iterable[Problem]]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the instance is, for its whole life."""

    instance_id: str
    version: str
    address: str
    started_at: datetime
    max_connections: int = 0


class ModuleCore:
    """Holds the running state, asks the engine to run another, and tells those who listen when it did."""

    def __init__(self, identity: Identity, engine: Engine, *, clock: Clock) -> None:
        self.identity = identity
        self.engine = engine
        self._governed = engine if isinstance(engine, Governed) else None
        self.clock = clock
        self._running = Running()
        self._changing = asyncio.Lock()
        self._listeners: list[Callable[[Running], None]] = []
        self._decoder = Decoder()
        self._encoder = Encoder()
        self._encoded: tuple[DesiredState, bytes] | None = None
        self._isolated: tuple[Problem, ...] = ()
        self.trouble = ""
        """What keeps the module's own configuration from running; empty: nothing does."""

    @property
    def isolated(self) -> tuple[Problem, ...]:
        """What is wrong with the parts of the running state that the engine has set aside."""
        return self._isolated

    @property
    def running(self) -> Running:
        """What the engine runs."""
        return self._running

    @property
    def governor(self) -> str:
        """Who says what the engine runs, so that nobody here may; empty: this module itself."""
        return "" if self._governed is None else self._governed.governor

    @property
    def checksum(self) -> str:
        """Of the document that the engine runs."""
        governed = self._governed
        return governed.checksum if governed is not None and governed.governor else self._running.checksum

    @property
    def desired(self) -> DesiredState:
        """The desired state that the engine runs."""
        return self._running.desired

    def on_change(self, listener: Callable[[Running], None]) -> None:
        """Call `listener` after every change; it must not block."""
        self._listeners.append(listener)

    def faults(self, state: DesiredState, check: Check = check_state) -> tuple[Problem, ...]:
        """Everything wrong with a state, for the model and for this engine."""
        return (*check(state), *self.engine.faults(state))

    async def change(self, decide: Decide, *, check: Check | None = None) -> DesiredState:
        """Run what `decide` makes of the present state; returns once the engine acknowledged it.

        `check` may be narrower than the check of what changed where `decide` cannot break the rest. Raises Refused,
        and then nothing has changed.
        """
        self._expect_own_say()
        async with self._changing:
            new = decide(self.desired)
            if new != self.desired:
                self._refuse_faulty(new, check or self._changed_faults)
                self._isolated = tuple(await self.engine.apply(new))
                self._become(self._running.changed(new, self.clock.now()))
            return new

    async def rehearse(self, decide: Decide) -> None:
        """Find out whether `change` would refuse what `decide` makes of the present state. Raises Refused."""
        self._expect_own_say()
        new = decide(self.desired)
        self._refuse_faulty(new, self._changed_faults)
        _refuse(await self.engine.rehearse(new))

    async def load(
        self,
        state: DesiredState,
        document_checksum: str,
        isolate: Isolate = Isolate.REJECTED,
        *,
        restated: frozenset[str] | None = None,
    ) -> None:
        """Run a checked document in place of everything, without what is set aside.

        With `restated`, shifts and promotions go on, but for those of its routes where the document would change them.
        Raises Refused, and then nothing has changed.
        """
        async with self._changing:
            lasting = self._lasting(state, restated)
            self._refuse_faulty(lasting.state, lambda _: ())
            self._isolated = tuple(await self.engine.apply(lasting.state, isolate))
            running = self._running.loaded(state, document_checksum, self.clock.now())
            self._become(running.lasting(self._running, lasting))

    async def load_document(
        self, data: bytes, *, validate_only: bool = False, restated: frozenset[str] | None = None
    ) -> tuple[Problem, ...]:
        """Run the document in `data`, or only look for its faults; returns them (none: it runs, or would).

        `restated` as in `load`. Raises Refused when the engine rejects what seemed sound.
        """
        try:
            state = await self._decode(data)
        except InvalidValue as error:
            return error.problems
        problems = tuple(self.engine.faults(state))
        if problems:
            return problems
        if validate_only:
            wanted = self._lasting(state, restated).state
            return tuple(await self.engine.rehearse(wanted, Isolate.REJECTED))
        await self.load(state, checksum(data), restated=restated)
        return ()

    async def warnings(self, data: bytes) -> tuple[Problem, ...]:
        """What a sound document says that is hardly meant."""
        engine = self.engine
        if not isinstance(engine, Advising):
            return ()
        return tuple(engine.warnings(await self._decode(data)))

    async def refresh(self) -> None:
        """Have the engine look again at what its state only names, such as files of keys. Raises Refused."""
        async with self._changing:
            self._refuse_faulty(self.desired, lambda _: ())
            self._isolated = tuple(await self.engine.apply(self.desired, Isolate.REJECTED))

    async def restore(self, running: Running) -> None:
        """Run what an earlier process of this instance ran. Raises Refused."""
        async with self._changing:
            self._refuse_faulty(running.desired, check_state)
            self._isolated = tuple(await self.engine.apply(running.desired, Isolate.FAULTY))
            self._become(running)

    def note(self, alter: Callable[[Running], Running]) -> None:
        """Change the record of shifts and rollouts; the desired state stays."""
        self._become(alter(self._running))

    def encoded(self) -> bytes:
        """The running state as a canonical document."""
        if self._encoded is None or self._encoded[0] is not self.desired:
            self._encoded = (self.desired, self._encoder.encode(self.desired))
        return self._encoded[1]

    async def _decode(self, data: bytes) -> DesiredState:
        """Takes a while, and others are answered meanwhile. Raises InvalidValue."""
        return await asyncio.to_thread(self._decoder.decode, data)

    def _lasting(self, state: DesiredState, restated: frozenset[str] | None) -> Lasting:
        """What to run in place of a document's state."""
        targets = self._running.shifts.keys() | self._running.ramps.keys()
        return lasting_routes(state, self.desired, targets, restated)

    def _changed_faults(self, state: DesiredState) -> Iterable[Problem]:
        return check_change(self.desired, state)

    def _refuse_faulty(self, state: DesiredState, check: Check) -> None:
        _refuse(self.faults(state, check))

    def _expect_own_say(self) -> None:
        if self.governor:
            message = f"{self.governor} says what this instance runs; change it there, and it comes by itself"
            raise Refused(RefusalCode.PERMISSION_DENIED, message)

    def _become(self, running: Running) -> None:
        self._running = running
        for listener in self._listeners:
            listener(running)


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise Refused(RefusalCode.INVALID_ARGUMENT, f"{problems[0]}{more}", problems)
