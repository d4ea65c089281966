"""Desk: where each session of a worker gets its links, as its route and the state of its servers have it."""

from collections.abc import Mapping
from functools import partial
from weakref import WeakValueDictionary

from marchproxy.kit.settings import HostPort
from marchproxy.model.database import ReadTarget
from marchproxy.model.module import PoolName, Protocol
from marchproxy.modules.dblb.dialler import DialFailed
from marchproxy.modules.dblb.plan import DblbPlan, RoutePlan, Upstream
from marchproxy.modules.dblb.postgres.inquiry import Inquiry, open_inquiry
from marchproxy.modules.dblb.postgres.login import Credentials, Proof, is_unwell
from marchproxy.modules.dblb.postgres.pool import Pool
from marchproxy.modules.dblb.postgres.pools import Pools
from marchproxy.modules.dblb.postgres.roles import Source
from marchproxy.modules.dblb.postgres.routing.catalogue import Catalogue
from marchproxy.modules.dblb.postgres.routing.cluster import Cluster
from marchproxy.modules.dblb.postgres.routing.sources import Primary, Replicas
from marchproxy.modules.dblb.postgres.routing.splitter import Judges, Reads
from marchproxy.modules.dblb.postgres.stay import Stay
from marchproxy.modules.dblb.serverside import addresses_of
from marchproxy.modules.dblb.service import ServerReport, Surroundings

#: Databases whose functions are known, at most; the one asked for longest ago goes.
_MOST_CATALOGUES = 64


