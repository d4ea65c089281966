"""Client: a client's connection: what it sends, one message after the other, and when it is read from."""

import asyncio
from collections import deque
from typing import Protocol, cast

from marchproxy.kit.logs import get_logger
from marchproxy.model.route import RouteId
from marchproxy.modules.dblb.mongodb.hall import Hall
from marchproxy.modules.dblb.mongodb.link import Link
from marchproxy.modules.dblb.mongodb.operation import Operation
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mongodb import message
from marchproxy.wire.mongodb.framing import Framer

_log = get_logger(__name__)
#: What a client holds is not counted below that many bytes.
_LIGHT = 16 * 1024


class UnderWay(Protocol):
    """What a client waits for."""

    @property
    def link(self) -> Link | None:
        """The link that it has now."""
        ...

    def leave(self) -> None:
        """The client is gone."""
        ...


class Client(asyncio.Protocol):
    """`longest`: bytes of a message."""

    def __init__(self, hall: Hall, longest: int) -> None:
        self._hall = hall
        self.number = next(hall.numbers)
        self.draining = False
        self._framer = Framer(longest)
        self._queue: deque[bytes] = deque()
        self._operation: UnderWay | None = None
        self._size = 0
        self._compress = self._slow = False
        self._reading = True
        self._deadline: asyncio.TimerHandle | None = None
        self.transport = cast("asyncio.Transport", None)

    def _take(self, data: bytes) -> None:
        """A message. Raises ProtocolFault."""
        raise NotImplementedError

    def busy_on(self, route: RouteId) -> bool:
        """Whether a server is busy for it on a route."""
        doing = self._operation
        return isinstance(doing, Operation) and doing.link is not None and doing.visit.route.route_id == route

    def drain(self) -> None:
        """Close as soon as nothing is under way."""
        self.draining = True
        if self._operation is None and not self._queue and self._framer.between:
            self.transport.close()

    def may_read(self) -> None:
        """See Reader."""
        self._read(wanted=not self._queue)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once."""
        self.transport = cast("asyncio.Transport", transport)
        # a client that says nothing at all is let go
        self._deadline = asyncio.get_running_loop().call_later(self._hall.limits.login, transport.close)

    def data_received(self, data: bytes) -> None:
        """Called for every read."""
        try:
            messages = self._framer.feed(data)
            if messages and self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None
            if self._operation is None and self._at_ease and messages and messages[0] is data:
                self._take(data)  # one message and nothing else: most of the time
                return
        except ProtocolFault as fault:
            self._refuse(fault)
            return
        self._queue.extend(messages)
        self._go_on()
        self._weigh()

    def connection_lost(self, _error: Exception | None) -> None:
        """Called once, last."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._queue.clear()
        operation, self._operation = self._operation, None
        if operation is not None:
            operation.leave()
        self._hall.left(self)

    def pause_writing(self) -> None:
        """Called when more than the high-water mark waits for the client."""
        self._slow = True
        if self._operation is not None and self._operation.link is not None:
            self._operation.link.transport.pause_reading()

    def resume_writing(self) -> None:
        """Called when less than the low-water mark is left."""
        self._slow = False
        if self._operation is not None and self._operation.link is not None:
            self._operation.link.transport.resume_reading()
        self._go_on()

    def hear(self, data: bytes, *, last: bool) -> None:
        """An answer."""
        if data:
            self.transport.write(message.deflated(data) if self._compress else data)
        if last:
            self._operation = None
            if not self._at_ease:
                self._go_on()
                self._weigh()
            if self.draining:
                self.drain()

    def broken(self) -> None:
        """The answers have ended in the middle: there is no way to say so."""
        self.transport.abort()

    @property
    def _at_ease(self) -> bool:
        """Whether nothing of it waits, nothing is weighed, and it reads and is read from."""
        return self._reading and not (self._queue or self._size or self._slow)

    def _go_on(self) -> None:
        try:
            while self._queue and self._operation is None and not self._slow:
                self._take(self._queue.popleft())
        except ProtocolFault as fault:
            self._refuse(fault)
            return
        self._read(wanted=not self._queue)

    def _weigh(self) -> None:
        """What it has sent and no server has yet counts, where it is worth counting."""
        size = self._framer.held + sum(map(len, self._queue))
        if size < _LIGHT:
            size = 0
        if size == self._size == 0 or self.transport.is_closing():
            return
        self._size = size
        if not self._hall.allowance.note(self, size):
            self._read(wanted=False)

    def _read(self, *, wanted: bool) -> None:
        if wanted is self._reading or self.transport.is_closing():
            return
        self._reading = wanted
        if wanted:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def _refuse(self, fault: ProtocolFault) -> None:
        _log.info("a client was let go", reason=str(fault))
        self._queue.clear()
        self.transport.close()
