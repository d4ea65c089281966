"""Cluster: the servers of one pool of the plan: who is primary, who may be read from, and links to them."""

import asyncio
from collections.abc import Callable, Iterator

from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import HostPort
from marchproxy.modules.dblb.line import Line
from marchproxy.modules.dblb.mysql.dialling import Server
from marchproxy.modules.dblb.mysql.link import Link
from marchproxy.modules.dblb.mysql.login import Credentials
from marchproxy.modules.dblb.mysql.member import Member
from marchproxy.modules.dblb.mysql.pool import NO_SERVER, Pool, PoolLimits, Waiter
from marchproxy.modules.dblb.mysql.sight import Role, elect
from marchproxy.modules.dblb.mysql.watch import Watch
from marchproxy.modules.dblb.plan import Upstream
from marchproxy.modules.dblb.serverside import addresses_of
from marchproxy.modules.dblb.service import ServerReport, Surroundings
from marchproxy.modules.dblb.tally import PoolGauge
from marchproxy.wire.mysql.endings import Refusal
from marchproxy.wire.mysql.numbers import Capability

_log = get_logger(__name__)
_C = Capability
_WATCHES = int(
    _C.LONG_PASSWORD | _C.PROTOCOL_41 | _C.SECURE_CONNECTION | _C.PLUGIN_AUTH | _C.PLUGIN_AUTH_LENENC
)
_UTF8MB4 = 45


def monitor_of(upstream: Upstream) -> Credentials | None:
    """As whom the servers of a pool are looked at; None: nobody is named."""
    user, passwords = upstream.options.monitor, upstream.passwords
    return Credentials(user, "", _UTF8MB4, _WATCHES, passwords.get(user, "")) if user else None


def _somebody(upstream: Upstream) -> Credentials | None:
    """Where nobody is named for that: one of those whose password is known."""
    for user, password in upstream.passwords.items():
        return Credentials(user, "", _UTF8MB4, _WATCHES, password)
    return None


