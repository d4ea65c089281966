"""Service: MongoDB's port. What all sessions share: servers, pools, cursors, transactions."""

import asyncio
import secrets
from collections.abc import Iterable
from itertools import count

from marchproxy.kit.clock import Clock
from marchproxy.kit.settings import HostPort
from marchproxy.modules.dblb.mongodb.hello import Facts, least
from marchproxy.modules.dblb.mongodb.link import Link
from marchproxy.modules.dblb.mongodb.member import Member
from marchproxy.modules.dblb.mongodb.pins import Cursor, Cursors, Transactions
from marchproxy.modules.dblb.mongodb.pool import Pool
from marchproxy.modules.dblb.mongodb.replicas import Replicas
from marchproxy.modules.dblb.mongodb.settings import Gate, MongoLimits, MongoSettings, OpenGate
from marchproxy.wire.mongodb.bson import Int64, ObjectId

_SWEEP_SECONDS = 5.0


class Service:
    """Run `run` as long as it is used; `gate` decides what is carried out."""

    def __init__(
        self, settings: MongoSettings, group: asyncio.TaskGroup, clock: Clock, gate: Gate | None = None
    ) -> None:
        if "" not in settings.routes:
            raise ValueError('routes: the servers of every other database are missing; add them under ""')
        self.settings = settings
        self.gate: Gate = gate or OpenGate()
        self.cursors = Cursors(most=settings.limits.cursors)
        self.transactions = Transactions(most=settings.limits.transactions)
        self.identity = ObjectId(secrets.token_bytes(12))
        """What a driver behind a load balancer knows us by (serviceId)."""
        self.numbers = count(1)
        self._group = group
        self._clock = clock
        self._members: dict[str, Member] = {}
        self._routes = {
            database: Replicas([self._member(address) for address in servers])
            for database, servers in settings.routes.items()
        }

    @property
    def limits(self) -> MongoLimits:
        """How long and how large things may be."""
        return self.settings.limits

    @property
    def members(self) -> tuple[Member, ...]:
        """All servers."""
        return tuple(self._members.values())

    async def run(self) -> None:
        """Watch the servers, and forget what is old, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for member in self._members.values():
                group.create_task(member.watch(self._changed), name=f"watch {member.name}")
            group.create_task(self._sweep(), name="sweep")

    def close(self) -> None:
        """Close every connection to a server."""
        for member in self._members.values():
            for pool in member.pools.values():
                pool.close()

    def facts(self) -> Facts:
        """What every server that answers can do."""
        return least(member.facts for member in self._members.values() if member.facts is not None)

    def replicas(self, database: str) -> Replicas:
        """The servers of a database."""
        return self._routes.get(database) or self._routes[""]

    def member(self, name: str) -> Member:
        """The server of that name, which is one of ours."""
        return self._members[name]

    def pool(self, member: Member, user: str) -> Pool:
        """The links of a user to a server."""
        return member.pool(user, self._group)

    def opened(self, cursor: Cursor, holder: int) -> int:
        """Our number of a new cursor."""
        number, forgotten = self.cursors.open(cursor, holder, self._clock.monotonic())
        if forgotten is not None:
            self.kill((forgotten,))
        return number

    def used(self, number: int, user: str, holder: int) -> Cursor | None:
        """The cursor of one of our numbers, which this connection uses now."""
        return self.cursors.use(number, user, holder, self._clock.monotonic())

    def left(self, holder: int) -> None:
        """A connection has ended; its cursors are closed unless another one asks for them soon."""
        numbers = self.cursors.left(holder)
        if numbers:
            asyncio.get_running_loop().call_later(
                self.limits.orphan, lambda: self.kill(self.cursors.orphans(numbers, holder))
            )

    def kill(self, cursors: Iterable[Cursor]) -> None:
        """Have cursors closed by the servers that have them."""
        for cursor in cursors:
            member = self._members[cursor.server]
            if member.facts is not None:  # a server that is gone has lost its cursors
                _Killing(self.pool(member, cursor.user), cursor).start()

    def _member(self, address: HostPort) -> Member:
        member = Member(address, self.settings.passwords, self.limits, self._clock)
        return self._members.setdefault(member.name, member)

    def _changed(self) -> None:
        for replicas in self._routes.values():
            replicas.changed()

    async def _sweep(self) -> None:
        while True:
            await self._clock.sleep(_SWEEP_SECONDS)
            self.kill(self.cursors.expire(self._clock.monotonic() - self.limits.cursor))
            for member in self._members.values():
                for pool in member.pools.values():
                    pool.sweep()


class _Killing:
    """Closes a cursor on a server; the server closes it by itself when this fails."""

    def __init__(self, pool: Pool, cursor: Cursor) -> None:
        self._pool = pool
        self._cursor = cursor

    def start(self) -> None:
        link = self._pool.acquire(self)
        if link is not None:
            self.got(link)

    def got(self, link: Link) -> None:
        cursor = self._cursor
        numbers = (Int64(cursor.number),)
        link.ask({"killCursors": cursor.collection, "cursors": numbers, "$db": cursor.database}, self)

    def got_none(self, reason: str, *, final: bool) -> None:
        pass

    def answered(self, link: Link, _answer: bytes, *, more: bool) -> None:
        if not more:
            self._pool.release(link)

    def link_lost(self, link: Link, _reason: str) -> None:
        self._pool.lost(link)
