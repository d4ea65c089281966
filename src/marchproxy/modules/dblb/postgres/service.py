"""Service: PostgreSQL in a worker. Has clients let in, gives each a pool, and has them all go where the plan says."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from marchproxy.kit.settings import HostPort
from marchproxy.model.module import PoolName, Protocol
from marchproxy.model.route import RouteId
from marchproxy.modules.dblb.plan import DblbPlan, RoutePlan
from marchproxy.modules.dblb.postgres.admission import Start, upstream_of
from marchproxy.modules.dblb.postgres.checking import check_all
from marchproxy.modules.dblb.postgres.doorway import Doorway
from marchproxy.modules.dblb.postgres.halt import Halt
from marchproxy.modules.dblb.postgres.keys import Keys
from marchproxy.modules.dblb.postgres.link import Link
from marchproxy.modules.dblb.postgres.pinning import Residue, residue
from marchproxy.modules.dblb.postgres.pools import Pools
from marchproxy.modules.dblb.postgres.proving import renewed
from marchproxy.modules.dblb.postgres.queue import Queue
from marchproxy.modules.dblb.postgres.reception import Reception
from marchproxy.modules.dblb.postgres.requests import Requests
from marchproxy.modules.dblb.postgres.roles import Source
from marchproxy.modules.dblb.postgres.routing.desk import Desk
from marchproxy.modules.dblb.postgres.routing.reads import syntax_of
from marchproxy.modules.dblb.postgres.session import Session
from marchproxy.modules.dblb.postgres.statements import Catalogue
from marchproxy.modules.dblb.postgres.stay import Stay, tally_of
from marchproxy.modules.dblb.service import ServerReport, Surroundings
from marchproxy.modules.dblb.sql import Dialect, Reader, Syntax
from marchproxy.modules.dblb.tally import PoolGauge
from marchproxy.modules.reception.client import Arrival
from marchproxy.wire.postgres import encode

_STOPPING = "the proxy is stopping"


class PostgresService:
    """All sessions, and the pools that they share. A DatabaseService."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.plan = DblbPlan()
        self._around = surroundings
        self._reader = Reader(Syntax(Dialect.POSTGRES))
        self._catalogue = Catalogue(most_bytes=surroundings.bounds.client_statements, read=self._read)
        self._pools = Pools(surroundings)
        self._keys = Keys(surroundings)
        self._desk = Desk(surroundings, self._pools)
        self._reception = Reception(self, surroundings, self._keys)
        self._sessions: set[Session] = set()
        self._routes: Mapping[RouteId, RoutePlan] = {}
        self._halts: dict[RouteId, Halt] = {}

    # what a worker asks: see DatabaseService

    def apply(self, plan: DblbPlan) -> None:
        """Who has an open transaction ends it where it is."""
        self.plan = plan
        self._routes = {route.route_id: route for route in plan.of(Protocol.POSTGRES)}
        self._pools.apply(plan)
        self._desk.apply(plan)
        self._reception.forget()
        self._settle(self._sessions)

    def accept(self, arrival: Arrival) -> asyncio.Protocol:
        """The client's first packet says what it wants."""
        return Doorway(self._reception, arrival)

    def sweep(self) -> None:
        """Once a second."""
        self._pools.sweep()

    def clients(self) -> int:
        """Those who are not let in yet count, too."""
        return len(self._reception) + len(self._sessions)

    def gauges(self) -> Sequence[PoolGauge]:
        """One for each pool."""
        roles = self._desk.roles()
        gauges = list(self._pools.gauges())
        for gauge in gauges:
            gauge.role = roles.get((gauge.pool, gauge.server), "unknown")
        return gauges

    def servers(self) -> Sequence[ServerReport]:
        """Those of pools without a monitor were never looked at."""
        return self._desk.reports()

    async def check(self) -> Sequence[ServerReport]:
        """As the monitor, where there is one."""
        lags = {(report.pool, report.address): report.lag for report in self._desk.reports()}
        checked = await check_all(self.plan, self._around.clock)
        return [replace(report, lag=lags.get((report.pool, report.address))) for report in checked]

    async def told(self, message: bytes) -> None:
        """A request to cancel."""
        await self._keys.told(message)

    def pause(self, route: RouteId) -> None:
        """Transactions that are open go on."""
        known = self._routes.get(route)
        if known is not None and route not in self._halts:
            longest = max((upstream.options.wait for upstream, _ in known.backends), default=0.0)
            self._halts[route] = Halt(longest, self._around.clock)
            self._settle(self._of(route))

    def busy(self, route: RouteId) -> int:
        """Those that clients keep beyond a transaction count, too."""
        return sum(session.link is not None for session in self._of(route))

    def resume(self, route: RouteId) -> None:
        """Who has waited longest is served first."""
        halt = self._halts.pop(route, None)
        if halt is not None:
            askers = [waiter.asker for waiter in halt.end() if isinstance(waiter, Queue)]
            waiting = [asker for asker in askers if isinstance(asker, Session)]
            self._settle(dict.fromkeys([*waiting, *self._of(route)]))

    def drain(self) -> None:
        """Who has no transaction is told at once."""
        self._reception.shut()
        for session in list(self._sessions):
            session.dismiss(_STOPPING)

    def close(self) -> None:
        """Everybody is told."""
        self._reception.close()
        for session in list(self._sessions):
            session.end(_STOPPING)
        for halt in self._halts.values():
            halt.end()
        self._desk.close()
        self._pools.close()

    # what the reception asks

    def source_of(self, stay: Stay) -> Source:
        """Where a client gets its links."""
        return self._desk.source(stay)

    def primary_of(self, pool: PoolName) -> HostPort | None:
        """Which server of a pool takes writes; None: nobody has seen."""
        return self._desk.primary_of(pool)

    def admit(self, door: Doorway, stay: Stay, start: Start, *, long_key: bool) -> None:
        """Begin a session."""
        now = self._around.clock.monotonic
        session = Session(self, Requests(self._catalogue), stay, self._read, now)
        self._sessions.add(session)
        stay.tally.clients += 1
        stay.gate.reads(syntax_of(start.told))
        reported = (encode.parameter(*item) for item in start.told.items())
        key = self._keys.give(session, long=long_key)
        door.transport.write(b"".join([encode.challenge(0), *reported, key, encode.ready(ord("I"))]))
        session.begin(door.transport, self._source(stay), start.beginning)
        door.transport.set_protocol(session)
        self._settle([session])  # the plan may have changed since it came

    # what a session tells

    def abandoned(self, link: Link) -> None:
        """A server does something that nobody waits for any more."""
        self._around.group.create_task(self._keys.interrupt(link))

    def left(self, session: Session) -> None:
        """A client is gone."""
        session.stay.tally.clients -= 1
        self._sessions.discard(session)
        self._keys.take(session)

    def _read(self, text: bytes) -> Residue | None:
        return residue(text, self._reader)

    def _of(self, route: RouteId) -> list[Session]:
        return [session for session in self._sessions if session.stay.route.route_id == route]

    def _source(self, stay: Stay) -> Source:
        return self._halts.get(stay.route.route_id) or self._desk.source(stay)

    def _settle(self, sessions: Iterable[Session]) -> None:
        """Have sessions be where the plan has them."""
        for session in list(sessions):
            stay = session.stay
            route = self._routes.get(stay.route.route_id)
            upstream = upstream_of(route, stay.upstream) if route is not None else None
            if route is None or upstream is None or not upstream.pool.endpoints:
                session.dismiss(f"the route {stay.route.route_id} is gone")
                continue
            if upstream.name != stay.upstream.name:
                stay.tally.clients -= 1
                stay.tally = tally_of(self._around.tallies, route, upstream, stay.who)
                stay.tally.clients += 1
            stay.password = renewed(stay.password, stay.who.user, stay.route, route)
            stay.route, stay.upstream = route, upstream
            halted = stay.route.route_id in self._halts
            session.move(self._source(stay), None if halted else self._desk.reads(stay))
