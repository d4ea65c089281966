"""Member: one server; what it says it is, asked again and again, and the pools of its users."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from marchproxy.kit.backoff import Backoff
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import HostPort
from marchproxy.kit.tasks import comes
from marchproxy.model.pool import UpstreamTls
from marchproxy.modules.dblb.mongodb.hello import Facts
from marchproxy.modules.dblb.mongodb.link import Conversation, Link, LinkGone
from marchproxy.modules.dblb.mongodb.login import Login, LoginRefused, log_in
from marchproxy.modules.dblb.mongodb.pool import Dial, Pool
from marchproxy.modules.dblb.mongodb.settings import PoolLimits
from marchproxy.modules.dblb.serverside import connect
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mongodb.command import refusal_of

_log = get_logger(__name__)
_BACKOFF = Backoff(initial=0.05, maximum=2.0)
_DIAL_SECONDS = 3.0
_SMOOTH = 0.2  # the weight of a new round-trip time, as drivers have it


class Home(Protocol):
    """What a server is reached by, as its pool has it now."""

    def limits(self) -> PoolLimits:
        """Those of its pools."""
        ...

    def tls(self) -> UpstreamTls | None:
        """TLS to it."""
        ...

    def login(self, user: str) -> Login:
        """How a user is logged in to it."""
        ...

    def monitor(self) -> Login:
        """As whom it is looked at."""
        ...


class Member:
    """`facts` is None while the server does not answer; `round_trip` in seconds. `home` is the pool that it is in."""

    def __init__(self, address: HostPort, home: Home, clock: Clock) -> None:
        self.name = str(address)
        self.facts: Facts | None = None
        self.fault = "was not asked yet"
        self.round_trip = 0.0
        self.pools: dict[str, Pool] = {}
        self._address = address
        self._home = home
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
            known = Pool(f"{user}@{self.name}", self._dialler(user), self._home.limits(), group, self._clock)
            known.failed = self.suspect
            self.pools[user] = known
        return known

    def suspect(self) -> None:
        """It may not be what it was: nothing goes there until it has answered again."""
        self.facts = None
        self._suspected.set()

    def renew(self) -> None:
        """Its pool has changed: whatever comes is opened anew."""
        pools, self.pools = self.pools, {}
        for pool in pools.values():
            pool.retire()
        self._suspected.set()

    async def watch(self, changed: Callable[[], None]) -> None:
        """Ask it for ever; `changed` is called after each answer and each lack of one."""
        failures = 0
        while True:
            self._suspected.clear()
            try:
                async with asyncio.timeout(_DIAL_SECONDS):
                    await self._probe(changed)
            except (LoginRefused, ProtocolFault, LinkGone, OSError, TimeoutError) as error:
                if self.facts is not None or not failures:
                    _log.warning("a server does not answer", server=self.name, reason=str(error))
                self.facts, self.fault = None, str(error) or f"no answer within {_DIAL_SECONDS:g} s"
                failures += 1
                changed()
                await self._clock.sleep(_BACKOFF.delay(failures, 0.5))
            else:
                failures = 0
                if await comes(self._suspected, within=self._home.limits().probe):
                    # a server that is suspected at every turn is not asked faster
                    await self._clock.sleep(_BACKOFF.initial)

    async def ask(self, within: float) -> tuple[Facts | None, float, str]:
        """What it says now, how long that took, and what is wrong with it."""
        began = self._clock.monotonic()
        try:
            async with asyncio.timeout(within):
                link = await self._connect()
                try:
                    talk = Conversation(link)
                    facts = await log_in(talk, self._home.monitor())
                    answer = await talk.ask({"ping": 1, "$db": "admin"})
                finally:
                    link.transport.abort()
        except (LoginRefused, ProtocolFault, LinkGone, OSError, TimeoutError) as error:
            return None, self._clock.monotonic() - began, str(error) or f"no answer within {within:g} s"
        fault = "" if refusal_of(answer) is None else "it refuses a ping"
        return facts, self._clock.monotonic() - began, fault

    async def _probe(self, changed: Callable[[], None]) -> None:
        link = await self._connect()
        try:
            began = self._clock.monotonic()
            facts = await log_in(Conversation(link), self._home.monitor())
            took = self._clock.monotonic() - began
        finally:
            link.transport.abort()
        self.round_trip += (took - self.round_trip) * (_SMOOTH if self.facts else 1.0)
        if facts != self.facts:
            _log.info("a server answers", server=self.name, role=facts.role.value)
        self.facts, self.fault = facts, ""
        changed()

    def _dialler(self, user: str) -> Dial:
        async def dial() -> Link:
            link = await self._connect()
            try:
                await log_in(Conversation(link), self._home.login(user))
            except BaseException:
                link.transport.abort()
                raise
            return link

        return dial

    async def _connect(self) -> Link:
        limits = self._home.limits()
        return await connect(self._address, lambda: Link(limits.longest), self._home.tls())
