"""Session: one client, which has a session on a server from its first command on."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from marchproxy.kit.logs import get_logger
from marchproxy.modules.dblb.mysql.inbox import Inbox
from marchproxy.modules.dblb.mysql.kill import Kill, read_kill
from marchproxy.modules.dblb.mysql.link import Link
from marchproxy.modules.dblb.mysql.pool import Pool
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mysql import endings
from marchproxy.wire.mysql.endings import Refusal
from marchproxy.wire.mysql.handshake import Login
from marchproxy.wire.mysql.numbers import Command
from marchproxy.wire.mysql.packets import HEAD, packet
from marchproxy.wire.mysql.requests import Request, Requests, UnknownCommand

_log = get_logger(__name__)
_STATEMENTS = frozenset({Command.QUERY, Command.STMT_PREPARE})
_OURS = _STATEMENTS | {
    Command.QUIT,
    Command.PING,
    Command.CHANGE_USER,
    Command.PROCESS_KILL,
    Command.RESET_CONNECTION,
}
_TOO_LONG = Refusal(1153, "08S01", "the statement is longer than statements may be here")

#: Whether a statement may go on: what is wrong with it, or None.
Judge = Callable[[bytes], Refusal | None]


class Reception(Protocol):
    """Who lets clients in, and sees them off."""

    def change_user(self, session: "Session", payload: bytes) -> None:
        """The client wants to be another user; its inbox is open again."""
        ...

    def kill(self, session: "Session", kill: Kill) -> bytes | Refusal:
        """What the server is to be told instead; empty when all is done."""
        ...

    def pool_for(self, session: "Session", statement: bytes) -> Pool:
        """Where a client that has no link gets one; `statement` is empty for what is none."""
        ...

    def left(self, session: "Session") -> None:
        """The client is gone."""
        ...


class Session(asyncio.Protocol):
    """A client's connection. While there is an `inbox` it logs in; afterwards what it sends are commands."""

    def __init__(self, reception: Reception, *, longest: int, judge: Judge | None = None) -> None:
        """`longest`: the most bytes of a statement that `judge` is shown; longer ones are refused when there is one."""
        self._reception = reception
        self._judge = judge
        self._requests = Requests(longest=longest if judge else min(longest, 16_384))
        self._pool: Pool | None = None
        self._pending: list[tuple[bytes, Sequence[Request]]] = []
        self.link: Link | None = None
        self.inbox: Inbox | None = Inbox()
        self.login = Login(0, "")
        self.number = 0
        self.encrypted = False
        self.transport = cast("asyncio.Transport", None)

    def begin(self, login: Login) -> None:
        """The client is logged in."""
        self.login, self.inbox = login, None

    def send(self, words: bytes) -> None:
        """Write, under TLS once it has begun."""
        self.transport.write(words)

    def end(self, refusal: Refusal | None = None, *, sequence: int = 0) -> None:
        """Close the connection, with an ERR where there is one."""
        if refusal is not None and not self.transport.is_closing():
            self.transport.write(endings.error(sequence, refusal))
        self.transport.close()

    # what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the doorway."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Called by the loop for every read."""
        if self.inbox is not None:
            self.inbox.feed(data)
            return
        try:
            data, found = self._requests.feed(data)
        except ProtocolFault as fault:
            self._fail(fault)
            return
        if self._pending:
            self._pending.append((data, found))
        else:
            self._try(data, found)

    def connection_lost(self, _error: Exception | None) -> None:
        """Called by the loop once, last."""
        if self.inbox is not None:
            self.inbox.close()
        self.leave()
        self._reception.left(self)

    def pause_writing(self) -> None:
        """Called by the loop when more than the high-water mark waits for the client."""
        if self.link is not None:
            self.link.transport.pause_reading()

    def resume_writing(self) -> None:
        """Called by the loop when less than the low-water mark is left."""
        if self.link is not None:
            self.link.transport.resume_reading()

    # what a link calls

    def heard(self, _link: Link, data: bytes) -> None:
        """The server said something."""
        self.transport.write(data)

    def link_lost(self, link: Link, reason: str) -> None:
        """The server is gone: nobody knows what became of what it was asked."""
        self.link = None
        if self._pool is not None:
            self._pool.lost(link)
        flow = link.flow
        if flow.owed and flow.between:
            lost = Refusal(2013, "HY000", f"the server is gone: {reason}")
            self.end(lost, sequence=(flow.sequence + 1) & 0xFF)
        else:
            self.end()

    def pause(self) -> None:
        """The server is slow."""
        self.transport.pause_reading()

    def resume(self) -> None:
        """The server has caught up."""
        self.transport.resume_reading()

    # what a pool calls

    def got(self, link: Link) -> None:
        """A link, which was waited for."""
        self._take(link)
        pending, self._pending = self._pending, []
        self.transport.resume_reading()
        for data, found in pending:
            self._try(data, found)

    def got_none(self, refusal: Refusal) -> None:
        """No link in time: what was asked fails; the client may ask again if it asked for one thing."""
        pending, self._pending = self._pending, []
        self._pool = None
        found = [request for _, requests in pending for request in requests]
        if len(found) == 1 and self._requests.between:
            self.transport.write(endings.error(1, refusal))
            self.transport.resume_reading()
        else:
            self.end(refusal, sequence=1)

    # the rest is ours

    def leave(self) -> None:
        """Give up the link, and the wait for one."""
        if self._pool is None:
            return
        if self._pending:
            self._pool.give_up(self)
            self._pending = []
        link, self.link = self.link, None
        pool, self._pool = self._pool, None
        if link is not None:
            link.transport.resume_reading()
            pool.release(link)

    def _fail(self, fault: ProtocolFault) -> None:
        code = 1047 if isinstance(fault, UnknownCommand) else 1156
        self.end(Refusal(code, "08S01", str(fault)), sequence=1)

    def _try(self, data: bytes, found: Sequence[Request]) -> None:
        try:
            self._requested(data, found)
        except ProtocolFault as fault:
            self._fail(fault)

    def _requested(self, data: bytes, found: Sequence[Request]) -> None:
        """Send what the client sent, in one write, but for what is answered here."""
        start = 0
        for at, request in enumerate(found):
            if self._pending:
                self._wait(data, found[at:])
                return
            if request.command in _OURS:
                self._forward(data[start : request.start])
                start = request.start
                if self._answered(data[start : request.end], request):
                    start = request.end
                    if self.inbox is not None and start < len(data):
                        raise ProtocolFault("a command came before the change of user was answered")
                    if self.inbox is not None or self.transport.is_closing():
                        return
                    continue
            if self.link is None and not self._acquire(data[request.start : request.end], request):
                self._wait(data, found[at:])
                return
            cast("Link", self.link).flow.sent(request.command)
        self._forward(data[start:] if start else data)

    def _wait(self, data: bytes, found: Sequence[Request]) -> None:
        start = found[0].start
        self._pending.append((data[start:], _moved(found, start)))
        self.transport.pause_reading()

    def _forward(self, data: bytes) -> None:
        if self.link is not None and data:
            self.link.transport.write(data)

    def _acquire(self, data: bytes, request: Request) -> bool:
        statement = data[HEAD + 1 :] if request.command in _STATEMENTS else b""
        self._pool = self._reception.pool_for(self, statement)
        link = self._pool.acquire(self)
        if link is not None:
            self._take(link)
        return link is not None

    def _take(self, link: Link) -> None:
        self.link, link.holder = link, self

    def _answered(self, data: bytes, request: Request) -> bool:
        """Whether a command is not for the server, but was answered here."""
        idle = self.link is None
        match request.command:
            case Command.QUIT:
                self.transport.close()
            case Command.PING | Command.RESET_CONNECTION if idle:
                self.transport.write(endings.ok(1))
            case Command.CHANGE_USER:
                self._change_user(data)
            case Command.PROCESS_KILL | Command.QUERY if (
                request.whole and (kill := read_kill(data[HEAD:])) is not None
            ):
                self._kill(kill)
            case Command.QUERY | Command.STMT_PREPARE if self._judge is not None:
                refusal = self._judge(data[HEAD + 1 :]) if request.whole else _TOO_LONG
                if refusal is not None:
                    self._refuse(refusal, whole=request.whole)
                return refusal is not None
            case _:
                return False
        return True

    def _refuse(self, refusal: Refusal, *, whole: bool) -> None:
        """An answer of ours cannot come before those that are owed."""
        if whole and (self.link is None or not self.link.flow.owed):
            self.transport.write(endings.error(1, refusal))
        else:
            self.end(None if self.link is not None and self.link.flow.owed else refusal, sequence=1)

    def _change_user(self, data: bytes) -> None:
        if self.link is not None and self.link.flow.owed:
            raise ProtocolFault("a change of user came before the answers that are owed")
        self.leave()
        self.inbox = Inbox()
        self._reception.change_user(self, data[HEAD:])

    def _kill(self, kill: Kill) -> None:
        command = self._reception.kill(self, kill)
        if isinstance(command, Refusal):
            self._refuse(command, whole=True)
        elif not command:
            self.transport.write(endings.ok(1))
        elif self.link is None:
            words = packet(0, command)
            self._requested(words, [Request(Command.QUERY, 0, len(words), whole=True)])
        else:
            self.link.flow.sent(Command.QUERY)
            self.link.transport.write(packet(0, command))


def _moved(requests: Sequence[Request], by: int) -> list[Request]:
    return [Request(item.command, item.start - by, item.end - by, whole=item.whole) for item in requests]
