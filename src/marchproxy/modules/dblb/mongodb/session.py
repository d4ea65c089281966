"""Session: one client. Answers what is ours to answer, and sends everything else on, one command after the other."""

import asyncio
from collections import deque
from typing import cast

from marchproxy.kit.logs import get_logger
from marchproxy.modules.dblb.mongodb import hello
from marchproxy.modules.dblb.mongodb.errors import Fault, answer, document
from marchproxy.modules.dblb.mongodb.greeting import COMMANDS, MECHANISM, Greeting
from marchproxy.modules.dblb.mongodb.operation import Operation
from marchproxy.modules.dblb.mongodb.preference import Mode, NotUnderstood, mode_of
from marchproxy.modules.dblb.mongodb.service import Service
from marchproxy.modules.dblb.mongodb.tracking import Tracking
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mongodb import bson, message
from marchproxy.wire.mongodb.bson import Int64, ObjectId, Value
from marchproxy.wire.mongodb.command import Command, read_command, read_query
from marchproxy.wire.mongodb.framing import Code, Framer

_log = get_logger(__name__)
#: Until a client has said who it is, in bytes.
_LONGEST_GREETING = 64 * 1024

Document = dict[str, Value | ObjectId]


class Session(asyncio.Protocol):
    """Made for each connection."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._number = next(service.numbers)
        self._greeting = Greeting(service.settings.users)
        limits = service.limits
        self._framer = Framer(limits.longest if self._greeting.user is not None else _LONGEST_GREETING)
        self._queue: deque[bytes] = deque()
        self._operation: Operation | None = None
        self._compress = False
        self._slow = False
        self._reading = True
        self._deadline: asyncio.TimerHandle | None = None
        self.transport = cast("asyncio.Transport", None)

    # what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once."""
        self.transport = cast("asyncio.Transport", transport)
        # a client that says nothing at all is let go
        self._deadline = asyncio.get_running_loop().call_later(self._service.limits.login, transport.close)

    def data_received(self, data: bytes) -> None:
        """Called for every read."""
        try:
            self._queue.extend(self._framer.feed(data))
        except ProtocolFault as fault:
            self._refuse(fault)
            return
        if self._queue and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._go_on()

    def connection_lost(self, _error: Exception | None) -> None:
        """Called once, last."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._queue.clear()
        operation, self._operation = self._operation, None
        if operation is not None:
            operation.leave()
        self._service.left(self._number)

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

    # what an operation calls

    def hear(self, data: bytes, *, last: bool) -> None:
        """An answer."""
        if data:
            self.transport.write(message.deflated(data) if self._compress else data)
        if last:
            self._operation = None
            self._go_on()

    def broken(self) -> None:
        """The answers have ended in the middle: there is no way to say so."""
        self.transport.abort()

    # the rest is ours

    def _go_on(self) -> None:
        try:
            while self._queue and self._operation is None and not self._slow:
                self._take(self._queue.popleft())
        except ProtocolFault as fault:
            self._refuse(fault)
            return
        self._read(wanted=not self._queue)

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

    def _take(self, data: bytes) -> None:
        self._compress = message.code(data) == Code.COMPRESSED
        if self._compress:
            if not self._service.settings.compressors:
                raise ProtocolFault("a compressed message, though no compressor was offered")
            data = message.inflated(data, longest=self._framer.longest)
        match message.code(data):
            case Code.MSG:
                self._command(read_command(message.without_checksum(data)))
            case Code.QUERY:
                self._query(read_query(data))
            case other:
                raise ProtocolFault(f"messages of kind {other} are not spoken here")

    def _query(self, command: Command) -> None:
        """A driver's first word; everything else has long been said by OP_MSG."""
        if command.name in hello.NAMES:
            told = self._hello(command)
        else:
            words = f"{command.name} by OP_QUERY is not understood; use OP_MSG"
            told = {**document(Fault.OP_QUERY, words)}
        reply = message.build_reply(told, number=0, answers=message.request_id(command.data))
        self.transport.write(reply)

    def _command(self, command: Command) -> None:
        if command.name in hello.NAMES:
            self._compress = False
            self._answer(command, self._hello(command))
        elif command.name in COMMANDS:
            self._compress = False
            self._answer(command, {**self._greeting.hear(command)})
            if self._greeting.user is not None:
                self._framer.longest = self._service.limits.longest
        elif (user := self._greeting.user) is None:
            self._fail(command, Fault.UNAUTHORIZED, f"Command {command.name} requires authentication")
        elif (reason := self._service.gate.refuse(user, command)) is not None:
            self._fail(command, Fault.LIMITED, reason)
        elif command.name == "killCursors":
            self._kill(command, user)
        elif command.name == "getMore":
            self._get_more(command, user)
        else:
            self._send_on(command, user)

    def _send_on(self, command: Command, user: str) -> None:
        try:
            mode = mode_of(command)
        except NotUnderstood as error:
            self._fail(command, Fault.NO_SERVER, str(error))
            return
        self._begin(command, command.data, Tracking(self._service, user, self._number), mode)

    def _get_more(self, command: Command, user: str) -> None:
        place = command.cursor
        number = bson.number(command.data, place) or 0
        cursor = self._service.used(number, user, self._number)
        if place is None or cursor is None:
            self._fail(command, Fault.CURSOR_NOT_FOUND, f"cursor id {number} not found")
            return
        data = message.with_number(command.data, place[1], cursor.number)
        tracking = Tracking(self._service, user, self._number, number=number, cursor=cursor)
        self._begin(command, data, tracking, Mode.PRIMARY)

    def _begin(self, command: Command, data: bytes, tracking: Tracking, mode: Mode) -> None:
        self._operation = operation = Operation(self._service, self, command, data, tracking)
        operation.start(mode)

    def _kill(self, command: Command, user: str) -> None:
        """From here on nobody can use them; the servers are told meanwhile."""
        numbers = command.cursors()
        known = {number: self._service.cursors.drop(number, user) for number in numbers}
        self._service.kill(cursor for cursor in known.values() if cursor is not None)
        killed = tuple(Int64(number) for number in numbers if known[number] is not None)
        unknown = tuple(Int64(number) for number in numbers if known[number] is None)
        told: Document = {"cursorsKilled": killed, "cursorsNotFound": unknown}
        self._answer(command, {**told, "cursorsAlive": (), "cursorsUnknown": (), "ok": 1.0})

    def _hello(self, command: Command) -> Document:
        service = self._service
        place = command.places.get(b"compression")
        asked = bson.walk(command.data, place[1], place[2]) if place and place[0] == bson.Kind.ARRAY else ()
        theirs = [bson.text(command.data, item) for _, item in asked]
        compressors = tuple(name for name in service.settings.compressors if name in theirs)
        told = hello.answer_hello(service.facts(), self._number, compressors)
        if command.number(b"loadBalanced"):
            told["serviceId"] = service.identity
        if b"saslSupportedMechs" in command.places:
            told["saslSupportedMechs"] = (MECHANISM,)
        if (begun := self._greeting.speculate(command)) is not None:
            told["speculativeAuthenticate"] = begun
        return {**told, "ok": 1.0}

    def _fail(self, command: Command, fault: Fault, words: str) -> None:
        if not command.flags & message.MORE_TO_COME:
            self.hear(answer(command, fault, words), last=False)

    def _answer(self, command: Command, told: Document) -> None:
        if not command.flags & message.MORE_TO_COME:
            self.hear(message.build(told, number=0, answers=message.request_id(command.data)), last=False)
