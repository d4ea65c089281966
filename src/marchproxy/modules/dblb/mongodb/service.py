"""Service: MongoDB in a worker. What all sessions share: the plan, servers, cursors, transactions."""

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count

from marchproxy.model.module import PoolName, Protocol
from marchproxy.model.route import RouteId
from marchproxy.modules.dblb.fleet import Fleet, follow
from marchproxy.modules.dblb.mongodb.allowance import Allowance
from marchproxy.modules.dblb.mongodb.client import Client
from marchproxy.modules.dblb.mongodb.door import Door
from marchproxy.modules.dblb.mongodb.hello import Facts, least
from marchproxy.modules.dblb.mongodb.killing import Killing
from marchproxy.modules.dblb.mongodb.pins import Cursor
from marchproxy.modules.dblb.mongodb.registry import Registry
from marchproxy.modules.dblb.mongodb.servers import Servers
from marchproxy.modules.dblb.mongodb.session import Session
from marchproxy.modules.dblb.mongodb.settings import MongoLimits
from marchproxy.modules.dblb.mongodb.visits import Desk
from marchproxy.modules.dblb.plan import DblbPlan
from marchproxy.modules.dblb.service import ServerReport, Surroundings
from marchproxy.modules.dblb.tally import PoolGauge
from marchproxy.modules.reception.client import Arrival
from marchproxy.wire.mongodb.bson import ObjectId

_USUAL = MongoLimits()


class MongoService:
    """A DatabaseService; the Hall of its sessions."""

    def __init__(self, surroundings: Surroundings, limits: MongoLimits = _USUAL) -> None:
        self.limits = replace(limits, longest=min(limits.longest, surroundings.bounds.message))
        self.upstreams: Fleet[Servers] = Fleet()
        self.proven: dict[str, str] = {}
        self.registry = Registry(self.limits, surroundings, self.kill)
        self.allowance = Allowance(self.limits.held)
        self.identity = ObjectId(secrets.token_bytes(12))
        """What a driver behind a load balancer knows us by (serviceId)."""
        self.numbers: Iterator[int] = count(1)
        self._around = surroundings
        self._paused: set[RouteId] = set()
        self.desk = Desk(surroundings, self.upstreams, self._paused, self.limits)
        self._plan = DblbPlan()
        self._sessions: dict[Client, Session] = {}
        self._draining = False

    # a DatabaseService

    def apply(self, plan: DblbPlan) -> None:
        """See DatabaseService."""
        self._plan = plan
        follow(
            self.upstreams,
            plan.upstreams_of(Protocol.MONGODB),
            lambda upstream: Servers(upstream, self._around, self.proven),
        )
        for session in self._sessions.values():
            session.replan(plan)

    def accept(self, arrival: Arrival) -> asyncio.Protocol:
        """See DatabaseService."""
        door = Door(self._plan, arrival.client.host, arrival.port, arrival.certificate_user)
        session = Session(self, door)
        session.draining = self._draining
        self._sessions[session] = session
        return session

    def sweep(self) -> None:
        """See DatabaseService."""
        self.registry.expire()
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
        """See DatabaseService: of cursors."""
        self.registry.told(message)

    def pause(self, route: RouteId) -> None:
        """See DatabaseService. Cursors and transactions that are open go on."""
        self._paused.add(route)

    def busy(self, route: RouteId) -> int:
        """See DatabaseService."""
        return sum(session.busy_on(route) for session in self._sessions)

    def resume(self, route: RouteId) -> None:
        """See DatabaseService."""
        self._paused.discard(route)
        for servers in self.upstreams.values():
            servers.replicas.changed()

    def drain(self) -> None:
        """See DatabaseService."""
        self._draining = True
        for session in list(self._sessions):
            session.drain()

    def close(self) -> None:
        """See DatabaseService."""
        for session in list(self._sessions):
            session.transport.abort()
        self.upstreams.close()

    # a Hall

    def facts(self) -> Facts:
        """What every server that answers can do."""
        return least(facts for servers in self.upstreams.values() for facts in servers.facts())

    def left(self, client: Client) -> None:
        """A client is gone."""
        self._sessions.pop(client, None)
        self.allowance.leave(client)
        self.registry.left(client.number)

    def kill(self, cursor: Cursor) -> None:
        """Have a cursor closed by the server that has it."""
        servers = self.upstreams.get(PoolName(cursor.pool))
        member = servers.member(cursor.server) if servers is not None else None
        if member is not None and member.facts is not None:  # a server that is gone has lost its cursors
            Killing(member.pool(cursor.user, self._around.group), cursor).start()

    @property
    def sessions(self) -> Iterator[Session]:
        """The clients that are connected."""
        return iter(self._sessions.values())
