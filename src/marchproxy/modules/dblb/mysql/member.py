"""Member: one server of a cluster, whether it may be read from, and the pools of links to it."""

from collections.abc import Awaitable, Callable

from marchproxy.kit.settings import HostPort
from marchproxy.modules.dblb.allotment import Allotment
from marchproxy.modules.dblb.mysql.dialling import Server, dial, renew
from marchproxy.modules.dblb.mysql.link import Link
from marchproxy.modules.dblb.mysql.login import Credentials, Lacking
from marchproxy.modules.dblb.mysql.pool import Pool, PoolLimits, Work
from marchproxy.modules.dblb.mysql.sight import Role, Sight
from marchproxy.modules.dblb.mysql.watch import Watch
from marchproxy.modules.dblb.service import Surroundings


class Member:
    """Its pools by whose sessions they are of. `lacking` is called when it can do less than was promised to clients."""

    def __init__(
        self,
        server: Server,
        watch: Watch,
        limits: PoolLimits,
        around: Surroundings,
        lacking: Callable[[], None],
    ) -> None:
        self.server = server
        self.watch = watch
        self.pools: dict[Credentials, Pool] = {}
        self._allotments: dict[tuple[str, str], Allotment] = {}
        self.retired = False
        """Whether its cluster is no more."""
        self._limits = limits
        self._around = around
        self._lacking = lacking
        self._stalls = False
        self._errors = self._ejections = 0
        self._out_until = 0.0

    @property
    def address(self) -> HostPort:
        """Where it is."""
        return self.server.address

    @property
    def sight(self) -> Sight:
        """As it was last seen."""
        return self.watch.sight

    @property
    def in_use(self) -> int:
        """How many links clients have."""
        return sum(pool.links - pool.idle for pool in self.pools.values())

    def is_recent(self, max_lag: float) -> bool:
        """Whether it is a replica that may answer reads."""
        sight = self.watch.sight
        if (
            self.retired
            or sight.role is not Role.REPLICA
            or sight.fault
            or sight.lag is None
            or sight.lag > max_lag
        ):
            return False
        return not self.is_out

    def seen(self) -> None:
        """It was looked at."""
        stalls = bool(self.watch.sight.fault)
        if stalls and not self._stalls:
            for pool in self.pools.values():
                pool.stalled()
        self._stalls = stalls

    @property
    def is_out(self) -> bool:
        """Whether it is left out for a while."""
        return bool(self._out_until) and self._around.clock.monotonic() < self._out_until

    def failed(self) -> int:
        """A read that it was given failed with it; how many did so in a row, since it was left out last."""
        self._errors += 1
        return self._errors

    def eject(self, seconds: float) -> None:
        """Leave it out for so long, and longer each time until it has answered."""
        self._errors = 0
        self._ejections += 1
        self._out_until = self._around.clock.monotonic() + seconds * self._ejections

    def answered(self) -> None:
        """A read was answered."""
        if self._errors or self._ejections:
            self._errors = self._ejections = 0

    def pool(self, credentials: Credentials) -> Pool:
        """The pool of these sessions."""
        found = self.pools.get(credentials)
        if found is None:
            title = f"{credentials.user}@{credentials.database or '-'} {self.address}"
            work = Work(self._dialler(credentials), lambda link: renew(link, credentials))
            key = (credentials.user, credentials.database)
            share = self._allotments.setdefault(key, Allotment(self._limits.size))
            group, clock = self._around.group, self._around.clock
            found = Pool(title, work, self._limits, group, clock, allotment=share)
            self.pools[credentials] = found
        return found

    def _dialler(self, credentials: Credentials) -> Callable[[Pool], Awaitable[Link]]:
        async def work(pool: Pool) -> Link:
            try:
                return await dial(pool, self.server, credentials, now=self._around.clock.monotonic())
            except Lacking:
                self._lacking()
                raise

        return work
