"""Arrival: a connection from when it is accepted until a service has it: the PROXY header, then TLS that begins at once.

Headers are read byte for byte from the socket, so that nothing of what follows is ever taken out of the kernel before
whoever is to read it does. TLS is told from its first byte; no protocol in which it may be begins so by itself.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast
from typing import Protocol as Interface

from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import HostPort
from marchproxy.model.module import Protocol
from marchproxy.model.network import is_among
from marchproxy.modules.reception.client import Arrival, ClientTls
from marchproxy.modules.reception.port import Port
from marchproxy.wire.proxy_protocol import LONGEST_V2, MalformedHeader, parse

_log = get_logger(__name__)
_HANDSHAKE = 0x16  # RFC 8446, section 5.1
_V2_FIXED = 16
#: Whose service begins TLS by itself, in the middle of its protocol; of the others it begins with the first byte.
_TLS_WITHIN = frozenset({Protocol.POSTGRES, Protocol.MYSQL})


class TurnedAway(Exception):
    """A connection that is closed before a service sees it; says why."""


class Service(Interface):
    """Whoever clients come to."""

    def accept(self, arrival: Arrival) -> asyncio.Protocol:
        """The protocol of a client that has just connected; TLS that begins with the first byte has begun before."""
        ...


@dataclass(frozen=True, slots=True)
class Door:
    """Who may come in through a port, and to whom."""

    service: Service
    tls: ClientTls | None = None
    sources: tuple[str, ...] = ()


class Arrivals:
    """Connections on their way in. Beyond `most` of them at once the oldest is cut off; each has so many `seconds`."""

    def __init__(
        self,
        group: asyncio.TaskGroup,
        door: Callable[[Port], Door],
        *,
        most: int = 1000,
        seconds: float = 10.0,
    ) -> None:
        self._group = group
        self._door = door
        self._most = most
        self._seconds = seconds
        self._coming: dict[asyncio.Task[None], None] = {}
        self.accepted = 0

    def __len__(self) -> int:
        return len(self._coming)

    def take(self, port: Port, connection: socket.socket) -> None:
        """Let a connection in, or close it."""
        self.accepted += 1
        if len(self._coming) >= self._most:
            next(iter(self._coming)).cancel()
        task = self._group.create_task(self._arrive(port, connection))
        self._coming[task] = None
        task.add_done_callback(partial(self._ended, connection))

    def _ended(self, connection: socket.socket, task: asyncio.Task[None]) -> None:
        del self._coming[task]
        if task.cancelled():  # perhaps before it began
            connection.close()

    async def _arrive(self, port: Port, connection: socket.socket) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await self._let_in(port, connection)
        except (TurnedAway, MalformedHeader, OSError, EOFError, TimeoutError) as error:
            connection.close()
            _log.debug("client turned away", port=str(port.address), reason=str(error) or repr(error))
        except Exception:  # noqa: BLE001 - one client's arrival must not end what others do; it is logged in full
            connection.close()
            _log.exception("client could not be let in", port=str(port.address))

    async def _let_in(self, port: Port, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        door = self._door(port)
        client, destination = _address(connection.getpeername()), _address(connection.getsockname())
        if port.proxied:
            if not is_among(door.sources, client.host):
                raise TurnedAway(f"{client.host} is not among proxy_sources")
            client, destination = await _introduced(connection, client, destination)
        begins = await _begins_tls(port.protocol, connection, door.tls)
        if not begins and door.tls is not None and door.tls.required and port.protocol not in _TLS_WITHIN:
            raise TurnedAway("TLS is required")
        newcomer = _Newcomer(
            door.service,
            Arrival(client, destination.port, door.tls if port.protocol in _TLS_WITHIN else None),
        )
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: newcomer,
            connection,
            ssl=door.tls.context if begins and door.tls is not None else None,
            ssl_handshake_timeout=self._seconds if begins else None,
        )


class _Newcomer(asyncio.Protocol):
    """Hands its transport to the service the moment that it is one: after TLS, where that has begun."""

    def __init__(self, service: Service, arrival: Arrival) -> None:
        self._service = service
        self._arrival = arrival

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        try:
            self._hand_over(cast("asyncio.Transport", transport))
        except Exception:  # noqa: BLE001 - or nobody would own the connection; it is logged in full
            _log.exception("client not accepted", client=str(self._arrival.client))
            cast("asyncio.Transport", transport).abort()

    def _hand_over(self, transport: asyncio.Transport) -> None:
        arrival, shown = self._arrival, transport.get_extra_info("peercert")
        if transport.get_extra_info("sslcontext") is not None:
            arrival = replace(arrival, certificate_user=certificate_user(shown), secure=True)
        protocol = self._service.accept(arrival)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


def certificate_user(shown: Any) -> str:
    """Whom a verified certificate (as `ssl.SSLObject.getpeercert` tells it) is for: its common name; empty: nobody."""
    names = [
        value for part in (shown or {}).get("subject", ()) for name, value in part if name == "commonName"
    ]
    return names[0] if len(names) == 1 else ""


async def _introduced(
    connection: socket.socket, client: HostPort, destination: HostPort
) -> tuple[HostPort, HostPort]:
    data = await _exactly(connection, _V2_FIXED)
    if data[:1] == b"P":
        raise MalformedHeader("version 1 of the PROXY protocol; version 2 is spoken here")
    length = int.from_bytes(data[14:16])
    if length <= LONGEST_V2:
        data += await _exactly(connection, length)
    header = parse(data)
    if header is None or header.source is None or header.destination is None:
        return client, destination  # the sender's own connection, such as a health check
    return (
        HostPort(header.source.host, header.source.port),
        HostPort(header.destination.host, header.destination.port),
    )


async def _exactly(connection: socket.socket, size: int) -> bytes:
    loop, data = asyncio.get_running_loop(), b""
    while len(data) < size:
        more = await loop.sock_recv(connection, size - len(data))
        if not more:
            raise EOFError("hung up in the middle of the PROXY header")
        data += more
    return data


async def _begins_tls(protocol: Protocol, connection: socket.socket, tls: ClientTls | None) -> bool:
    if tls is None or protocol in _TLS_WITHIN:
        return False
    loop = asyncio.get_running_loop()
    while True:
        try:
            first = connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            readable = loop.create_future()
            loop.add_reader(connection, _wake, readable)
            try:
                await readable
            finally:
                loop.remove_reader(connection)
            continue
        if not first:
            raise EOFError("hung up before it said anything")
        return first[0] == _HANDSHAKE


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


def _address(name: Any) -> HostPort:
    return HostPort(name[0], name[1])


def tls_context(
    certificate: str, key: str, authorities: str, protocols: Sequence[str] = ()
) -> ssl.SSLContext:
    """TLS as clients find it; those who show a certificate that `authorities` did not sign are turned away.

    `protocols`: of ALPN, for clients that insist on one.

    Raises OSError, ssl.SSLError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    if protocols:
        context.set_alpn_protocols([*protocols])
    if authorities:
        context.load_verify_locations(cafile=authorities)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context
