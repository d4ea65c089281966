"""A sequence: one answer while it is written, token by token, with what is told to go wrong in it."""

import asyncio
import json
import time
from collections.abc import Iterable
from typing import Protocol

from tests.real.support.engine_simulator.asked import Asked
from tests.real.support.engine_simulator.engine import Engine
from tests.real.support.engine_simulator.faults import Fault, Kind
from tests.real.support.engine_simulator.prefix_cache import BLOCK
from tests.real.support.engine_simulator.records import Record
from tests.real.support.engine_simulator.shape import Shape

_GARBAGE = b'data: {"choices": [{"delta": \x80\xff\n\nnonsense without a colon\n\n'
_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


class Out(Protocol):
    """The connection that a sequence writes to."""

    def write(self, data: bytes) -> None: ...

    def reset(self) -> None:
        """Ends it with a TCP reset."""

    def close(self) -> None:
        """Ends it in good order."""

    def ended(self) -> None:
        """The sequence is over, and the connection may go on."""

    def refuse(self, status: int) -> None:
        """Answer with this status and an error."""


class Sequence:
    """`unread`: bytes of the prompt that the cache did not have."""

    def __init__(
        self, engine: Engine, asked: Asked, shape: Shape, record: Record, out: Out, *, fault: Fault | None
    ) -> None:
        self._engine = engine
        self._asked = asked
        self._shape = shape
        self._record = record
        self._out = out
        self._fault = fault
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False
        self._over = False

    def begin(self) -> None:
        """Its turn has come."""
        if self._fault is not None and self._fault.is_first and self._go_wrong(self._fault.kind):
            return
        late = self._fault.number or 0.0 if self._fault is not None and self._fault.kind is Kind.LATE else 0.0
        if self._fault is not None and self._fault.kind is Kind.STATUS:
            self._record.end("failed")
            self._out.refuse(int(self._fault.number or 500))
            self._leave()
            return
        behaviour = self._engine.behaviour
        unread = max(0, len(self._asked.prompt) - self._shape.cached * 4) // BLOCK
        wait = (behaviour.first_ms + unread * behaviour.block_ms) / 1000 + late
        if not self._asked.stream:
            self._after(wait + self._asked.tokens * behaviour.token_ms / 1000, self._whole)
        elif late:
            self._after(wait, self._open)
        else:
            self._head()
            self._after(wait, self._open)

    def gone(self) -> None:
        """The other side has left: no further token is made."""
        if not self._over:
            self._record.end("gone")
            self._leave()

    def pause(self) -> None:
        """The other side does not read."""
        self._paused = True

    def resume(self) -> None:
        """It does again."""
        self._paused = False
        stepping = self in self._engine.steps.running
        if not self._over and self._timer is None and self._record.first and not stepping:
            self.step()

    def _after(self, seconds: float, call: object) -> None:
        if seconds:
            self._timer = self._engine.loop.call_later(seconds, call)  # type: ignore[arg-type]
        else:
            call()  # type: ignore[operator]

    def _head(self) -> None:
        self._out.write(_STREAM)
        self._record.last = time.monotonic()

    def _open(self) -> None:
        """The first token, and what stands in front of it."""
        self._timer = None
        if self._fault is not None and self._fault.kind is Kind.LATE:
            self._head()
        if self._fails_here():
            return
        self._send(self._shape.opening())
        self._record.first = time.monotonic()
        self.step()

    def step(self) -> None:
        """A token, and the next later; without time between them all that are left."""
        self._timer = None
        pause, asked, record = self._engine.behaviour.token_ms / 1000, self._asked, self._record
        written: list[bytes] = []
        while not self._over and not self._paused:
            if record.emitted >= asked.tokens:
                self._send([*written, *self._shape.closing()])
                self._finish()
                return
            if self._fault is not None and self._fault.place == record.emitted:
                self._send(written)
                self._go_wrong(self._fault.kind)
                return
            written.append(self._shape.token(record.emitted))
            record.emitted += 1
            if pause or len(written) == 64:
                self._send(written)
                written = []
            if pause:
                record.last = time.monotonic()
                if self._engine.behaviour.steps:
                    self._engine.steps.add(self)
                else:
                    self._timer = self._engine.loop.call_later(pause, self.step)
                return
        self._send(written)

    def _whole(self) -> None:
        self._timer = None
        body = json.dumps(self._shape.whole()).encode()
        if self._fault is not None and self._fault.kind is Kind.GARBAGE:
            body = body[: len(body) // 2]  # its length is right, and it is no JSON
        place = self._fault.place if self._fault is not None else None
        if place is not None and self._fault is not None and self._fault.kind is not Kind.GARBAGE:
            self._out.write(_JSON % len(body) + body[:place])
            self._go_wrong(self._fault.kind)
            return
        self._out.write(_JSON % len(body) + body)
        self._record.emitted = self._asked.tokens
        self._record.first = time.monotonic()
        self._finish(stream=False)

    def _fails_here(self) -> bool:
        """Whether it fails right behind the head."""
        if self._fault is not None and self._fault.place == 0:
            return self._go_wrong(self._fault.kind)
        return False

    def _go_wrong(self, kind: Kind) -> bool:
        """Whether it does."""
        match kind:
            case Kind.RESET | Kind.CUT:
                if kind is Kind.CUT and self._asked.stream:
                    event = self._shape.token(min(self._record.emitted, self._asked.tokens - 1))
                    self._out.write(b"%x\r\n%b" % (len(event), event[: len(event) // 2]))
                self._record.end("failed")
                self._out.reset()
            case Kind.EOF:
                self._record.end("failed")
                self._out.close()
            case Kind.STALL:
                return True  # it runs, and writes nothing, until the other side leaves
            case Kind.GARBAGE | Kind.ERROR:
                self._record.end("failed")
                self._nonsense(_GARBAGE if kind is Kind.GARBAGE else self._shape.failed("the engine failed"))
            case _:
                return False
        self._leave()
        return True

    def _nonsense(self, event: bytes) -> None:
        if not self._asked.stream:
            self._out.close()
            return
        if self._record.first or (self._fault is not None and self._fault.number is not None):
            self._out.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(event), event))
            self._out.ended()
        else:
            self._out.write(b"this is no HTTP\r\n\r\n")
            self._out.close()

    def _finish(self, *, stream: bool = True) -> None:
        self._record.last = time.monotonic()
        if stream:
            self._out.write(b"0\r\n\r\n")
        self._record.end("done")
        self._leave()
        self._out.ended()

    def _leave(self) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._engine.leave(self)

    def _send(self, events: Iterable[bytes]) -> None:
        """A chunk for each event; ragged ones are cut in two, the second half begins the next chunk."""
        if self._fault is not None and self._fault.kind is Kind.RAGGED:
            whole = b"".join(events)
            events = [whole[at : at + 37] for at in range(0, len(whole), 37)]
        data = b"".join([b"%x\r\n%b\r\n" % (len(event), event) for event in events])
        if data:
            self._out.write(data)
