"""Watch: looks at one server again and again, over a connection of its own."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.modules.dblb.inbox import PeerGone
from marchproxy.modules.dblb.mysql.asking import ask
from marchproxy.modules.dblb.mysql.dialling import NOBODY, Server, dial, learn
from marchproxy.modules.dblb.mysql.link import Link
from marchproxy.modules.dblb.mysql.login import Credentials, LoginRefused
from marchproxy.modules.dblb.mysql.sight import Role, Sight, failed, see, status_statement
from marchproxy.modules.dblb.service import CHECK_SECONDS
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mysql.results import Refused

_log = get_logger(__name__)
_FAULTS = (LoginRefused, ProtocolFault, PeerGone, Refused, OSError, TimeoutError)


class Watch:
    """One server's. `alone`: nobody looks for roles, it is the primary. `credentials` None: all that is seen is its greeting."""

    def __init__(
        self, server: Server, credentials: Credentials | None, clock: Clock, *, alone: bool = False
    ) -> None:
        self._server = server
        self._credentials = credentials
        self._clock = clock
        self._link: Link | None = None
        self._one = asyncio.Lock()
        self._alone = alone or credentials is None
        self.sight = Sight(Role.PRIMARY) if self._alone else Sight()

    async def run(self, every: float, seen: Callable[[], None]) -> None:
        """Look, and tell `seen`, until cancelled."""
        try:
            while True:
                await self.look()
                seen()
                await self._clock.sleep(every)
        finally:
            self._drop()

    async def look(self) -> Sight:
        """What there is to see now."""
        if self._one.locked():  # somebody looks already
            async with self._one:
                return self.sight
        async with self._one:
            before, began = self.sight, self._clock.monotonic()
            try:
                async with asyncio.timeout(CHECK_SECONDS):
                    self.sight = await self._look(began)
            except _FAULTS as error:
                self._drop()
                self.sight = failed(before, str(error))
            if self.sight.fault != before.fault:
                _log.info("server", address=str(self._server.address), fault=self.sight.fault or "none")
            return self.sight

    async def _look(self, began: float) -> Sight:
        if self._credentials is None:
            await learn(self._server, within=CHECK_SECONDS)
            return Sight(Role.PRIMARY, 0.0, self._clock.monotonic() - began)
        if self._link is None or self._link.transport.is_closing():
            self._link = await dial(NOBODY, self._server, self._credentials, now=began)
            began = self._clock.monotonic()
        link = self._link
        if self._alone:
            await ask(link, b"SELECT 1")
            self._drop()
            return Sight(Role.PRIMARY, 0.0, self._clock.monotonic() - began)
        rows = await ask(link, b"SELECT @@global.read_only AS ro, @@global.sql_mode AS mode")
        latency = self._clock.monotonic() - began
        greeting = link.greeting
        assert greeting is not None
        sight = see(rows[0], await ask(link, status_statement(greeting.version)))
        return replace(sight, latency=latency)

    def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.end()