class Cluster:
    """Links are to the primary or, when `replica` is asked for, to a recent replica."""

    def __init__(
        self, upstream: Upstream, around: Surroundings, changed: Callable[["Cluster"], None]
    ) -> None:
        """`changed` is called when there is another primary, or none."""
        self.upstream = upstream
        self.primary: HostPort | None = None
        self.lacking = False
        """Whether a server was found to be able to do less than it could before."""
        self._around = around
        self._changed = changed
        self._wanted: dict[Waiter, tuple[Credentials, bool]] = {}
        self._line: Line[Waiter] = Line(upstream.options.wait, self._late, around.clock)
        self.members = {member.address: member for member in self._members()}
        self._watches: list[asyncio.Task[None]] = []
        if monitor_of(self.upstream) is not None:
            every = upstream.options.probe_interval
            for member in self.members.values():
                task = around.group.create_task(
                    member.watch.run(every, self._seen), name=f"watch {member.address}"
                )
                self._watches.append(task)
        else:
            self.primary = next(iter(self.members), None)

    @property
    def name(self) -> str:
        """The pool's name in the plan."""
        return self.upstream.name

    def acquire(self, waiter: Waiter, credentials: Credentials, *, replica: bool) -> Link | None:
        """A link at once, or later by `waiter.got`, unless `waiter.got_none` comes before."""
        member = self.replica() if replica else self._primary()
        if member is None:
            self._wanted[waiter] = (credentials, replica)
            self._line.join(waiter)
            return None
        return member.pool(credentials).acquire(waiter)

    def give_up(self, waiter: Waiter) -> None:
        """It waits no more."""
        if self._wanted.pop(waiter, None) is not None:
            self._line.leave(waiter)
        for pool in self._pools():
            pool.give_up(waiter)

    def is_right(self, link: Link, *, replica: bool) -> bool:
        """Whether a session may keep the link: it is to the primary, or nobody knows of a better one."""
        if replica or self.primary is None:
            return link.address in self.members
        return link.address == self.primary

    def replica(self) -> Member | None:
        """A replica that may answer reads, the least used of them."""
        return min(self._recent(), key=lambda member: member.in_use, default=None)

    def failed(self, member: Member) -> None:
        """A read failed with a replica; after too many in a row it is left out, as far as the pool allows that."""
        errors, outliers = member.failed(), self.upstream.pool.outliers
        if outliers is None or errors < outliers.consecutive_errors:
            return
        out = sum(other.is_out for other in self.members.values())
        most = max(1, len(self.members) * outliers.max_ejected_percent // 100)
        if out < most and any(other is not member for other in self._recent()):
            member.eject(outliers.ejection_time)

    def sweep(self) -> None:
        """Close what was not used for long."""
        for pool in self._pools():
            pool.sweep()

    def close(self) -> None:
        """Look at no server any more, and give out no more links."""
        for task in self._watches:
            task.cancel()
        self._line.close()
        for pool in self._pools():
            pool.close()

    def retire(self) -> list[Waiter]:
        """Another cluster takes its place: links in use are closed when their clients are done. Who waited must ask there."""
        for task in self._watches:
            task.cancel()
        self._line.close()
        waiting = self._line.all() + [waiter for pool in self._pools() for waiter in pool.retire()]
        self._wanted.clear()
        for member in self.members.values():
            member.retired = True
        self.members = {}
        return waiting

    def gauges(self) -> Iterator[PoolGauge]:
        """The links to each server."""
        for member in self.members.values():
            for who, pool in member.pools.items():
                size = pool.limits.size
                counts = (pool.links, pool.idle, pool.waiting, size)
                yield PoolGauge(
                    self.name, str(member.address), self._role(member), who.database, who.user, *counts
                )

    def reports(self) -> list[ServerReport]:
        """The servers as they were last seen."""
        return [self._report(member) for member in self.members.values()]

    async def check(self) -> list[ServerReport]:
        """The servers as they are now."""
        async with asyncio.TaskGroup() as group:
            for member in self.members.values():
                group.create_task(member.watch.look(), name=f"check {member.address}")
        self._seen()
        return self.reports()

    # the rest is ours

    def _members(self) -> Iterator[Member]:
        pool, options, around = self.upstream.pool, self.upstream.options, self._around
        limits = PoolLimits(around.share(options.size), options.wait, options.idle, options.lifetime)
        for address in addresses_of(pool):
            server = Server(address, pool.tls, pool.connect_timeout)
            monitor = monitor_of(self.upstream)
            asks = monitor or _somebody(self.upstream)
            watch = Watch(server, asks, around.clock, alone=monitor is None)
            yield Member(server, watch, limits, around, self._lack)

    def _lack(self) -> None:
        self.lacking = True

    def _recent(self) -> list[Member]:
        max_lag = self.upstream.options.max_lag
        return [member for member in self.members.values() if member.is_recent(max_lag)]

    def _pools(self) -> Iterator[Pool]:
        return (pool for member in self.members.values() for pool in member.pools.values())

    def _primary(self) -> Member | None:
        return self.members.get(self.primary) if self.primary is not None else None

    def _seen(self) -> None:
        for member in self.members.values():
            member.seen()
        sights = {address: member.sight for address, member in self.members.items()}
        elected = elect(sights, self.primary)
        if elected != self.primary:
            _log.warning("primary", pool=self.name, address=str(elected or "none"), before=str(self.primary))
            before, self.primary = self._primary(), elected
            self._changed(self)
            if before is not None:
                for pool in before.pools.values():
                    self._again(pool.dismiss())
                    if before.sight.fault:
                        pool.cut()
        if self._wanted:
            self._again(self._line.all())

    def _again(self, waiting: list[Waiter]) -> None:
        for waiter in waiting:
            self._wanted.pop(waiter, None)
            waiter.again()

    def _late(self, waiter: Waiter) -> None:
        _, replica = self._wanted.pop(waiter)
        whom = "replica that is recent enough" if replica else "primary"
        faults = "; ".join(f"{r.address}: {r.fault}" for r in self.reports() if r.fault)
        words = f"the pool {self.name} has no {whom}" + (f" ({faults})" if faults else "")
        waiter.got_none(Refusal(NO_SERVER, "HY000", words))

    def _report(self, member: Member) -> ServerReport:
        sight, role = member.sight, self._role(member)
        return ServerReport(self.name, str(member.address), role, sight.latency, sight.lag, sight.fault)

    def _role(self, member: Member) -> str:
        if member.address == self.primary:
            return "primary"
        # who says to be the primary and is not ours is nobody's
        return "replica" if member.sight.role is Role.REPLICA else "unknown"
