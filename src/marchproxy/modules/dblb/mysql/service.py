"""Service: MySQL in a worker. Lets clients in, keeps the clusters that the plan names, and finds whom clients want to stop."""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from marchproxy.kit.logs import get_logger
from marchproxy.model.module import Protocol
from marchproxy.model.route import RouteId
from marchproxy.modules.dblb.fleet import Fleet
from marchproxy.modules.dblb.mysql.cluster import Cluster
from marchproxy.modules.dblb.mysql.doorway import Doorway
from marchproxy.modules.dblb.mysql.greeting import Talk, new_nonce
from marchproxy.modules.dblb.mysql.guarded import guarded
from marchproxy.modules.dblb.mysql.halt import Halts
from marchproxy.modules.dblb.mysql.kill import Kill, first_number
from marchproxy.modules.dblb.mysql.killing import Killing
from marchproxy.modules.dblb.mysql.moving import move, renew
from marchproxy.modules.dblb.mysql.refusing import Refusing
from marchproxy.modules.dblb.mysql.session import Session
from marchproxy.modules.dblb.mysql.welcome import House, Welcome
from marchproxy.modules.dblb.plan import DblbPlan
from marchproxy.modules.dblb.service import MOST_NEWCOMERS, ServerReport, Surroundings
from marchproxy.modules.dblb.tally import PoolGauge
from marchproxy.modules.reception.client import Arrival
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mysql import endings
from marchproxy.wire.mysql.endings import Refusal
from marchproxy.wire.mysql.handshake import Login, read_change_user, read_login
from marchproxy.wire.mysql.packets import packet

_log = get_logger(__name__)
_LOGIN_SECONDS = 15.0
_ASIDE_IDLE_SECONDS = 60.0
_LONGEST = 4 * 1024 * 1024
_TOO_MANY = Refusal(1040, "08004", "too many clients are logging in")
_GONE = Refusal(1053, "08S01", "the proxy does not serve this session any more")


