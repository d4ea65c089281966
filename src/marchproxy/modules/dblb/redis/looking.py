"""Looking: asks servers what they are, each over a connection that is kept for that."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import HostPort
from marchproxy.modules.dblb.plan import Upstream
from marchproxy.modules.dblb.redis.dialling import Login, dial
from marchproxy.modules.dblb.redis.envoy_plan import socket_of
from marchproxy.modules.dblb.redis.link import Link
from marchproxy.modules.dblb.redis.pool import LoginRefused
from marchproxy.modules.dblb.redis.question import ask
from marchproxy.modules.dblb.redis.roles import Seen, read_role
from marchproxy.modules.dblb.service import CHECK_SECONDS
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.redis.values import Failure, encode, read

_log = get_logger(__name__)
_PING, _ROLE = encode([b"PING"]), encode([b"ROLE"])
_Ask = Callable[[HostPort], Coroutine[None, None, "Look"]]


@dataclass(frozen=True, slots=True)
class Look:
    """What a server said; `latency` in seconds; `fault` empty: none."""

    seen: Seen = None
    latency: float | None = None
    fault: str = ""


class Looker:
    """Asks as the pool's `monitor`, within `seconds`."""

    def __init__(self, upstream: Callable[[], Upstream], seconds: float, clock: Clock) -> None:
        self._upstream = upstream
        self._seconds = seconds
        self._clock = clock
        self._links: dict[HostPort, Link] = {}
        self._as = upstream()

    async def look(self, addresses: Sequence[HostPort]) -> dict[HostPort, Look]:
        """All of them, at the same time."""
        if self._as != (now := self._upstream()):
            self.close()
            self._as = now
        return await _all(addresses, lambda address: self._ask(address, self._links, self._seconds))

    async def fresh(self, addresses: Sequence[HostPort]) -> dict[HostPort, Look]:
        """All of them, over connections that are opened for it."""
        links: dict[HostPort, Link] = {}
        try:
            return await _all(addresses, lambda address: self._ask(address, links, CHECK_SECONDS))
        finally:
            for link in links.values():
                link.transport.abort()

    def close(self) -> None:
        """Close the connections."""
        links, self._links = self._links, {}
        for link in links.values():
            link.transport.abort()

    async def _ask(self, address: HostPort, links: dict[HostPort, Link], seconds: float) -> Look:
        try:
            async with asyncio.timeout(seconds):
                link = links.get(address)
                if link is None or link.lost:
                    link = links[address] = await self._dial(address)
                began = self._clock.monotonic()
                value = read(await ask(link, _PING if socket_of(self._upstream()) else _ROLE, 1))[0]
                took = self._clock.monotonic() - began
        except (LoginRefused, ProtocolFault, OSError, TimeoutError) as error:
            reason = str(error) or f"no answer within {seconds:g} s"
            _log.debug("a server does not tell its role", address=str(address), reason=reason)
            if (broken := links.pop(address, None)) is not None:
                broken.transport.abort()
            return Look(fault=reason)
        fault = value.decode(errors="replace") if isinstance(value, Failure) else ""
        return Look(read_role(value), took, fault)

    async def _dial(self, address: HostPort) -> Link:
        upstream = self._upstream()
        user = upstream.options.monitor
        login = (
            Login(user, upstream.passwords.get(user, "")) if user else Login(bare=bool(socket_of(upstream)))
        )
        return await dial(address, upstream.pool.tls, login, _Watch())


class _Watch:
    """Owner of a link that only asks for roles."""

    def link_closed(self, link: Link) -> None:
        """See Owner."""

    def doubted(self, link: Link, words: bytes) -> None:
        """See Owner."""


async def _all(addresses: Sequence[HostPort], ask_one: _Ask) -> dict[HostPort, Look]:
    async with asyncio.TaskGroup() as group:
        tasks = {address: group.create_task(ask_one(address)) for address in addresses}
    return {address: task.result() for address, task in tasks.items()}
