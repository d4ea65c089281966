"""Dialling: connections to a server, from the first packet until the session is as new."""

import asyncio
import ssl
from dataclasses import dataclass
from typing import cast

from marchproxy.kit.settings import HostPort
from marchproxy.model.pool import UpstreamTls
from marchproxy.modules.dblb.mysql.inbox import Inbox
from marchproxy.modules.dblb.mysql.link import Link, Owner
from marchproxy.modules.dblb.mysql.login import Credentials, Line, change_user, log_in, read_first
from marchproxy.modules.dblb.serverside import connect_plain, is_socket
from marchproxy.modules.reception.upstream_tls import context_of
from marchproxy.wire.mysql.handshake import Greeting


@dataclass(frozen=True, slots=True)
class Server:
    """Where sessions are opened; `tls` None: without TLS. `connect`: seconds that a connection may take."""

    address: HostPort
    tls: UpstreamTls | None = None
    connect: float = 1.0


class _Nobody:
    """Owns a link of which nothing but the greeting is wanted."""

    def idle_link_lost(self, link: Link) -> None:
        """It is gone, as it should be."""

    def lost(self, link: Link) -> None:
        """See idle_link_lost."""

    def died(self, link: Link) -> None:
        """See idle_link_lost."""

    def release(self, link: Link) -> None:
        """Nobody had it."""


#: The owner of links that are in no pool.
NOBODY = _Nobody()


async def learn(server: Server, *, within: float) -> Greeting:
    """What a server greets with. Raises LoginRefused, ProtocolFault, PeerGone, OSError, TimeoutError."""
    link = Link(NOBODY, capabilities=0, now=0.0)
    async with asyncio.timeout(within):
        await _connect(link, server)
        try:
            return await read_first(cast("Inbox", link.inbox))
        finally:
            link.transport.abort()


async def dial(owner: Owner, server: Server, credentials: Credentials, *, now: float) -> Link:
    """A session on a server. Raises LoginRefused, ProtocolFault, PeerGone, OSError. The caller sets the deadline."""
    link = Link(owner, capabilities=credentials.capabilities, now=now)
    await _connect(link, server)
    line = Line(cast("Inbox", link.inbox), link.send)
    tls = server.tls
    if tls is not None and not is_socket(server.address):
        context, name = context_of(tls), tls.server_name or server.address.host
        line.encrypt = lambda: _encrypt(link, context, name)
    try:
        greeting = await log_in(line, credentials)
    except BaseException:
        link.transport.abort()
        raise
    link.encrypted, link.address = line.encrypted, server.address
    link.begin(greeting)
    return link


async def renew(link: Link, credentials: Credentials) -> None:
    """Make a session as new, by logging in once more. Raises LoginRefused, ProtocolFault, PeerGone."""
    greeting = link.greeting
    assert greeting is not None
    link.inbox = Inbox()
    line = Line(link.inbox, link.send, encrypted=link.encrypted)
    await change_user(line, credentials, greeting)
    link.begin(greeting)


async def _connect(link: Link, server: Server) -> None:
    async with asyncio.timeout(server.connect):
        await connect_plain(server.address, lambda: link)


async def _encrypt(link: Link, context: ssl.SSLContext, name: str) -> None:
    transport = await asyncio.get_running_loop().start_tls(
        link.transport, link, context, server_hostname=name
    )
    if transport is None:
        raise ConnectionResetError("the server hung up when TLS began")
    link.connection_made(transport)
