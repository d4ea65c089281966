"""Session: one client, which has a session on a server from its first command on."""

import asyncio
from collections.abc import Sequence
from typing import cast

from marchproxy.modules.dblb.inbox import LoginInbox
from marchproxy.modules.dblb.mysql.inbox import Inbox
from marchproxy.modules.dblb.mysql.link import Link
from marchproxy.modules.dblb.mysql.orders import OURS, Orders
from marchproxy.modules.dblb.mysql.pace import Pace
from marchproxy.modules.dblb.mysql.reception import Reception
from marchproxy.modules.dblb.mysql.visit import Visit
from marchproxy.modules.reception.client import Arrival
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mysql import endings
from marchproxy.wire.mysql.endings import Refusal
from marchproxy.wire.mysql.flow import SILENT
from marchproxy.wire.mysql.handshake import Login
from marchproxy.wire.mysql.requests import Request, Requests, UnknownCommand

_BEFORE_LOGIN = 16_384


class Session(asyncio.Protocol):
    """A client's connection. While there is an `inbox` it logs in; afterwards what it sends are commands."""

    def __init__(self, reception: Reception, arrival: Arrival) -> None:
        self.reception = reception
        self.arrival = arrival
        self._requests = Requests(longest=_BEFORE_LOGIN)
        self.orders = Orders(self)
        self._pending: list[tuple[bytes, Sequence[Request], bool]] = []
        self.waits = False
        """Whether it waits for a server connection."""
        self.visit = cast("Visit", None)
        self.pace = cast("Pace", None)
        self.link: Link | None = None
        self.inbox: LoginInbox[tuple[int, bytes]] | None = Inbox()
        self.login = Login(0, "")
        self.number = 0
        self.encrypted = False
        self.unsettled = False
        """Whether the reception must be asked before anything new begins."""
        self.occupied = False
        """Whether something is under way elsewhere, behind which the client's next command comes."""
        self.transport = cast("asyncio.Transport", None)

    def begin(self, login: Login, visit: Visit, *, longest: int) -> None:
        """The client is logged in. `longest`: the most bytes of a statement that somebody wants to see."""
        self.login, self.visit, self.inbox = login, visit, None
        self.pace = Pace(visit.tally)
        self.orders.begin(visit)
        self._requests = Requests(longest=longest if self.orders.looks else _BEFORE_LOGIN)

    def look_again(self, *, longest: int) -> None:
        """Another plan may have limits or a firewall for the client, or none any more."""
        self._requests.hold_up_to(longest if self.orders.look() else _BEFORE_LOGIN)

    def send(self, words: bytes) -> None:
        """Write, under TLS once it has begun."""
        self.transport.write(words)

    def end(self, refusal: Refusal | None = None, *, sequence: int = 0) -> None:
        """Close the connection, with an ERR where there is one."""
        if refusal is not None and not self.transport.is_closing():
            self.transport.write(endings.error(sequence, refusal))
        self.transport.close()

    @property
    def quiet(self) -> bool:
        """Whether nothing is under way, and no transaction open."""
        if self.occupied or self.inbox is not None:
            return False
        return self.link is None or not (self.link.flow.owed or self.link.flow.transacting)

    @property
    def uses(self) -> int:
        """How many server connections are in use for it."""
        return int(self.occupied or (self.link is not None and not self.quiet))

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
        link = self.link
        if self._pending:
            self._pending.append((data, found, False))
        elif (
            len(found) == 1
            and link is not None
            and not self.unsettled
            and self.orders.is_plain(data, found[0])
        ):
            self.pace.begin()  # what most commands of most clients come to; all else is below
            link.flow.sent(found[0].command)
            link.transport.write(data)
        else:
            self._try(data, found)

    def connection_lost(self, _error: Exception | None) -> None:
        """Called by the loop once, last."""
        if self.inbox is not None:
            self.inbox.close()
        self.leave()
        self.reception.left(self)

    def pause_writing(self) -> None:
        """Called by the loop when more than the high-water mark waits for the client."""
        for link in self.orders.links():
            link.transport.pause_reading()

    def resume_writing(self) -> None:
        """Called by the loop when less than the low-water mark is left."""
        for link in self.orders.links():
            link.transport.resume_reading()

    # what a link calls

    def heard(self, link: Link, data: bytes) -> None:
        """The server said something."""
        self.transport.write(data)
        if not link.flow.owed:
            self.answered(link)

    def answered(self, link: Link) -> None:
        """A server owes nothing any more."""
        self.pace.end(link.flow)
        self.orders.heard()
        if self.unsettled and self.quiet:
            self.reception.settle(self, asking=False)

    def link_lost(self, link: Link, reason: str) -> None:
        """The server is gone. What it was asked has failed; nobody knows what became of it."""
        flow = link.flow
        free = not (flow.owed or flow.transacting or self.orders.bound(link))
        self.link = None
        self.orders.lost()
        link.owner.died(link)
        if free:
            return  # the next command gets another
        self.pace.lost()
        if flow.owed and flow.between:
            lost = Refusal(2013, "HY000", f"the server is gone: {reason}")
            self.end(lost, sequence=(flow.sequence + 1) & 0xFF)
        else:
            self.end()

    def stalled(self, link: Link) -> None:
        """The server does not answer whoever looks at it; it may answer this client nevertheless."""

    def pause(self) -> None:
        """The server is slow."""
        self.transport.pause_reading()

    def resume(self) -> None:
        """The server has caught up."""
        self.transport.resume_reading()

    # what a pool calls

    def got(self, link: Link) -> None:
        """A link, which was waited for."""
        self.waits = False
        self.pace.got()
        self._take(link)
        self.go_on()

    def got_none(self, refusal: Refusal) -> None:
        """No link in time: what was asked fails; the client may ask again if it asked for one thing."""
        pending, self._pending = self._pending, []
        self.waits = False
        self.pace.lost()
        found = [request for _, requests, _ in pending for request in requests]
        if len(found) == 1 and self._requests.between:
            self.refuse(refusal)
            self.transport.resume_reading()
        else:
            self.end(refusal, sequence=1)

    def again(self) -> None:
        """The server that was waited for is not the right one any more."""
        self.waits = False
        self.go_on()

    # what the reception and others call

    def go_on(self) -> None:
        """Do what the client has asked for in the meantime."""
        pending, self._pending = self._pending, []
        self.transport.resume_reading()
        for data, found, cleared in pending:
            if self._pending:
                self._pending.append((data, found, cleared))
            else:
                self._try(data, found, cleared=cleared)

    def leave(self) -> None:
        """Give up the links, and the wait for one."""
        if self.waits:
            self.waits = False
            self.visit.cluster.give_up(self)
        self._pending = []
        self.orders.leave()
        self.release()

    def release(self) -> None:
        """Give up the link."""
        link, self.link = self.link, None
        if link is not None:
            self.orders.lost()
            link.transport.resume_reading()
            link.owner.release(link)

    def refuse(self, refusal: Refusal) -> None:
        """Answer a command by an ERR; an answer of ours cannot come before those that are owed."""
        if self.link is None or not self.link.flow.owed:
            self.transport.write(endings.error(1, refusal))
        else:
            self.end()

    def forward(self, data: bytes, command: int) -> None:
        """Send the server one whole command that was held back, or changed."""
        self._try(data, [Request(command, 0, len(data), whole=True)], cleared=True)

    # the rest is ours

    def _fail(self, fault: ProtocolFault) -> None:
        code = 1047 if isinstance(fault, UnknownCommand) else 1156
        self.end(Refusal(code, "08S01", str(fault)), sequence=1)

    def _try(self, data: bytes, found: Sequence[Request], *, cleared: bool = False) -> None:
        try:
            self._requested(data, found, cleared=cleared)
        except ProtocolFault as fault:
            self._fail(fault)

    def _requested(self, data: bytes, found: Sequence[Request], *, cleared: bool) -> None:
        """Send what the client sent, in one write, but for what is answered here; the first may be cleared of that."""
        start = 0
        for at, request in enumerate(found):
            if (self.occupied or self.unsettled) and self._is_held():
                self._forward(data[start : request.start])
                self._wait(data, found[at:], cleared=cleared)
                return
            if not cleared and (request.command in OURS or self.orders.looks):
                self._forward(data[start : request.start])
                start = request.start
                if self.orders.answers(data[start : request.end], request):
                    start = request.end
                    if self.inbox is not None and start < len(data):
                        raise ProtocolFault("a command came before the change of user was answered")
                    if self.inbox is not None or self.transport.is_closing():
                        return
                    continue
            if self.link is None and not self._acquire():
                self._wait(data, found[at:], cleared=True)
                return
            cleared = False
            cast("Link", self.link).flow.sent(request.command)
            if request.command not in SILENT:
                self.pace.begin()
        self._forward(data[start:] if start else data)

    def _is_held(self) -> bool:
        return self.occupied or (self.quiet and not self.reception.settle(self, asking=True))

    def _wait(self, data: bytes, found: Sequence[Request], *, cleared: bool) -> None:
        start = found[0].start
        self._pending.append((data[start:], [request.moved(start) for request in found], cleared))
        self.transport.pause_reading()

    def _forward(self, data: bytes) -> None:
        if self.link is not None and data:
            self.link.transport.write(data)

    def _acquire(self) -> bool:
        visit = self.visit
        link = visit.cluster.acquire(self, visit.credentials, replica=visit.replica)
        if link is None:
            self.waits = True
            self.pace.wait()
            return False
        self._take(link)
        return not self.occupied

    def _take(self, link: Link) -> None:
        self.link, link.holder = link, self
        self.orders.took(link)
