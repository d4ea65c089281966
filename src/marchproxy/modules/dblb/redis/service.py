"""Service: Redis in a worker. Knows the plan and the clients, and gives each client the servers that its route has."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count

from marchproxy.model.module import Protocol as Spoken
from marchproxy.model.route import RouteId
from marchproxy.modules.dblb.fleet import Fleet, follow
from marchproxy.modules.dblb.line import Line
from marchproxy.modules.dblb.plan import DblbPlan
from marchproxy.modules.dblb.redis.desk import Desk, leave
from marchproxy.modules.dblb.redis.door import DEFAULT, Door
from marchproxy.modules.dblb.redis.envoy_plan import with_sockets
from marchproxy.modules.dblb.redis.local import Identity, answer
from marchproxy.modules.dblb.redis.pool import Pool
from marchproxy.modules.dblb.redis.servers import Servers
from marchproxy.modules.dblb.redis.session import Session
from marchproxy.modules.dblb.redis.sharing import Sharing
from marchproxy.modules.dblb.service import MOST_NEWCOMERS, ServerReport, Surroundings
from marchproxy.modules.dblb.tally import PoolGauge
from marchproxy.modules.reception.client import Arrival
from marchproxy.wire.redis.values import error

_LONGEST = 16 * 1024  # of a command that may share a connection
_UNSENT = 32 * 1024 * 1024
_NO_RESP3 = error("NOPROTO Envoy serves this route, and speaks RESP2")
_LOGIN_SECONDS = 15.0
_PAUSE_SECONDS = 10.0  # as a pool's `wait` is by default


class RedisService:
    """A DatabaseService; a Reception of its sessions."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.now = surroundings.clock.monotonic
        self.plan = DblbPlan()
        self.upstreams: Fleet[Servers] = Fleet()
        self._around = surroundings
        self._sessions: dict[Session, Door] = {}
        self._proven: dict[str, str] = {}
        self._paused: set[RouteId] = set()
        self._numbers = count(1)
        self._waiting: Line[Sharing] = Line(_PAUSE_SECONDS, _too_late, surroundings.clock)
        self._desk = Desk(surroundings, self.upstreams, self._paused)
        self._draining = False
        self._deadlines: dict[Session, asyncio.TimerHandle] = {}

    @property
    def sessions(self) -> frozenset[Session]:
        """The clients that are connected."""
        return frozenset(self._sessions)

    async def ready(self) -> None:
        """Return when all servers were looked at once."""
        for servers in list(self.upstreams.values()):
            await servers.ready()

    # a DatabaseService

    def apply(self, plan: DblbPlan) -> None:
        """See DatabaseService."""
        self.plan = with_sockets(plan, self._around.folder)
        follow(
            self.upstreams,
            self.plan.upstreams_of(Spoken.REDIS),
            lambda upstream: Servers(upstream, self._around, self._proven, self._wake),
        )
        for session, door in list(self._sessions.items()):
            self._sessions[session] = Door(self.plan, door.address, door.port, door.certificate_user)
            self._desk.settle_again(session, self._sessions[session])
        self._wake()

    def accept(self, arrival: Arrival) -> asyncio.Protocol:
        """See DatabaseService."""
        door = Door(self.plan, arrival.client.host, arrival.port, arrival.certificate_user)
        identity = door.newcomer(next(self._numbers))
        session = Session(self, identity, longest=_LONGEST, unsent=_UNSENT)
        self._sessions[session] = door
        session.draining = self._draining
        return session

    def arrived(self, session: Session) -> None:
        """See Reception."""
        if session.identity.user is None:
            loop = asyncio.get_running_loop()
            if len(self._deadlines) >= MOST_NEWCOMERS:
                oldest = next(iter(self._deadlines))
                self._deadlines.pop(oldest).cancel()
                oldest.end("ERR too many clients are logging in")
            self._deadlines[session] = loop.call_later(_LOGIN_SECONDS, self._nobody, session)
        elif fault := self._desk.settle(session, self._sessions[session]):
            session.end(fault)

    def sweep(self) -> None:
        """See DatabaseService."""
        self.upstreams.sweep()

    def clients(self) -> int:
        """See DatabaseService."""
        return len(self._sessions)

    def gauges(self) -> Sequence[PoolGauge]:
        """See DatabaseService."""
        return self.upstreams.gauges()

    def servers(self) -> Sequence[ServerReport]:
        """See DatabaseService."""
        return self.upstreams.reports()

    async def check(self) -> Sequence[ServerReport]:
        """See DatabaseService."""
        return await self.upstreams.check()

    async def told(self, message: bytes) -> None:
        """See DatabaseService: no worker has anything to say to another about Redis."""

    def pause(self, route: RouteId) -> None:
        """See DatabaseService."""
        self._paused.add(route)
        for session in self._on(route):
            session.held = True

    def busy(self, route: RouteId) -> int:
        """See DatabaseService. Who only listens is not counted."""
        return sum(session.busy for session in self._on(route))

    def resume(self, route: RouteId) -> None:
        """See DatabaseService."""
        self._paused.discard(route)
        for session in self._on(route):
            session.held = False
        self._wake()

    def drain(self) -> None:
        """See DatabaseService. Who listens is interrupted only by `close`."""
        self._draining = True
        for session in list(self._sessions):
            session.draining = True
            if session.idle:
                session.end()

    def close(self) -> None:
        """See DatabaseService."""
        self._waiting.close()
        for session in list(self._sessions):
            session.end()
        self.upstreams.close()

    # what sessions call

    def local(self, session: Session, words: Sequence[bytes]) -> bytes | None:
        """See Reception."""
        before, door = session.identity, self._sessions[session]
        found = answer(before, words, door)
        if found is None:
            return None
        session.identity, reply = found
        after = session.identity
        self._remember(before, after, words)
        if after.user is not None and (timer := self._deadlines.pop(session, None)) is not None:
            timer.cancel()
        if _standing(before) != _standing(after):
            fault = self._desk.settle(session, self._sessions[session])
            if fault:
                session.end(fault)
                return b""
        if after.version == 3 and session.visit is not None and session.visit.servers.is_envoy:
            session.identity = replace(after, version=2)
            return _NO_RESP3
        return reply

    def pool(self, session: Sharing, *, replica: bool) -> Pool | None:
        """See Reception."""
        visit, one = session.visit, session.identity
        if visit is None:
            return None
        servers = visit.servers
        address = servers.reader(session.wrote_at) if replica else servers.writer()
        if address is None:
            return None
        name = visit.route.options.rename
        return servers.pool(
            address, one.user or DEFAULT, int(name) if name.isdigit() else one.database, one.version
        )

    def wait(self, session: Sharing) -> None:
        """See Reception."""
        if self.now() - session.waits_since < _PAUSE_SECONDS:
            self._waiting.join(session)
        else:  # it was woken for nothing again and again
            asyncio.get_running_loop().call_soon(_too_late, session)

    def left(self, session: Session) -> None:
        """See Reception."""
        self._waiting.leave(session)
        self._sessions.pop(session, None)
        if (timer := self._deadlines.pop(session, None)) is not None:
            timer.cancel()
        leave(session)

    # the rest is ours

    def _on(self, route: RouteId) -> Iterator[Session]:
        for session in self._sessions:
            if session.visit is not None and session.visit.route.route_id == route:
                yield session

    def _wake(self) -> None:
        """Something has changed: who waits for servers looks again."""
        for session in self._waiting.all():
            session.got(None)

    def _nobody(self, session: Session) -> None:
        self._deadlines.pop(session, None)
        session.end(f"NOAUTH nobody logged in within {_LOGIN_SECONDS:g} s")

    def _remember(self, before: Identity, after: Identity, said: Sequence[bytes]) -> None:
        """Servers may want the password that a client has just shown."""
        if (
            after.user is None
            or not after.proofs
            or (after.user, after.proofs) == (before.user, before.proofs)
        ):
            return
        upper = [word.upper() for word in said]
        at = upper.index(b"AUTH") if b"AUTH" in upper else -1
        if at == 0:
            self._proven[after.user] = said[-1].decode(errors="replace")
        elif at > 0:
            self._proven[after.user] = said[at + 2].decode(errors="replace")


def _standing(one: Identity) -> tuple[object, ...]:
    """What decides about its route."""
    return one.user, one.database, one.proofs, one.name


def _too_late(session: Sharing) -> None:
    session.got_none(f"its servers are paused, or none of them could be used, for {_PAUSE_SECONDS:g} s")
