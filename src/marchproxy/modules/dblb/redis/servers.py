"""Servers: those of one pool in this worker: who takes writes, how old what the others have is, and the connections."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from itertools import count

from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import HostPort
from marchproxy.kit.tasks import comes
from marchproxy.model.module import PoolName
from marchproxy.modules.dblb.plan import Upstream
from marchproxy.modules.dblb.redis.dialling import Login, dial
from marchproxy.modules.dblb.redis.envoy_plan import shown_name, socket_of
from marchproxy.modules.dblb.redis.link import Link
from marchproxy.modules.dblb.redis.looking import Look, Looker
from marchproxy.modules.dblb.redis.pool import Pool, PoolLimits
from marchproxy.modules.dblb.redis.roles import History, Primary, Replica, Roles, judge
from marchproxy.modules.dblb.serverside import addresses_of
from marchproxy.modules.dblb.service import ServerReport, Surroundings
from marchproxy.modules.dblb.tally import PoolGauge

_log = get_logger(__name__)
_DIAL_SECONDS = 3.0
_SOONEST_SECONDS = 0.1  # between two looks, however often a server is doubted


class Servers:
    """`proven`: the passwords that clients have shown, by user, for servers whose pool has none for them."""

    def __init__(
        self,
        upstream: Upstream,
        around: Surroundings,
        proven: Mapping[str, str],
        changed: Callable[[], None],
    ) -> None:
        """`changed` is called after each look."""
        self.upstream = upstream
        self.addresses = _addresses(upstream)
        self.roles = self._assumed()
        self.history = History()
        self._around = around
        self._proven = proven
        self._changed = changed
        self._looks: dict[HostPort, Look] = {}
        self._looker = Looker(lambda: self.upstream, _DIAL_SECONDS, around.clock)
        self._pools: dict[tuple[HostPort, Login], Pool] = {}
        self._retired: list[Pool] = []
        self._turns = count()
        self._doubt = asyncio.Event()
        self._looked = asyncio.Event()
        self._watching = around.group.create_task(self._watch(), name=f"watch {upstream.name}")

    async def ready(self) -> None:
        """Return when the servers were looked at once."""
        await self._looked.wait()

    def become(self, upstream: Upstream) -> None:
        """What the pool is from now on. Connections of before finish what they have."""
        if upstream == self.upstream:
            return
        self.upstream = upstream
        self.addresses = _addresses(upstream)
        known = {self.roles.primary, *self.roles.followers}
        if not known <= {*self.addresses, None}:
            self.roles, self._looks = self._assumed(), {}
            self.history.forget()
        self._retire(lambda _address: False)
        self._doubt.set()

    def writer(self) -> HostPort | None:
        """Who takes writes; None: nobody now. A single server is tried whatever it says: the client hears it."""
        return self.roles.primary or (self.addresses[0] if len(self.addresses) == 1 else None)

    def reader(self, since: float) -> HostPort | None:
        """A replica that has what was written until `since`, and is fresh enough; None: there is none now."""
        history = self.history
        if self.roles.primary is None or history.last == float("-inf"):
            return None
        candidates = self.roles.followers
        since = max(since, history.last - self.upstream.options.max_lag)
        turn = next(self._turns)
        for step in range(len(candidates)):
            address = candidates[(turn + step) % len(candidates)]
            seen = self._looks[address].seen
            if isinstance(seen, Replica) and history.reached(seen.offset) >= since:
                return address
        return None

    def pool(self, address: HostPort, user: str, database: int, version: int) -> Pool:
        """The connections to a server for a user, a database and a version of the protocol."""
        if self.is_envoy:
            login = Login(bare=True)
            return self._pools.get((address, login)) or self._open(address, login)
        known, shown = self.upstream.passwords.get(user), self._proven.get(user, "")
        login = Login(
            user, shown if known is None else known, database, version, offered=known is None and bool(shown)
        )
        return self._pools.get((address, login)) or self._open(address, login)

    @property
    def name(self) -> PoolName:
        """The pool's name."""
        return self.upstream.name

    @property
    def is_envoy(self) -> bool:
        """Whether Envoy stands for the servers."""
        return bool(socket_of(self.upstream))

    def gauges(self) -> Iterator[PoolGauge]:
        """The connections to the servers."""
        for (address, login), pool in self._pools.items():
            links = pool.exclusive + pool.shared
            name, role, database = shown_name(self.upstream), self._role(address), str(login.database)
            size = self._limits().shared + self._limits().exclusive
            yield PoolGauge(
                name, self._shown(address), role, database, login.user, links, pool.idle, pool.waiting, size
            )

    def reports(self) -> Iterator[ServerReport]:
        """The servers as they were last seen."""
        for address in self.addresses:
            yield self._report(address, self._looks.get(address, Look(fault="was not asked yet")))

    async def check(self) -> list[ServerReport]:
        """The servers, asked now, over connections of their own."""
        looks = await self._looker.fresh(self.addresses)
        return [self._report(address, look) for address, look in looks.items()]

    def sweep(self) -> None:
        """Close what was not used for long."""
        for pool in self._pools.values():
            pool.sweep()
        self._retired = [pool for pool in self._retired if pool.exclusive or pool.shared]

    def close(self) -> None:
        """End everything."""
        self._watching.cancel()
        self._looker.close()
        for pool in (*self._pools.values(), *self._retired):
            pool.close()

    def retire(self) -> None:
        """The pool is not in the plan any more: who is in the middle of something finishes with it."""
        self._watching.cancel()
        self._looker.close()
        self._retire(lambda _address: False)

    def _assumed(self) -> Roles:
        return Roles(self.addresses[0] if len(self.addresses) == 1 else None)

    def _open(self, address: HostPort, login: Login) -> Pool:
        async def opened(pool: Pool) -> Link:
            return await dial(address, self.upstream.pool.tls, login, pool)

        name = f"{login.user}@{address}/{login.database}"
        pool = Pool(name, opened, self._limits(), self._around.group, self._around.clock)
        pool.on_doubt = self._doubted
        self._pools[address, login] = pool
        return pool

    def _limits(self) -> PoolLimits:
        options = self.upstream.options
        size = self._around.share(options.size)
        return PoolLimits(
            exclusive=max(1, size - 1),
            wait=options.wait,
            dial=_DIAL_SECONDS,
            idle=options.idle,
            lifetime=options.lifetime,
        )

    async def _watch(self) -> None:
        """Look at the servers every now and then, and at once when one of them says that it is not what it was."""
        while True:
            self._doubt.clear()
            asked_at, addresses = self._around.clock.monotonic(), self.addresses
            looks = await self._looker.look(addresses)
            if addresses != self.addresses:
                continue  # they have changed meanwhile
            self._looks = looks
            self._decide(asked_at)
            self._looked.set()
            if await comes(self._doubt, within=self.upstream.options.probe_interval):
                await self._around.clock.sleep(_SOONEST_SECONDS)

    def _decide(self, asked_at: float) -> None:
        roles = judge(self.roles, {address: look.seen for address, look in self._looks.items()})
        if len(self.addresses) == 1 and roles.primary is None and not roles.followers:
            roles = self._assumed()  # there is no other; whoever asks hears why it fails
        before, self.roles = self.roles, roles
        if before.primary != roles.primary:
            self.history.forget()
        seen = self._looks[roles.primary].seen if roles.primary in self._looks else None
        if isinstance(seen, Primary):
            self.history.note(asked_at, seen.offset)
        if before != roles:
            self._announce(before, roles)
        self._changed()

    def _announce(self, before: Roles, roles: Roles) -> None:
        _log.info(
            "roles of servers",
            pool=self.upstream.name,
            primary=str(roles.primary),
            replicas=[str(one) for one in roles.followers],
        )
        self._part(before, roles)

    def _part(self, before: Roles, roles: Roles) -> None:
        """Whoever was the primary and is not must not be written to; who is no replica any more may finish."""
        if before.primary != roles.primary:
            for key in [key for key in self._pools if key[0] == before.primary]:
                self._pools.pop(key).close()
        used = {self.writer(), *roles.followers}
        self._retire(lambda address: address in used)

    def _retire(self, keeps: Callable[[HostPort], bool]) -> None:
        gone = [key for key in self._pools if not keeps(key[0])]
        pools = [self._pools.pop(key) for key in gone]
        self._retired += pools
        for pool in pools:
            pool.retire()

    def _doubted(self, words: bytes) -> None:
        if not self._doubt.is_set():
            told = words.split(b"\r\n")[0].decode(errors="replace")
            _log.info("a server is not what it was taken for", pool=self.upstream.name, words=told)
        self._doubt.set()

    def _role(self, address: HostPort) -> str:
        if address == self.roles.primary:
            return "primary"
        return "replica" if address in self.roles.followers else "unknown"

    def _shown(self, address: HostPort) -> str:
        return "envoy" if self.is_envoy else str(address)

    def _report(self, address: HostPort, look: Look) -> ServerReport:
        lag = None
        if isinstance(look.seen, Replica) and self.history.last > float("-inf"):
            lag = max(0.0, self.history.last - self.history.reached(look.seen.offset))
        role = {Primary: "primary", Replica: "replica"}.get(type(look.seen), "unknown")
        return ServerReport(
            shown_name(self.upstream), self._shown(address), role, look.latency, lag, look.fault
        )


def _addresses(upstream: Upstream) -> tuple[HostPort, ...]:
    socket = socket_of(upstream)
    return (HostPort(socket, 0),) if socket else addresses_of(upstream.pool)
