"""Splitter: which of a session's requests are read on a replica, and on which. See docs/adr/0025-reads-on-replicas.md."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from marchproxy.kit.settings import HostPort
from marchproxy.modules.dblb.postgres.link import Link
from marchproxy.modules.dblb.postgres.pool import Pool
from marchproxy.modules.dblb.postgres.routing.cluster import Cluster
from marchproxy.modules.dblb.postgres.routing.reads import Judge, Known, Reading, judge_of
from marchproxy.modules.dblb.postgres.routing.sources import Fit, choose
from marchproxy.modules.dblb.postgres.routing.units import Unit
from marchproxy.modules.dblb.postgres.routing.visit import Client, Visit
from marchproxy.modules.dblb.postgres.settling import Settings
from marchproxy.modules.dblb.sql import Hint

#: The judges of a worker.
Judges = dict[tuple[bool, bool, bool], Judge]


@dataclass(slots=True, eq=False, weakref_slot=True)
class Reads:
    """Where sessions of one kind read: `clusters` by weight, and `main`, which takes their writes."""

    main: Cluster
    clusters: Sequence[tuple[Cluster, int]]
    pool_at: Callable[[Cluster, HostPort], Pool]
    known: Known
    judges: Judges = field(default_factory=dict)
    hints: bool = True
    catch_up: float = 0.05
    """Seconds for which a replica is waited for that lacks what the client has written."""
    _pools: dict[Cluster, tuple[object, list[Fit]]] = field(default_factory=dict)

    def choose(self, hint: Hint, *, only_main: bool) -> Cluster:
        """The cluster of one read: the one that a comment names, or any by weight."""
        if only_main or len(self.clusters) == 1:
            return self.main
        named = next((cluster for cluster, _ in self.clusters if cluster.upstream.name == hint.pool), None)
        if named is not None:
            return named
        weights = [weight for _, weight in self.clusters]
        if not any(weights):
            return self.main
        return random.choices([cluster for cluster, _ in self.clusters], weights)[0]  # noqa: S311

    def replica(self, cluster: Cluster, position: int) -> Pool | None:
        """The pool of who is to answer; of another cluster than `main` that may be its primary. None: nobody."""
        seen, pools = self._pools.get(cluster, (None, []))
        if seen is not cluster.fit:
            pools = [(self.pool_at(cluster, one.address), one.weight, has) for one, has in cluster.fit]
            self._pools[cluster] = cluster.fit, pools
        pool = choose(pools, position, by_load=cluster.is_even)
        if pool is None and cluster is not self.main and cluster.primary is not None:
            return self.pool_at(cluster, cluster.primary)
        return pool


@dataclass(frozen=True, slots=True)
class _Waits:
    """These requests wait for a replica that has what was written before `since`."""

    unit: Unit
    reads: Reads
    since: float
    late: asyncio.TimerHandle


class Declining(Client, Protocol):
    """The session, as the splitter knows it."""

    def read_here(self) -> None:
        """What is pending is for the usual source of links."""
        ...


class Splitter:
    """Of one session, which asks `takes` of all that it has no link for."""

    def __init__(self, client: Declining, reads: Reads | None, now: Callable[[], float]) -> None:
        self._client = client
        self._now = now
        self._visit = Visit(client, self._fail, now)
        self._settings: Settings | None = None
        self._judge: Judge
        self._reading: Reading
        self._wrote = False  # ever
        self._dirty = False  # since it is known up to where it has written
        self._needs = 0  # what a replica must have replayed
        self._pool: Pool | None = None  # where it is about to go
        self._cluster: Cluster | None = None  # of that pool
        self._waits: _Waits | None = None
        self._reads = reads

    @property
    def link(self) -> Link | None:
        """The link that it has."""
        return self._visit.link

    @property
    def spoils(self) -> bool:
        """Whether something may be left in the link's session."""
        return self._visit.spoils

    def change(self, reads: Reads | None) -> None:
        """Read like this from now on; None: on the primary, as everything."""
        self._reads, self._settings = reads, None

    def takes(self, unit: Unit, settings: Settings) -> bool:
        """Whether these requests are read elsewhere: then `go` is to follow. Raises ProtocolFault."""
        if self._visit.link is not None:
            return True
        reads = self._reads
        if reads is None:
            return self._decline()
        if settings is not self._settings:
            self._settle(reads, settings)
        verdict = self._judge.judge(*unit, self._reading)
        if verdict.obstacle:
            return self._decline()
        self._pool = None
        cluster = self._cluster = reads.choose(verdict.hint, only_main=self._wrote)
        if self._dirty:
            return (reads.catch_up > 0 and cluster.primary is not None) or self._decline()
        self._pool = reads.replica(cluster, self._needs)
        if self._pool is None and not (self._needs and reads.catch_up > 0):
            return self._decline()
        return True

    def go(self, unit: Unit) -> None:
        """Read what is pending elsewhere."""
        if self._visit.link is not None:
            self._visit.go_on(unit)
        elif self._pool is not None and self._cluster is not None:
            self._visit.begin(self._pool, unit, self._cluster.upstream.name)
        elif (reads := self._reads) is not None:
            late = asyncio.get_running_loop().call_later(reads.catch_up, self._fail)
            self._waits = _Waits(unit, reads, self._now(), late)
            reads.main.wait(self, primary=self._dirty)

    def leave(self) -> Link | None:
        """The client is gone; the link that it had."""
        self._stop_waiting()
        return self._visit.leave()

    def seen(self) -> None:
        """A server was looked at, and there may be a replica that has all that the client has written."""
        waits = self._waits
        if waits is None:
            return
        main = waits.reads.main
        if self._dirty:
            position = main.position(waits.since)
            if position is None:
                return
            self._needs, self._dirty = position, False
        pool = waits.reads.replica(main, self._needs)
        if pool is None:
            main.wait(self, primary=False)
            return
        self._stop_waiting()
        self._visit.begin(pool, waits.unit, main.upstream.name)

    def _decline(self) -> bool:
        """They go to the primary, and what comes behind them, too, until its link is free: there may be writes in it."""
        self._wrote = self._dirty = True
        return False

    def _fail(self) -> None:
        self._stop_waiting()
        self._decline()
        self._client.read_here()

    def _stop_waiting(self) -> None:
        if self._waits is not None:
            self._waits.late.cancel()
            self._waits.reads.main.leave(self)
            self._waits = None

    def _settle(self, reads: Reads, settings: Settings) -> None:
        values: Mapping[str, str] = settings.values
        self._settings = settings
        self._judge = judge_of(reads.judges, values, hints=reads.hints)
        read_only = values.get("default_transaction_read_only") == "on"
        self._reading = Reading(self._client.requests.text, reads.known, read_only=read_only)
