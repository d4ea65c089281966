"""Sources: where sessions of one user and database get links of a cluster: from whoever is the primary, or from a replica.

While there is nobody of that kind they wait in line, for as long as the pool has them wait.
"""

import random
from collections.abc import Callable, Mapping, Sequence

from marchproxy.kit.clock import Clock
from marchproxy.kit.settings import HostPort
from marchproxy.modules.dblb.line import Line
from marchproxy.modules.dblb.postgres.link import Link
from marchproxy.modules.dblb.postgres.pool import Pool
from marchproxy.modules.dblb.postgres.roles import Waiter
from marchproxy.modules.dblb.postgres.routing.cluster import Cluster

#: The pool of a server, for these sessions.
PoolAt = Callable[[HostPort], Pool]


#: A pool of somebody who may be read, its weight, and up to where it has replayed.
Fit = tuple[Pool, int, int]


class Primary:
    """Links of the server that is the primary right now. Who waits for one that was goes on to the one that is."""

    def __init__(self, cluster: Cluster, pool_at: PoolAt, clock: Clock) -> None:
        self._cluster = cluster
        self._pool_at = pool_at
        self._line: Line[Waiter] = Line(cluster.upstream.options.wait, self._late, clock)
        self._pool = None if cluster.primary is None else pool_at(cluster.primary)
        self._reported: Mapping[str, str] = {}

    @property
    def reported(self) -> Mapping[str, str]:
        """What it reports of a session that has set nothing; while there is none, what the last one did."""
        if self._pool is not None and self._pool.reported:
            self._reported = self._pool.reported
        return self._reported

    def at_once(self) -> Link | None:
        """A link that is free, unless somebody waits for it."""
        pool = self._pool
        return None if pool is None else pool.at_once()

    def acquire(self, waiter: Waiter) -> Link | None:
        """A link at once, or later by `waiter.got`, unless `waiter.got_none` comes before."""
        pool = self._pool
        if pool is not None:
            return pool.acquire(waiter)
        self._line.join(waiter)
        return None

    def give_up(self, waiter: Waiter) -> None:
        """It does not wait any more."""
        self._line.leave(waiter)
        if self._pool is not None:
            self._pool.give_up(waiter)

    def settle(self) -> None:
        """The primary, or the plan, may be another. Links of who was it are of no use to whoever writes."""
        self._line.seconds = self._cluster.upstream.options.wait
        address = self._cluster.primary
        pool = None if address is None else self._pool_at(address)
        if pool is self._pool:
            return
        former, self._pool = self._pool, pool
        waiting = self._line.all()
        if former is not None:
            waiting = [*former.dismiss(), *waiting]
            if pool is not None:
                former.retire()
        for waiter in waiting:
            link = self.acquire(waiter)
            if link is not None:
                waiter.got(link)

    def close(self) -> None:
        """Wake nobody any more."""
        self._line.close()

    def _late(self, waiter: Waiter) -> None:
        name, seconds = self._cluster.upstream.name, self._line.seconds
        waiter.got_none(f"no primary was seen in pool {name} for {seconds:g} s")


class Replicas:
    """Links of replicas that are recent enough, for sessions that never write."""

    def __init__(self, cluster: Cluster, pool_at: PoolAt, clock: Clock) -> None:
        self._cluster = cluster
        self._pool_at = pool_at
        self._line: Line[Waiter] = Line(cluster.upstream.options.wait, self._late, clock)

    @property
    def reported(self) -> Mapping[str, str]:
        """What one of them reports of a session that has set nothing."""
        pool = self._choose()
        return {} if pool is None else pool.reported

    def at_once(self) -> Link | None:
        """A link that is free, unless somebody waits for it."""
        pool = self._choose()
        return None if pool is None else pool.at_once()

    def acquire(self, waiter: Waiter) -> Link | None:
        """A link at once, or later by `waiter.got`, unless `waiter.got_none` comes before."""
        pool = self._choose()
        if pool is not None:
            return pool.acquire(waiter)
        self._line.join(waiter)
        return None

    def give_up(self, waiter: Waiter) -> None:
        """It does not wait any more."""
        self._line.leave(waiter)
        for address in self._cluster.members.each:
            self._pool_at(address).give_up(waiter)

    def settle(self) -> None:
        """The servers were looked at: there may be a replica."""
        self._line.seconds = self._cluster.upstream.options.wait
        if self._line and self._cluster.fit:
            for waiter in self._line.all():
                link = self.acquire(waiter)
                if link is not None:
                    waiter.got(link)

    def close(self) -> None:
        """Wake nobody any more."""
        self._line.close()

    def _choose(self) -> Pool | None:
        fit = [(self._pool_at(one.address), one.weight, has) for one, has in self._cluster.fit]
        return choose(fit, 0, by_load=self._cluster.is_even)

    def _late(self, waiter: Waiter) -> None:
        name, seconds = self._cluster.upstream.name, self._line.seconds
        waiter.got_none(f"no replica of pool {name} was recent enough for {seconds:g} s")


def choose(pools: Sequence[Fit], position: int, *, by_load: bool) -> Pool | None:
    """One of those that have replayed so far; `by_load`: the one with the fewest sessions for its weight."""
    return least_busy(pools, position) if by_load else any_of(pools, position)


def least_busy(pools: Sequence[Fit], position: int) -> Pool | None:
    """Of those that have replayed so far the one with the fewest sessions for its weight."""
    best, least = None, 0.0
    for pool, weight, has in pools:
        load = (busy(pool) + 1) / weight
        if has >= position and (best is None or load < least or (load == least and random.random() < 0.5)):  # noqa: S311
            best, least = pool, load
    return best


def any_of(pools: Sequence[Fit], position: int) -> Pool | None:
    """Of those that have replayed so far any, by weight."""
    fit = [(pool, weight) for pool, weight, has in pools if has >= position]
    return random.choices([pool for pool, _ in fit], [weight for _, weight in fit])[0] if fit else None  # noqa: S311


def busy(pool: Pool) -> int:
    """How many sessions a server has to do with, of those of one pool."""
    return pool.links - pool.idle + pool.waiting
