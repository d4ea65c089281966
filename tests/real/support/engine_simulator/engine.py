"""An engine: how it behaves, who runs and who waits, and what it has written so far."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

from tests.real.support.engine_simulator import faults
from tests.real.support.engine_simulator.asked import Asked
from tests.real.support.engine_simulator.faults import Fault
from tests.real.support.engine_simulator.prefix_cache import BLOCK, PrefixCache
from tests.real.support.engine_simulator.records import Record, Records, metrics


@dataclass(frozen=True, slots=True)
class Behaviour:
    """`first_ms` until the first token, `block_ms` more for each block of the prompt that is not cached, `token_ms` between
    tokens. `key`: the credential that is wanted; empty: any. `stamp`: 1: the tokens of chats are the times at which they are written.
    `steps`: 1: all that run get their next token at the same moment, as from a real engine, and not each by its own clock.
    """

    model: str = "sim"
    first_ms: float = 0.0
    block_ms: float = 0.0
    token_ms: float = 0.0
    max_num_seqs: int = 4096
    num_gpu_blocks: int = 4096
    default_tokens: int = 16
    key: str = ""
    stamp: int = 0
    steps: int = 0

    def changed(self, values: dict[str, Any]) -> "Behaviour":
        """With other values, which may be texts. Raises KeyError, ValueError."""
        kinds = {field.name: type(getattr(self, field.name)) for field in fields(self)}
        return replace(self, **{name: kinds[name](value) for name, value in values.items()})


class Runs(Protocol):
    """What waits for its turn."""

    def begin(self) -> None: ...

    def step(self) -> None: ...


class Steps:
    """The moments at which everything that runs gets a token. `pause`: asked for the seconds between two."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pause: Callable[[], float]) -> None:
        self.running: dict[Runs, None] = {}
        self._loop = loop
        self._pause = pause
        self._next = 0.0

    def add(self, sequence: Runs) -> None:
        """From the next one on."""
        if not self.running:
            self._next = self._loop.time() + self._pause()
            self._loop.call_at(self._next, self._step)
        self.running[sequence] = None

    def _step(self) -> None:
        for sequence in list(self.running):
            sequence.step()
        if self.running:
            self._next = max(self._next + self._pause(), self._loop.time())
            self._loop.call_at(self._next, self._step)


class Engine:
    """One engine; it lives in one event loop."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.loop = asyncio.get_running_loop()
        self.cache = PrefixCache(behaviour.num_gpu_blocks)
        self.records = Records(self.cache)
        self._running: dict[Runs, int] = {}
        self._waiting: deque[tuple[Runs, int]] = deque()
        self.steps = Steps(self.loop, lambda: self.behaviour.token_ms / 1000)
        self._fault: Fault | None = None
        self._times = 0
        self._numbers = 0

    def control(self, told: dict[str, Any]) -> None:
        """`fault` and for how many requests (`times`, 0: until told otherwise), `forget`, or any of the behaviour."""
        if "fault" in told:
            word = told.pop("fault")
            self._fault = faults.parse(word) if word else None
            self._times = int(told.pop("times", 0))
        if told.pop("forget", False):
            self.cache = PrefixCache(self.behaviour.num_gpu_blocks)
            self.records = Records(self.cache)
        self.behaviour = self.behaviour.changed(told)

    def fault_of(self, model: str) -> Fault | None:
        """What goes wrong with this request."""
        if self._fault is None:
            return faults.of_model(model)
        fault = self._fault
        if self._times:
            self._times -= 1
            if not self._times:
                self._fault = None
        return fault

    def number(self) -> int:
        """A number for an answer."""
        self._numbers += 1
        return self._numbers

    def record(self, asked: Asked, request_id: str, credential: str, cached: int) -> Record:
        """A new request's."""
        record = Record(
            request_id,
            asked.tag,
            asked.operation,
            asked.model,
            asked.stream,
            credential,
            asked.prompt_tokens,
            cached,
        )
        self.records.requests.append(record)
        return record

    def queue(self, sequence: Runs, prompt: bytes) -> None:
        """Let it begin, now or when there is room."""
        self._waiting.append((sequence, -(-len(prompt) // BLOCK)))
        self._admit()

    def leave(self, sequence: Runs) -> None:
        """It has ended, wherever it was."""
        self.steps.running.pop(sequence, None)
        if self._running.pop(sequence, None) is None:
            self._waiting = deque(entry for entry in self._waiting if entry[0] is not sequence)
        self._admit()

    def metrics(self) -> bytes:
        used = sum(self._running.values()) / self.cache.size
        return metrics(
            self.behaviour.model, len(self._running), len(self._waiting), min(1.0, used), self.cache
        )

    def _admit(self) -> None:
        while self._waiting and len(self._running) < self.behaviour.max_num_seqs:
            sequence, blocks = self._waiting.popleft()
            self._running[sequence] = blocks
            sequence.begin()
