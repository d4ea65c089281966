"""Dialling: connections to origins, with TLS and the client's address as their pool has it."""

import asyncio
from typing import Final

from marchproxy.kit.clock import Clock
from marchproxy.kit.settings import HostPort
from marchproxy.modules.reception.client import Arrival
from marchproxy.modules.reception.upstream_tls import context_of
from marchproxy.modules.rtmp.balancing.link import OriginLink
from marchproxy.modules.rtmp.plan import Upstream
from marchproxy.modules.rtmp.session.link import Link
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.proxy_greeting import greeting
from marchproxy.wire.proxy_protocol import Address
from marchproxy.wire.rtmp.answers import Status
from marchproxy.wire.rtmp.handshake import NOISE, ClientHandshake

#: From when a connection is there until the origin has said whether it serves the client.
ANSWER_SECONDS: Final = 5.0


class DialFailed(Exception):
    """The origin does not serve a client. `refusal`: what it said; None: it is the origin that fails."""

    def __init__(self, words: str, refusal: Status | None = None) -> None:
        super().__init__(words)
        self.refusal = refusal


async def dial(upstream: Upstream, link: OriginLink, arrival: Arrival) -> None:
    """Have the origin at the link's address serve a client. Raises DialFailed; the link has ended then."""
    try:
        await _connect(upstream, link.address, link, arrival)
        link.begin()
        async with asyncio.timeout(ANSWER_SECONDS):
            await link.answered
    except TimeoutError:
        words = "no answer in time" if link.transport is not None else "no connection in time"
        link.abort(words)
        raise DialFailed(words) from None
    except OSError as error:
        link.abort(str(error))
        raise DialFailed(str(error)) from error
    except asyncio.CancelledError:
        link.abort("nobody waits for it")
        raise
    if (refusal := link.asking.refusal) is not None:
        link.end()
        raise DialFailed(refusal.description or refusal.code or "it refuses", refusal)
    if not link.is_live:
        raise DialFailed(link.fault or "the connection ended")


async def probe(upstream: Upstream, address: str, *, within: float, clock: Clock) -> float:
    """How long an origin takes to shake hands, in seconds. Raises OSError, TimeoutError, ProtocolFault."""
    began = clock.monotonic()
    link = _Probe()
    try:
        async with asyncio.timeout(within):
            await _connect(upstream, address, link, None)
            link.write(link.handshake.begin())
            await link.over
    finally:
        link.abort("checked")
    if link.fault is not None:
        raise link.fault
    if not link.handshake.done:
        raise ConnectionResetError("it hung up instead of shaking hands")
    return clock.monotonic() - began


class _Probe(Link):
    def __init__(self) -> None:
        super().__init__()
        self.handshake = ClientHandshake(bytes(NOISE))
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.fault: ProtocolFault | None = None

    def data_received(self, data: bytes) -> None:
        if self.over.done():
            return
        try:
            self.write(self.handshake.feed(data))
        except ProtocolFault as fault:
            self.fault = fault
        if self.handshake.done or self.fault is not None:
            self.over.set_result(None)

    def ended(self, reason: str) -> None:  # noqa: ARG002 - what counts is that it has
        if not self.over.done():
            self.over.set_result(None)


async def _connect(upstream: Upstream, address: str, link: Link, arrival: Arrival | None) -> None:
    """Within the pool's deadline. Raises OSError, TimeoutError. The name is looked up each time: origins move."""
    at, pool, loop = HostPort.parse(address), upstream.pool, asyncio.get_running_loop()
    async with asyncio.timeout(pool.connect_timeout):
        transport, _ = await loop.create_connection(lambda: link, at.host, at.port)
        if upstream.options.proxy_protocol:
            transport.write(_greeting(upstream.options.proxy_protocol, transport, arrival))
        if pool.tls is None:
            return
        name = pool.tls.server_name or at.host
        try:
            secure = await loop.start_tls(transport, link, context_of(pool.tls), server_hostname=name)
        except BaseException:
            transport.abort()
            raise
        if secure is None:
            raise ConnectionResetError("it hung up instead of beginning TLS")
        link.connection_made(secure)


def _greeting(version: int, transport: asyncio.Transport, arrival: Arrival | None) -> bytes:
    if arrival is None:
        return greeting(version)
    host = transport.get_extra_info("sockname")[0]
    return greeting(version, Address(arrival.client.host, arrival.client.port), Address(host, arrival.port))
