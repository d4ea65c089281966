"""Serverside: which pool a session is for, and how a server of it is reached: its address, and TLS as its pool has it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from marchproxy.kit.settings import HostPort
from marchproxy.model.pool import BackendPool, UpstreamTls
from marchproxy.modules.dblb.plan import Upstream
from marchproxy.modules.reception.upstream_tls import context_of

P = TypeVar("P", bound=asyncio.BaseProtocol)


def pick(backends: Sequence[tuple[Upstream, int]], chance: float) -> Upstream | None:
    """The pool of a new session, by the shares; `chance` is at random, from 0 to below 1. None where no pool has a share."""
    left = chance * sum(share for _, share in backends)
    for upstream, share in backends:
        left -= share
        if left < 0:
            return upstream
    return None


def addresses_of(pool: BackendPool) -> tuple[HostPort, ...]:
    """The servers of a sound pool."""
    return tuple(HostPort.parse(endpoint.address) for endpoint in pool.endpoints)


async def connect(address: HostPort, protocol: Callable[[], P], tls: UpstreamTls | None) -> P:
    """A connection to a server, on which TLS has begun if there is any. Raises OSError; the caller sets the deadline.

    A host that is a path is a Unix socket's, which has no TLS.
    """
    if tls is None or is_socket(address):
        _, made = await connect_plain(address, protocol)
        return made
    name = tls.server_name or address.host
    _, made = await asyncio.get_running_loop().create_connection(
        protocol, address.host, address.port, ssl=context_of(tls), server_hostname=name
    )
    return made


async def connect_plain(address: HostPort, protocol: Callable[[], P]) -> tuple[asyncio.Transport, P]:
    """A connection on which no TLS has begun; where a protocol begins it later, see `is_socket`. Raises OSError."""
    loop = asyncio.get_running_loop()
    if is_socket(address):
        return await loop.create_unix_connection(protocol, address.host)
    return await loop.create_connection(protocol, address.host, address.port)


def is_socket(address: HostPort) -> bool:
    """Whether the host is the path of a Unix socket: nobody else hears what is said there, and there is no TLS."""
    return address.host.startswith("/")