class Desk:
    """Of one worker. A pool of one server that nobody watches is its own source."""

    def __init__(self, around: Surroundings, pools: Pools) -> None:
        self._around = around
        self._pools = pools
        self._clusters: dict[PoolName, Cluster] = {}
        # as long as there are sessions that have them
        self._sources: WeakValueDictionary[tuple[object, ...], Primary | Replicas] = WeakValueDictionary()
        self._reads: WeakValueDictionary[tuple[object, ...], Reads] = WeakValueDictionary()
        self._at: dict[tuple[object, ...], Pool] = {}
        self._catalogues: dict[tuple[PoolName, str], Catalogue] = {}
        self._judges: Judges = {}

    def apply(self, plan: DblbPlan) -> None:
        """Have clusters be as the plan has them. To be called after that of the pools."""
        self._at.clear()
        self._reads.clear()
        wanted = plan.upstreams_of(Protocol.POSTGRES)
        for name in self._clusters.keys() - wanted.keys():
            self._clusters.pop(name).close()
        for name, upstream in wanted.items():
            known = self._clusters.get(name)
            if known is None:
                self._add(upstream)
            elif known.upstream != upstream:
                known.adopt(upstream)
            self._changed(name)

    def source(self, stay: Stay) -> Source:
        """Where a session gets its links, but for what it reads elsewhere."""
        cluster = self._clusters.get(stay.upstream.name)
        credentials = Credentials(stay.who.user, stay.database, stay.password)
        if cluster is None:  # the plan has changed while the client came; it will be told so
            return self._pools.get(stay.upstream, addresses_of(stay.upstream.pool)[0], credentials)
        if not cluster.watched:
            return self._pool(credentials, cluster, addresses_of(stay.upstream.pool)[0])
        reads = stay.route.options.target is ReadTarget.REPLICA
        key = (stay.upstream.name, *_key(credentials), reads)
        known = self._sources.get(key)
        if known is None:
            kind = Replicas if reads else Primary
            known = kind(cluster, partial(self._pool, credentials, cluster), self._around.clock)
            self._sources[key] = known
        return known

    def reads(self, stay: Stay) -> Reads | None:
        """How a session reads elsewhere; None: it does not."""
        route, main = stay.route, self._clusters.get(stay.upstream.name)
        options = route.options
        if not options.split_reads or options.target is not ReadTarget.AUTO or stay.keeps:
            return None
        if main is None or not main.watched:
            return None
        credentials = Credentials(stay.who.user, stay.database, stay.password)
        key = (route.route_id, main.upstream.name, *_key(credentials))
        known = self._reads.get(key)
        if known is None:
            known = self._reads[key] = self._make_reads(route, main, credentials)
        return known

    def _make_reads(self, route: RoutePlan, main: Cluster, credentials: Credentials) -> Reads:
        options = route.options
        return Reads(
            main,
            self._clusters_of(route, main),
            partial(self._pool, credentials),
            self._catalogue(main, credentials.database),
            self._judges,
            hints=options.hints,
            catch_up=options.catch_up,
        )

    def primary_of(self, pool: PoolName) -> HostPort | None:
        """Who takes writes, as far as is known."""
        cluster = self._clusters.get(pool)
        return cluster.primary if cluster is not None else None

    def roles(self) -> Mapping[tuple[str, str], str]:
        """What each server is, by pool and address."""
        return {(report.pool, report.address): report.role for report in self.reports()}

    def reports(self) -> list[ServerReport]:
        """The servers as they were seen last."""
        return [report for cluster in self._clusters.values() for report in cluster.reports()]

    def close(self) -> None:
        """Look no more, and wake nobody."""
        for cluster in self._clusters.values():
            cluster.close()
        for source in list(self._sources.values()):
            source.close()

    def _add(self, upstream: Upstream) -> None:
        name = upstream.name
        connect = partial(self._ask, name, "")
        cluster = Cluster(upstream, connect, self._around.group, self._around.clock)
        cluster.changed = partial(self._changed, name)
        self._clusters[name] = cluster

    def _changed(self, name: PoolName) -> None:
        for key, source in list(self._sources.items()):
            if key[0] == name:
                source.settle()

    def _pool(self, credentials: Credentials, cluster: Cluster, address: HostPort) -> Pool:
        key = (cluster.upstream.name, address, _key(credentials))
        known = self._at.get(key)
        if known is None:
            known = self._at[key] = self._pools.get(cluster.upstream, address, credentials)
            known.dialled = partial(self._dialled, cluster, address, known)
        return known

    def _dialled(self, cluster: Cluster, address: HostPort, pool: Pool, failed: DialFailed | None) -> None:
        if failed is None or is_unwell(failed.cause):
            cluster.dialled(address, well=failed is None)
        if failed and not pool.links and cluster.watched and address != cluster.primary:
            for waiter in pool.dismiss():
                waiter.got_none(f"no session could be opened on {address}: {failed}")

    def _clusters_of(self, route: RoutePlan, main: Cluster) -> list[tuple[Cluster, int]]:
        """Where a route is read; where the shares divide whole sessions, each has its own."""
        if route.writes is None:
            return [(main, 100)]
        return [(self._clusters[up.name], share) for up, share in route.backends if up.name in self._clusters]

    def _catalogue(self, cluster: Cluster, database: str) -> Catalogue:
        key = (cluster.upstream.name, database)
        known = self._catalogues.pop(key, None)
        if known is None:
            connect = partial(self._ask_any, cluster, database)
            known = Catalogue(database, connect, self._around.group, self._around.clock)
        self._catalogues[key] = known
        if len(self._catalogues) > _MOST_CATALOGUES:
            del self._catalogues[next(iter(self._catalogues))]
        return known

    async def _ask_any(self, cluster: Cluster, database: str) -> Inquiry:
        address = cluster.primary or next(iter(cluster.members.each))
        return await self._ask(cluster.upstream.name, database, address)

    async def _ask(self, name: PoolName, database: str, address: HostPort) -> Inquiry:
        """A session of the monitor. Raises inquiry.FAULTS."""
        upstream = self._clusters[name].upstream
        options = upstream.options
        password = upstream.passwords.get(options.monitor, "")
        credentials = Credentials(options.monitor, database or options.monitor_database, password)
        return await open_inquiry(address, credentials, upstream.pool.tls)


def _key(credentials: Credentials) -> tuple[str, str, Proof]:
    return credentials.user, credentials.database, credentials.password
