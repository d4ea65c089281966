"""Own: the connection that a client has for itself, as long as something pins it. What is sent over it, and how."""

from typing import Protocol

from marchproxy.modules.dblb.redis.link import Asker, Link
from marchproxy.modules.dblb.redis.pin import REFUSED, Pin, replaced
from marchproxy.modules.dblb.redis.pool import Pool, Waiter
from marchproxy.modules.dblb.redis.question import NOBODY
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.redis.commands import Kind
from marchproxy.wire.redis.requests import Request
from marchproxy.wire.redis.values import encode

_PING = encode([b"PING"])


class Client(Asker, Waiter, Protocol):
    """Whose connection it is."""


class Own:
    """`pin` says why there is one; `pool` is where it came from, or where it is waited for."""

    __slots__ = ("_client", "link", "pin", "pool")

    def __init__(self, client: Client) -> None:
        self._client = client
        self.link: Link | None = None
        self.pin = Pin()
        self.pool: Pool | None = None

    def take(self, pool: Pool, *, session: bool) -> bool:
        """Whether there is one now; otherwise the client is told."""
        self.pool = pool
        self.pin.session = session
        self.link = pool.take(self._client)
        return self.link is not None

    def let_go(self) -> None:
        """Nothing pins it any more."""
        link, self.link, self.pin = self.link, None, Pin()
        if link is not None and self.pool is not None:
            link.transport.resume_reading()
            self.pool.release(link)

    def drop(self) -> None:
        """The client is gone: whatever it was in the middle of ends with the connection."""
        link, self.link = self.link, None
        if link is not None and self.pool is not None:
            self.pool.discard(link)

    def lost(self) -> bool:
        """It is gone; whether that lost something that the client had begun."""
        held = self.pin.held and not self.pin.only_session
        self.link = None
        if not held:
            self.pin = Pin()
        return held

    def relay(self) -> None:
        """From now on the server speaks unasked: count nothing."""
        self.pin.relay = True
        if self.link is not None:
            self.link.relay(self._client)

    def send(self, data: bytes, request: Request, told: str) -> int:
        """Send a command, or a part of one; how many replies are owed for it, -1: it is gone. Raises ProtocolFault.

        `told`: why it is refused, which makes a transaction fail that it is in.
        """
        name, start, stop, whole = request
        link, pin = self.link, self.pin
        if link is None or link.lost:
            return -1
        words = data[start:stop]
        instead = encode([REFUSED, told.encode()]) if told else replaced(name) if name else None
        if instead is not None:
            if not whole:
                raise ProtocolFault("a command that is refused, and too long")
            words = instead
        if pin.relay:
            link.send(self._client, words, 0)
            return 0
        if name in (b"WAIT", b"WAITAOF") and not pin.multi:
            # the server waits for what this connection wrote; any command makes that what everyone has written
            link.send(NOBODY, _PING, 1)
        pin.parts = not whole
        link.send(self._client, words, 1 if whole else 0)
        return 1 if name else 0

    def must_wait(self, kind: Kind, name: bytes, *, owed: int) -> bool:
        """Whether a command may go over it only when nothing is owed any more; prepares what it needs otherwise."""
        if kind is Kind.STREAM or name == b"SELECT":
            if owed:
                return True
            self.relay()
            return False
        return kind is Kind.SESSION and not self.pin.transaction  # it is about to be given back
