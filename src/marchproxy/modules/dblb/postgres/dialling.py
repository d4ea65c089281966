"""Dialling: a session on a server, opened and logged in, over TLS where the pool has it."""

import asyncio
from typing import cast

from marchproxy.kit.settings import HostPort
from marchproxy.model.pool import UpstreamTls
from marchproxy.modules.dblb.postgres.link import Link, Owner
from marchproxy.modules.dblb.postgres.login import LoginRefused, Target, log_in
from marchproxy.modules.dblb.serverside import connect_plain, is_socket
from marchproxy.modules.reception.upstream_tls import context_of
from marchproxy.wire.postgres import encode


async def dial(target: Target, owner: Owner, *, now: float) -> Link:
    """A link that has begun. Raises OSError, LoginRefused, ProtocolFault, PeerGone; the caller sets the deadline."""
    link = Link(owner, statement_bytes=target.statement_bytes, now=now)
    link.target = target
    await reach(target.address, target.tls, link)
    inbox = link.inbox
    assert inbox is not None
    try:
        link.begin(await log_in(inbox, link.transport.write, target.credentials))
    except BaseException:
        link.transport.abort()
        raise
    return link


async def interrupt(link: Link) -> None:
    """Have a server interrupt what it does on a link; returns when it has heard that. Raises OSError, LoginRefused."""
    assert link.target is not None
    ended = _Ended()
    await reach(link.target.address, link.target.tls, ended)
    try:
        ended.transport.write(encode.cancel(link.welcome.process_id, link.welcome.key))
        await ended.done  # the server closes when it has sent the signal
    finally:
        ended.transport.abort()


async def touch(address: HostPort, tls: UpstreamTls | None) -> None:
    """See whether a server can be reached, over TLS where there is any. Raises OSError, LoginRefused."""
    ended = _Ended()
    await reach(address, tls, ended)
    ended.transport.abort()


async def reach(address: HostPort, tls: UpstreamTls | None, protocol: asyncio.Protocol) -> None:
    """Connect a protocol to a server; it sees nothing of what comes before TLS. Raises OSError, LoginRefused."""
    if tls is None or is_socket(address):
        await connect_plain(address, lambda: protocol)
        return
    context = context_of(tls)
    plain, answer = await connect_plain(address, _Asking)
    try:
        if await answer.said != encode.ENCRYPTED:
            raise LoginRefused("the server does not speak TLS, which its pool asks for")
        secured = await asyncio.get_running_loop().start_tls(
            plain, protocol, context, server_hostname=tls.server_name or address.host
        )
    except BaseException:
        plain.abort()
        raise
    assert secured is not None
    protocol.connection_made(secured)


class _Ended(asyncio.Protocol):
    """Waits for the other side to hang up."""

    def __init__(self) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport = cast("asyncio.Transport", None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - heard or not, no more comes
        if not self.done.done():
            self.done.set_result(None)


class _Asking(asyncio.BufferedProtocol):
    """Asks for TLS, and reads the one byte of the answer: what comes behind it is for TLS, or is nobody's."""

    def __init__(self) -> None:
        self.said: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._byte = bytearray(1)
        self._transport = cast("asyncio.Transport", None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(encode.SSL_REQUEST)

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002
        return self._byte

    def buffer_updated(self, nbytes: int) -> None:  # noqa: ARG002
        self._transport.pause_reading()
        if not self.said.done():
            self.said.set_result(bytes(self._byte))

    def connection_lost(self, error: Exception | None) -> None:
        if not self.said.done():
            self.said.set_exception(
                error or ConnectionResetError("the server hung up when it was asked for TLS")
            )
