"""Doorway: reads the first packet of a client, and not one byte more, because TLS may begin right behind it."""

import asyncio
from typing import Protocol, cast

from marchproxy.modules.dblb.mysql.session import Session
from marchproxy.wire.mysql.handshake import wants_tls

_HEAD = 4
#: A request for TLS with its header.
_REQUEST = 36


class Porter(Protocol):
    """Who greets a client, and begins TLS with it."""

    def arrived(self, session: Session) -> None:
        """The client is connected."""
        ...

    def encrypt(self, session: Session, sequence: int) -> None:
        """The client asked for TLS, in a packet with this number; nothing is read from it until TLS begins."""
        ...


class Doorway(asyncio.BufferedProtocol):
    """Stands before a session until the client has said whether it wants TLS."""

    def __init__(self, session: Session, porter: Porter) -> None:
        self._session = session
        self._porter = porter
        self._buffer = bytearray(_REQUEST)
        self._filled = 0
        self._transport = cast("asyncio.Transport", None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop once."""
        self._transport = cast("asyncio.Transport", transport)
        self._session.connection_made(transport)
        self._porter.arrived(self._session)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - no more is taken than belongs here
        """Where the loop puts what it reads."""
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Called by the loop for every read."""
        self._filled += nbytes
        if self._filled < _HEAD:
            return
        length = int.from_bytes(self._buffer[:3], "little")
        if length == _REQUEST - _HEAD and self._filled < _REQUEST:
            return
        self._transport.pause_reading()
        if length == _REQUEST - _HEAD and wants_tls(bytes(self._buffer[_HEAD:])):
            self._porter.encrypt(self._session, self._buffer[3])
            return
        self._transport.set_protocol(self._session)
        self._session.data_received(bytes(self._buffer[: self._filled]))
        self._transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the loop when the client hangs up before all that."""
        self._session.connection_lost(error)

    def pause_writing(self) -> None:
        """The greeting is smaller than any buffer."""

    def resume_writing(self) -> None:
        """See pause_writing."""
