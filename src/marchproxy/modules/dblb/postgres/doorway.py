"""Doorway: a client until it is let in: its first packets, TLS, and the messages with which it shows who it is."""

import asyncio
from typing import Protocol, cast

from marchproxy.modules.dblb.postgres.greeting import KINDS
from marchproxy.modules.dblb.postgres.inbox import Inbox
from marchproxy.modules.reception.client import Arrival
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.postgres import encode
from marchproxy.wire.postgres.startup import (
    CancelRequest,
    GssRequest,
    Opening,
    SslRequest,
    Startup,
    read_opening,
)

#: How a TLS handshake begins that nobody announced (PostgreSQL 17).
_HANDSHAKE = 0x16
_MOST_EARLY = 64 * 1024  # bytes that a client may say before it hears that TLS has begun
# What such a client must ask for by ALPN. https://www.postgresql.org/docs/current/protocol-flow.html
_ALPN = "postgresql"


class Porter(Protocol):
    """Who lets clients in."""

    def came(self, door: "Doorway") -> None:
        """A client is connected."""
        ...

    def asked_for_tls(self, door: "Doorway", early: bytes) -> None:
        """It wants TLS, which is offered; `early` is the beginning of its handshake. Nothing is read until TLS has begun."""
        ...

    def asked_to_cancel(self, door: "Doorway", request: CancelRequest) -> None:
        """It wants somebody's query to be interrupted."""
        ...

    def asked_in(self, door: "Doorway", inbox: Inbox, startup: Startup) -> None:
        """It wants a session."""
        ...

    def went(self, door: "Doorway") -> None:
        """It hung up, or was turned away."""
        ...


class Doorway(asyncio.Protocol):
    """Stands before a session until that takes the connection over."""

    def __init__(self, porter: Porter, arrival: Arrival) -> None:
        self.arrival = arrival
        self.encrypted = False
        self.transport = cast("asyncio.Transport", None)
        self._porter = porter
        self._buffer = b""
        self._early: bytes | None = None
        self._inbox: Inbox | None = None

    @property
    def certificate_user(self) -> str:
        """Whom the client's certificate is for, its common name; empty: it has shown none that was verified."""
        shown = self.transport.get_extra_info("peercert") or {}
        names = [value for part in shown.get("subject", ()) for key, value in part if key == "commonName"]
        return names[0] if len(names) == 1 else ""

    def end(self, words: str, code: str) -> None:
        """Turn it away."""
        if not self.transport.is_closing():
            self.transport.write(encode.error(code, words, severity="FATAL"))
        self.transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop once."""
        self.transport = cast("asyncio.Transport", transport)
        self._porter.came(self)

    def secured(self, transport: asyncio.Transport) -> None:
        """TLS has begun."""
        self.transport, self.encrypted = transport, True
        early, self._early = self._early, None
        if early:
            self.data_received(early)

    def data_received(self, data: bytes) -> None:
        """Called by the loop for every read."""
        if self._early is not None:
            # TLS has begun, but whoever waits for that has not had its turn: an answer now would go out in plain text
            self._early += data
            if len(self._early) > _MOST_EARLY:
                self.transport.abort()
            return
        if self._inbox is not None:
            self._inbox.feed(data)
            return
        try:
            self._open(self._buffer + data)
        except ProtocolFault as fault:
            self.end(str(fault), "08P01")

    def connection_lost(self, _error: Exception | None) -> None:
        """Called by the loop once, last."""
        if self._inbox is not None:
            self._inbox.close()
        self._porter.went(self)

    def _open(self, data: bytes) -> None:
        self._buffer = data
        tls = self.arrival.tls is not None and not self.encrypted
        if tls and data[0] == _HANDSHAKE:
            self._encrypt(data)
            return
        opening = read_opening(data)
        if opening is None:
            return
        what, length = opening
        if len(data) > length:
            # nobody may put words in front of what will be encrypted (CVE-2021-23222)
            raise ProtocolFault("bytes came before the answer to the first packet")
        self._buffer = b""
        self._asked(what, tls=tls)

    def _asked(self, what: Opening, *, tls: bool) -> None:
        match what:
            case SslRequest() if tls:
                self.transport.write(encode.ENCRYPTED)
                self._encrypt(b"")
            case SslRequest() | GssRequest():
                self.transport.write(encode.PLAIN)
            case CancelRequest():
                self._porter.asked_to_cancel(self, what)
            case Startup():
                self._inbox = Inbox(KINDS)
                self._porter.asked_in(self, self._inbox, what)

    def _encrypt(self, early: bytes) -> None:
        self._buffer, self._early = b"", b""
        self.transport.pause_reading()
        self._porter.asked_for_tls(self, early)


async def begin_tls(door: Doorway, early: bytes, seconds: float) -> None:
    """Begin TLS with a client. Raises OSError (ssl.SSLError), TimeoutError, ProtocolFault."""
    tls, loop, plain = door.arrival.tls, asyncio.get_running_loop(), door.transport
    assert tls is not None
    try:
        async with asyncio.TaskGroup() as group:
            starting = group.create_task(
                loop.start_tls(plain, door, tls.context, server_side=True, ssl_handshake_timeout=seconds)
            )
            if early:
                # twice, so that it comes behind what begins TLS, and before anything is read
                loop.call_soon(loop.call_soon, _feed, plain, early)
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    secured = starting.result()
    assert secured is not None
    if early and secured.get_extra_info("ssl_object").selected_alpn_protocol() != _ALPN:
        # or words of another protocol could be passed off as this one's
        secured.abort()
        raise ProtocolFault(f"TLS without a request before it must ask for {_ALPN} by ALPN")
    door.secured(secured)


def _feed(plain: asyncio.Transport, early: bytes) -> None:
    machine = plain.get_protocol()
    assert isinstance(machine, asyncio.BufferedProtocol)
    while early and not plain.is_closing():
        room = memoryview(machine.get_buffer(len(early)))
        taken = min(len(early), len(room))
        room[:taken] = early[:taken]
        machine.buffer_updated(taken)
        early = early[taken:]
