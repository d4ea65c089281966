"""Member: one server; what it says it is, asked again and again, and the pools of its users."""

import asyncio
from collections.abc import Callable, Mapping

from marchproxy.kit.backoff import Backoff
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import HostPort
from marchproxy.modules.dblb.mongodb.hello import Facts
from marchproxy.modules.dblb.mongodb.link import Conversation, Link, LinkGone
from marchproxy.modules.dblb.mongodb.login import LoginRefused, log_in
from marchproxy.modules.dblb.mongodb.pool import Dial, Pool
from marchproxy.modules.dblb.mongodb.settings import MongoLimits
from marchproxy.wire.fault import ProtocolFault

_log = get_logger(__name__)
_BACKOFF = Backoff(initial=0.05, maximum=2.0)
_SMOOTH = 0.2  # the weight of a new round-trip time, as drivers have it


class Member:
    """`facts` is None while the server does not answer; `round_trip` in seconds."""

    def __init__(
        self, address: HostPort, passwords: Mapping[str, str], limits: MongoLimits, clock: Clock
    ) -> None:
        self.name = f"{address.host}:{address.port}"
        self.facts: Facts | None = None
        self.round_trip = 0.0
        self.pools: dict[str, Pool] = {}
        self._address = address
        self._passwords = passwords
        self._limits = limits
        self._clock = clock
        self._suspected = asyncio.Event()

    @property
    def busy(self) -> int:
        """How much is under way on it."""
        return sum(pool.busy for pool in self.pools.values())

    def pool(self, user: str, group: asyncio.TaskGroup) -> Pool:
        """The pool of one user."""
        known = self.pools.get(user)
        if known is None:
            known = Pool(f"{user}@{self.name}", self._dialler(user), self._limits, group, self._clock)
            known.failed = self.suspect
            self.pools[user] = known
        return known

    def suspect(self) -> None:
        """It may not be what it was: nothing goes there until it has answered again."""
        self.facts = None
        self._suspected.set()

    async def watch(self, changed: Callable[[], None]) -> None:
        """Ask it for ever; `changed` is called after each answer and each lack of one."""
        failures = 0
        while True:
            self._suspected.clear()
            try:
                async with asyncio.timeout(self._limits.dial):
                    await self._probe(changed)
            except (LoginRefused, ProtocolFault, LinkGone, OSError, TimeoutError) as error:
                if self.facts is not None or not failures:
                    _log.warning("a server does not answer", server=self.name, reason=str(error))
                self.facts = None
                failures += 1
                changed()
                await self._clock.sleep(_BACKOFF.delay(failures, 0.5))
            else:
                failures = 0
                await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._limits.probe):
                await self._suspected.wait()
        except TimeoutError:
            return
        await self._clock.sleep(
            _BACKOFF.initial
        )  # a server that is suspected at every turn is not asked faster

    async def _probe(self, changed: Callable[[], None]) -> None:
        link = await self._connect()
        try:
            began = self._clock.monotonic()
            facts = await log_in(Conversation(link), "", None)
            took = self._clock.monotonic() - began
        finally:
            link.transport.abort()
        self.round_trip += (took - self.round_trip) * (_SMOOTH if self.facts else 1.0)
        if facts != self.facts:
            _log.info("a server answers", server=self.name, role=facts.role.value)
        self.facts = facts
        changed()

    def _dialler(self, user: str) -> Dial:
        async def dial() -> Link:
            link = await self._connect()
            try:
                await log_in(Conversation(link), user, self._passwords.get(user))
            except BaseException:
                link.transport.abort()
                raise
            return link

        return dial

    async def _connect(self) -> Link:
        link = Link(self._limits.longest)
        await asyncio.get_running_loop().create_connection(
            lambda: link, self._address.host, self._address.port
        )
        return link
