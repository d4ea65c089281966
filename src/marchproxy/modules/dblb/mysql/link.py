"""Link: one session on a server, which one client after the other has."""

import asyncio
from typing import Protocol, cast

from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import HostPort
from marchproxy.modules.dblb.inbox import LoginInbox
from marchproxy.modules.dblb.mysql.inbox import Inbox
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mysql.flow import Flow
from marchproxy.wire.mysql.handshake import Greeting

_log = get_logger(__name__)
_QUIT = b"\x01\0\0\0\x01"


class Holder(Protocol):
    """The client that has a link."""

    def heard(self, link: "Link", data: bytes) -> None:
        """The server said something."""
        ...

    def link_lost(self, link: "Link", reason: str) -> None:
        """The server is gone."""
        ...

    def stalled(self, link: "Link") -> None:
        """The server does not answer whoever looks at it."""
        ...

    def pause(self) -> None:
        """The server is slow: ask for no more."""
        ...

    def resume(self) -> None:
        """The server has caught up."""
        ...


class Owner(Protocol):
    """The pool that a link belongs to."""

    def idle_link_lost(self, link: "Link") -> None:
        """A link that nobody has is gone."""
        ...

    def lost(self, link: "Link") -> None:
        """A link that somebody has is gone."""
        ...

    def died(self, link: "Link") -> None:
        """The server hung up on a link that somebody has."""
        ...

    def release(self, link: "Link") -> None:
        """Whoever has the link is done with it."""
        ...


class Link(asyncio.Protocol):
    """A session on a server. While there is an `inbox`, what is received goes there."""

    def __init__(self, owner: Owner, *, capabilities: int, now: float) -> None:
        self.owner = owner
        self.capabilities = capabilities
        self._reason = "the server closed the connection"
        self.inbox: LoginInbox[tuple[int, bytes]] | None = Inbox()
        self.flow = Flow(capabilities)
        self.greeting: Greeting | None = None
        self.encrypted = False
        self.address = HostPort("", 0)
        self.holder: Holder | None = None
        self.told = 0
        """Up to where it was told what its client's session has set: see Memory.version."""
        self.born = self.used = now
        self.transport = cast("asyncio.Transport", None)

    def begin(self, greeting: Greeting) -> None:
        """It is logged in, and as new."""
        self.greeting, self.inbox, self.told = greeting, None, 0
        self.flow = Flow(self.capabilities, status=greeting.status)

    def send(self, words: bytes) -> None:
        """Write, under TLS once it has begun."""
        self.transport.write(words)

    def end(self) -> None:
        """Close the connection, politely where the server owes nothing."""
        self.holder = None
        if self.inbox is not None or self.flow.owed or self.transport.is_closing():
            self.transport.abort()
        else:
            self.transport.write(_QUIT)
            self.transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop once."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Called by the loop for every read."""
        if self.inbox is not None:
            self.inbox.feed(data)
            return
        try:
            self.flow.received(data)
        except ProtocolFault as fault:
            self._reason = str(fault)
            _log.warning("link closed", reason=self._reason)
            self.transport.abort()
            return
        if self.holder is not None:
            self.holder.heard(self, data)

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the loop once, last."""
        if self.inbox is not None:
            self.inbox.close()
        holder, self.holder = self.holder, None
        if holder is not None:
            holder.link_lost(self, str(error) if error else self._reason)
        else:
            self.owner.idle_link_lost(self)

    def pause_writing(self) -> None:
        """Called by the loop when more than the high-water mark waits for the server."""
        if self.holder is not None:
            self.holder.pause()

    def resume_writing(self) -> None:
        """Called by the loop when less than the low-water mark is left."""
        if self.holder is not None:
            self.holder.resume()