class MySqlService:
    """The DatabaseService of MySQL and MariaDB."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._clusters: Fleet[Cluster] = Fleet()
        self._welcome = Welcome(around, House(DblbPlan(), self._clusters, {}))
        self._sessions: dict[int, Session] = {}
        self._newcomers: dict[Session, None] = {}
        self._numbers = count()
        self._killing = Killing(around, self._sessions)
        self._halts = Halts(around.clock)
        self._draining = False

    def apply(self, plan: DblbPlan) -> None:
        """See DatabaseService."""
        wanted = plan.upstreams_of(Protocol.MYSQL)
        waiting = []
        for name, cluster in list(self._clusters.items()):
            if wanted.get(cluster.upstream.name) != cluster.upstream:
                del self._clusters[name]
                waiting += cluster.retire()
        for upstream in wanted.values():
            if upstream.name not in self._clusters:
                self._clusters[upstream.name] = Cluster(upstream, self._around, self._changed)
        self._welcome.house = House(plan, self._clusters, self._welcome.house.secrets)
        self._around.group.create_task(self._welcome.offer.learn(list(self._clusters.values())), name="learn")
        for session in self._sessions.values():
            session.unsettled = session.visit is not None
        for waiter in waiting:
            waiter.again()
        self._settle_all()

    def accept(self, arrival: Arrival) -> asyncio.Protocol:
        """See DatabaseService."""
        session = Session(self, arrival)
        session.number = first_number(self._around.worker) + (next(self._numbers) & 0xFF_FFFF)
        self._sessions[session.number] = session
        return Doorway(session, self)  # type: ignore[return-value]

    def sweep(self) -> None:
        """See DatabaseService."""
        before = self._around.clock.monotonic() - _ASIDE_IDLE_SECONDS
        for session in self._sessions.values():
            session.orders.rest(before)
        self._clusters.sweep()

    def clients(self) -> int:
        """See DatabaseService."""
        return len(self._sessions)

    def gauges(self) -> Sequence[PoolGauge]:
        """See DatabaseService."""
        return self._clusters.gauges()

    def servers(self) -> Sequence[ServerReport]:
        """See DatabaseService."""
        return self._clusters.reports()

    async def check(self) -> Sequence[ServerReport]:
        """See DatabaseService."""
        return await self._clusters.check()

    def pause(self, route: RouteId) -> None:
        """See DatabaseService."""
        self._halts.begin(route)
        for session in self._of(route):
            session.unsettled = True

    def busy(self, route: RouteId) -> int:
        """See DatabaseService."""
        return sum(session.uses for session in self._of(route))

    def resume(self, route: RouteId) -> None:
        """See DatabaseService."""
        for session in self._halts.end(route):
            session.go_on()
        self._settle_all()

    def drain(self) -> None:
        """See DatabaseService."""
        self._draining = True
        for session in self._sessions.values():
            session.unsettled = True
        self._settle_all()

    def close(self) -> None:
        """See DatabaseService."""
        for session in list(self._sessions.values()):
            session.end()
        self._clusters.close()
        self._halts.close()

    async def told(self, message: bytes) -> None:
        """See DatabaseService: a client of another worker wants a session of ours stopped."""
        await self._killing.told(message)

    # what a doorway and sessions call

    def arrived(self, session: Session) -> None:
        """The client is connected."""
        if len(self._newcomers) >= MOST_NEWCOMERS:
            oldest = next(iter(self._newcomers))
            del self._newcomers[oldest]
            oldest.end(_TOO_MANY, sequence=2)
        self._newcomers[session] = None
        self._around.group.create_task(guarded(self._greet(session), session), name="welcome")

    def encrypt(self, session: Session, sequence: int) -> None:
        """The client asked for TLS."""
        tls = session.arrival.tls
        if tls is None or sequence != 1:
            session.end(Refusal(2026, "HY000", "no TLS was offered"), sequence=sequence + 1)
            return
        self._around.group.create_task(guarded(_encrypt(session, tls.context), session), name="tls")

    def change_user(self, session: Session, payload: bytes) -> None:
        """The client wants to be somebody else."""
        self._bid_farewell(session)
        self._around.group.create_task(guarded(self._change(session, payload), session), name="change user")

    def kill(self, session: Session, kill: Kill) -> None:
        """The client wants to stop a session."""
        self._around.group.create_task(guarded(self._killing.kill(session, kill), session), name="kill")

    def settle(self, session: Session, *, asking: bool) -> bool:
        """Whether an unsettled session may go on; `asking`: it wants to."""
        visit = session.visit
        plan = self._welcome.house.plan
        now = next((one for one in plan.of(Protocol.MYSQL) if one.route_id == visit.plan.route_id), None)
        if self._draining or now is None:
            session.end(_GONE)
            return False
        if self._halts.is_paused(now.route_id):
            if asking:
                self._halts.hold(session, now)
            return False
        renew(visit, now)
        visit.plan = now
        upstream = now.writes
        name = upstream.name if upstream is not None else visit.cluster.upstream.name
        cluster = self._clusters.get(name)
        if cluster is None or not move(session, cluster):
            session.end(_GONE)
            return False
        visit.pools = {str(up.name): self._clusters[up.name] for up, _ in now.backends}
        if visit.reads is not None:
            visit.reads = self._clusters.get(visit.reads.upstream.name)
        session.look_again(longest=_LONGEST)
        session.unsettled = False
        return True

    def left(self, session: Session) -> None:
        """A client is gone."""
        self._newcomers.pop(session, None)
        self._halts.leave(session)
        self._bid_farewell(session)
        self._sessions.pop(session.number, None)

    # the rest is ours

    def _of(self, route: RouteId) -> list[Session]:
        return [
            one
            for one in self._sessions.values()
            if one.visit is not None and one.visit.plan.route_id == route
        ]

    def _changed(self, cluster: Cluster) -> None:
        """Another server is primary."""
        for session in self._sessions.values():
            if session.visit is not None and session.visit.cluster is cluster:
                session.unsettled = True

    def _settle_all(self) -> None:
        """Those who do nothing are settled now, for they may do nothing for long."""
        for session in list(self._sessions.values()):
            if session.unsettled and session.quiet and session.visit is not None and not session.waits:
                self.settle(session, asking=False)

    def _bid_farewell(self, session: Session) -> None:
        visit = session.visit
        if visit is not None:
            visit.guard.leave()
            visit.tally.clients -= 1
        session.visit = None  # type: ignore[assignment]

    async def _greet(self, session: Session) -> None:
        talk = self._welcome.talk(session)
        async with Refusing(session, talk, _LOGIN_SECONDS):
            nonce = new_nonce()
            greeting = await self._welcome.greeting(session, nonce)
            session.transport.write(packet(0, greeting.encode()))
            talk.sequence = 0
            payload = await talk.hear()
            talk.encrypted = session.encrypted
            await self._let_in(session, talk, read_login(payload), nonce)
        self._newcomers.pop(session, None)

    async def _change(self, session: Session, payload: bytes) -> None:
        talk = self._welcome.talk(session)
        async with Refusing(session, talk, _LOGIN_SECONDS):
            talk.sequence = 0
            login = read_change_user(payload, session.login.capabilities)
            login = replace(login, capabilities=session.login.capabilities)
            await self._let_in(session, talk, login, b"")

    async def _let_in(self, session: Session, talk: Talk, login: Login, nonce: bytes) -> None:
        visit = await self._welcome.admit(session, talk, login, nonce)
        session.visit = visit
        if not talk.inbox.clean or session.number not in self._sessions:
            self._bid_farewell(session)
            raise ProtocolFault("bytes came before they were asked for")
        session.begin(replace(login, proof=b"", plugin=""), visit, longest=_LONGEST)
        session.unsettled = self._draining or self._halts.is_paused(visit.plan.route_id)
        session.transport.write(endings.ok(talk.sequence + 1))
        if self._draining:
            self.settle(session, asking=False)


async def _encrypt(session: Session, context: ssl.SSLContext) -> None:
    loop = asyncio.get_running_loop()
    try:
        transport = await loop.start_tls(
            session.transport, session, context, server_side=True, ssl_handshake_timeout=_LOGIN_SECONDS
        )
    except (OSError, ssl.SSLError) as error:
        _log.info("no TLS with a client", reason=str(error))
        transport = None
    if transport is None:
        session.transport.abort()
        session.connection_lost(None)
        return
    session.encrypted = True
    session.connection_made(transport)
