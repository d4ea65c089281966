"""Pools: those of one worker, one for each server, database and user, as the plan has them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from marchproxy.kit.settings import HostPort
from marchproxy.model.module import PoolName
from marchproxy.model.pool import UpstreamTls
from marchproxy.modules.dblb.plan import DblbPlan, Upstream
from marchproxy.modules.dblb.postgres.dialling import dial
from marchproxy.modules.dblb.postgres.link import Link
from marchproxy.modules.dblb.postgres.login import Credentials, Proof, Target
from marchproxy.modules.dblb.postgres.pool import Dial, Pool, PoolLimits
from marchproxy.modules.dblb.serverside import addresses_of
from marchproxy.modules.dblb.service import Surroundings
from marchproxy.modules.dblb.tally import PoolGauge

#: What logging in may take beside connecting, in seconds.
_LOGIN_SECONDS = 5.0


class PoolKey(NamedTuple):
    """What a pool is for; `database` as it is called on the server."""

    upstream: PoolName
    address: HostPort
    database: str
    user: str


@dataclass(slots=True)
class _Kept:
    """A pool, and what its links were opened with."""

    pool: Pool
    tls: UpstreamTls | None
    password: Proof


class Pools:
    """Each is made when it is first wanted, and goes with its server."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._kept: dict[PoolKey, _Kept] = {}
        self._leaving: set[Pool] = set()

    def __iter__(self) -> Iterator[tuple[PoolKey, Pool]]:
        return ((key, kept.pool) for key, kept in self._kept.items())

    def get(self, upstream: Upstream, address: HostPort, credentials: Credentials) -> Pool:
        """The pool of a server for these; a user in the upstream's file has the password that stands there."""
        key = PoolKey(upstream.name, address, credentials.database, credentials.user)
        password = upstream.passwords.get(key.user, credentials.password)
        kept = self._kept.get(key)
        if kept is None:
            tls = upstream.pool.tls
            around = self._surroundings
            opener = self._opener(key, tls, password)
            name = f"{key.user}@{key.database} on {address}"
            pool = Pool(name, opener, self._limits(upstream), around.group, around.clock)
            kept = self._kept[key] = _Kept(pool, tls, password)
        elif password and password != kept.password:
            self._renew(key, kept, upstream.pool.tls, password)
        return kept.pool

    def apply(self, plan: DblbPlan) -> None:
        """Have pools be as the plan has them; those of servers that are not in it end with the last who uses them."""
        for key, kept in list(self._kept.items()):
            upstream = plan.upstreams.get(key.upstream)
            if upstream is None or key.address not in addresses_of(upstream.pool):
                del self._kept[key]
                self._leaving.add(kept.pool)
                kept.pool.retire()
                continue
            password = upstream.passwords.get(key.user, kept.password)
            if (kept.tls, kept.password) != (upstream.pool.tls, password):
                self._renew(key, kept, upstream.pool.tls, password)
            kept.pool.resize(self._limits(upstream))

    def sweep(self) -> None:
        """Close what was not used for long."""
        for _, pool in self:
            pool.sweep()
        for pool in [pool for pool in self._leaving if not pool.links and not pool.waiting]:
            self._leaving.discard(pool)
            pool.close()

    def close(self) -> None:
        """End every link now."""
        for pool in [*self._leaving, *(pool for _, pool in self)]:
            pool.close()

    def gauges(self) -> Iterator[PoolGauge]:
        """How full each one is."""
        for key, pool in self:
            yield PoolGauge(
                pool=key.upstream,
                server=str(key.address),
                role="unknown",
                database=key.database,
                user=key.user,
                connections=pool.links,
                idle=pool.idle,
                waiting=pool.waiting,
                size=pool.limits.size,
            )

    def _limits(self, upstream: Upstream) -> PoolLimits:
        options = upstream.options
        return PoolLimits(
            size=self._surroundings.share(options.size),
            wait=options.wait,
            idle=options.idle,
            lifetime=options.lifetime,
            dial=upstream.pool.connect_timeout + _LOGIN_SECONDS,
            reset=options.reset,
        )

    def _renew(self, key: PoolKey, kept: _Kept, tls: UpstreamTls | None, password: Proof) -> None:
        kept.tls, kept.password = tls, password
        kept.pool.renew(self._opener(key, tls, password))

    def _opener(self, key: PoolKey, tls: UpstreamTls | None, password: Proof) -> Dial:
        around = self._surroundings
        credentials = Credentials(key.user, key.database, password)
        target = Target(key.address, credentials, tls, around.bounds.server_statements)

        async def open_link(pool: Pool) -> Link:
            return await dial(target, pool, now=around.clock.monotonic())

        return open_link
