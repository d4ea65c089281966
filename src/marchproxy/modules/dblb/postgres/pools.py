"""Pools: those of one worker, one for each server, database, user and what shows servers who that is, as the plan has them.

Nobody gets a link that was opened with what another has shown: only the server knows what is right. Together they have as
many links as one pool.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from marchproxy.kit.settings import HostPort
from marchproxy.model.module import PoolName
from marchproxy.model.pool import UpstreamTls
from marchproxy.modules.dblb.allotment import Allotment
from marchproxy.modules.dblb.plan import DblbPlan, Upstream
from marchproxy.modules.dblb.postgres.dialling import dial
from marchproxy.modules.dblb.postgres.link import Link
from marchproxy.modules.dblb.postgres.login import Credentials, Proof, Target
from marchproxy.modules.dblb.postgres.pool import Dial, Pool
from marchproxy.modules.dblb.postgres.pool_limits import PoolLimits
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
    """The pools of a key by what their links are opened with, and how many links they may have together."""

    tls: UpstreamTls | None
    allotment: Allotment
    pools: dict[Proof, Pool] = field(default_factory=dict)


class Pools:
    """Each is made when it is first wanted, and goes with its server."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._kept: dict[PoolKey, _Kept] = {}
        self._leaving: set[Pool] = set()

    def __iter__(self) -> Iterator[tuple[PoolKey, Pool]]:
        return ((key, pool) for key, kept in self._kept.items() for pool in kept.pools.values())

    def get(self, upstream: Upstream, address: HostPort, credentials: Credentials) -> Pool:
        """The pool of a server for these; a user in the upstream's file has the password that stands there."""
        key = PoolKey(upstream.name, address, credentials.database, credentials.user)
        password = upstream.passwords.get(key.user, credentials.password)
        kept = self._kept.get(key)
        if kept is None:
            size = self._limits(upstream).size
            kept = self._kept[key] = _Kept(upstream.pool.tls, Allotment(size))
        pool = kept.pools.get(password)
        if pool is None:
            pool = kept.pools[password] = self._make(key, upstream, password, kept.allotment)
        return pool

    def apply(self, plan: DblbPlan) -> None:
        """Have pools be as the plan has them; those of servers that are not in it end with the last who uses them.

        So do those that nobody uses, where the user has shown something else since. Whoever knows a pool is to ask for it again.
        """
        for key, kept in list(self._kept.items()):
            upstream = plan.upstreams.get(key.upstream)
            if upstream is None or key.address not in addresses_of(upstream.pool):
                del self._kept[key]
                self._leave(kept, kept.pools)
                continue
            *earlier, _ = kept.pools.items()
            self._leave(kept, [proof for proof, pool in earlier if not (pool.taken or pool.waiting)])
            self._settle(key, kept, upstream)

    def sweep(self) -> None:
        """Close what was not used for long."""
        for _, pool in self:
            pool.sweep()
        for pool in list(self._leaving):
            while pool.evict():  # who waited has got a link since
                pass
            if not pool.taken and not pool.waiting:
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

    def _settle(self, key: PoolKey, kept: _Kept, upstream: Upstream) -> None:
        tls, known = upstream.pool.tls, upstream.passwords.get(key.user)
        for proof, pool in list(kept.pools.items()):
            wanted = proof if known is None else known
            if wanted != proof and wanted in kept.pools:
                self._leave(kept, [proof])
                continue
            if wanted != proof or kept.tls != tls:
                kept.pools[wanted] = kept.pools.pop(proof)
                pool.renew(self._opener(key, tls, wanted))
            pool.resize(self._limits(upstream))
        kept.tls = tls

    def _leave(self, kept: _Kept, proofs: Iterable[Proof]) -> None:
        for proof in list(proofs):
            pool = kept.pools.pop(proof)
            self._leaving.add(pool)
            pool.retire()

    def _make(self, key: PoolKey, upstream: Upstream, password: Proof, allotment: Allotment) -> Pool:
        around = self._surroundings
        opener = self._opener(key, upstream.pool.tls, password)
        name = f"{key.user}@{key.database} on {key.address}"
        limits = self._limits(upstream)
        return Pool(name, opener, limits, around.group, around.clock, allotment=allotment)

    def _opener(self, key: PoolKey, tls: UpstreamTls | None, password: Proof) -> Dial:
        around = self._surroundings
        credentials = Credentials(key.user, key.database, password)
        target = Target(key.address, credentials, tls, around.bounds.server_statements)

        async def open_link(pool: Pool) -> Link:
            return await dial(target, pool, now=around.clock.monotonic())

        return open_link
