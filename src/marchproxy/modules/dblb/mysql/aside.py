"""Aside: the reads of one session that a replica answers, over a link beside the session's own."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from marchproxy.modules.dblb.inbox import PeerGone
from marchproxy.modules.dblb.mysql.asking import ask, prepare
from marchproxy.modules.dblb.mysql.catalogue import Copy, Statement, execute_for
from marchproxy.modules.dblb.mysql.cluster import Cluster
from marchproxy.modules.dblb.mysql.guarded import guarded
from marchproxy.modules.dblb.mysql.link import Link
from marchproxy.modules.dblb.mysql.member import Member
from marchproxy.modules.dblb.mysql.memory import Memory
from marchproxy.modules.dblb.mysql.sight import is_mariadb
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mysql.numbers import Command
from marchproxy.wire.mysql.packets import HEAD, packet
from marchproxy.wire.mysql.results import Refused, Row

if TYPE_CHECKING:
    from marchproxy.modules.dblb.mysql.session import Session

#: Seconds for all that goes before a read, beside the wait for the client's own writes.
_SETTLING = 1.0
_EVERY = 0.005
_FAULTS = (Refused, ProtocolFault, PeerGone, OSError, TimeoutError)
#: With these the replica was told to stop, or had too little time: what the primary would be told as well.
_STOPPED = frozenset({1317, 1969, 3024})
_ERR = 0xFF


class Aside:
    """While it is asked something, the session is occupied. What a replica refuses, the primary is asked."""

    def __init__(self, session: "Session", memory: Memory, cluster: Cluster) -> None:
        self._session = session
        self._memory = memory
        self._max_lag = cluster.upstream.options.max_lag
        self._cluster = cluster
        self._reached = ""
        self._copies: dict[int, Copy] = {}
        self._asked: tuple[bytes, int] = (b"", 0)
        self._heard = b""
        self._passed = False
        self._task: asyncio.Task[None] | None = None
        self._member: Member | None = None
        self.link: Link | None = None
        self.was_last = False
        """Whether the client's last statement was answered here."""

    def ask(self, data: bytes, pool: str = "") -> bool:
        """Ask a replica what the client asks, of this pool if the route has it; False: none can be asked now."""
        self._turn_to(pool)
        return self._ask(data, None)

    def execute(self, data: bytes, statement: Statement) -> bool:
        """The same for a statement that is prepared."""
        self._turn_to("")
        return self._ask(data, statement)

    def close_statement(self, statement: Statement) -> None:
        """The client closes a statement."""
        copy = self._copies.pop(statement.own.number, None)
        if copy is not None and self.link is not None:
            self.link.flow.sent(Command.STMT_CLOSE)
            self.link.send(packet(0, b"\x19" + copy.number.to_bytes(4, "little")))

    def rest(self, before: float) -> None:
        """Give the link back that was not used since."""
        if self.link is not None and not self._session.occupied and self.link.used < before:
            self.drop()

    def drop(self) -> None:
        """Give the link back."""
        link, self.link, self._member = self.link, None, None
        self._reached, self.was_last = "", False
        self._copies.clear()
        if link is not None:
            link.transport.resume_reading()
            link.owner.release(link)

    def leave(self) -> None:
        """The client is gone."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._session.occupied = False
        self.drop()

    # what the link calls

    def heard(self, link: Link, data: bytes) -> None:
        """The replica answers. An error is held back, because the primary may know better."""
        if not self._passed:
            self._heard += data
            data = self._heard
            if len(data) <= HEAD or (data[HEAD] == _ERR and link.flow.owed):
                return
            self._heard = b""
            if data[HEAD] == _ERR and int.from_bytes(data[5:7], "little") not in _STOPPED:
                self._went(well=True)
                self._retry()
                return
            self._passed = True
        session = self._session
        session.transport.write(data)
        if not link.flow.owed:
            self._went(well=True)
            session.pace.end(link.flow)
            session.occupied = False
            session.go_on()

    def link_lost(self, link: Link, reason: str) -> None:  # noqa: ARG002 - the primary is asked instead
        """The replica is gone."""
        self.link = None
        self._reached = ""
        self._copies.clear()
        link.owner.died(link)
        self._went(well=False)
        if self._task is not None or not link.flow.owed:
            return  # whoever is at it hears of it, or nobody asked for anything
        if self._passed:
            self._session.occupied = False
            self._session.end()
        else:
            self._heard = b""
            self._retry()

    def stalled(self, link: Link) -> None:
        """The replica does not answer whoever looks at it. If it has said nothing yet, the primary is asked."""
        if not self._passed or self._task is not None:
            link.transport.abort()

    def pause(self) -> None:
        """The replica is slow; the client waits for it anyhow."""

    def resume(self) -> None:
        """See pause."""

    # the rest is ours

    def _ask(self, data: bytes, statement: Statement | None) -> bool:
        if not self._find():
            return False
        link, memory, session = self.link, self._memory, self._session
        assert link is not None
        self._asked = (data, data[HEAD])
        session.occupied = True
        copy = self._copies.get(statement.own.number) if statement is not None else None
        known = statement is None or copy is not None
        if known and not memory.wrote and memory.position == self._reached and link.told == memory.version:
            self._send(link, data if copy is None else _executed(statement, data, copy))
        else:
            work = self._settle_and_send(link, data, statement)
            self._task = session.visit.around.group.create_task(guarded(work, session), name="settle")
        return True

    def _turn_to(self, pool: str) -> None:
        visit = self._session.visit
        cluster = visit.pools.get(pool) or visit.reads
        if cluster is not None and cluster is not self._cluster:
            self.drop()
            self._cluster, self._max_lag = cluster, cluster.upstream.options.max_lag

    def _find(self) -> bool:
        """Whether there is a link to a replica that may answer."""
        link = self.link
        if self._member is not None and not self._member.is_recent(self._max_lag):
            self.drop()
            link = None
        if link is None:
            member = self._cluster.replica()
            link = self.link = (
                member.pool(self._session.visit.credentials).spare() if member is not None else None
            )
            if link is None:
                return False
            self._member, link.holder = member, self
        return not link.flow.in_transaction and not link.transport.is_closing()

    def _send(self, link: Link, words: bytes) -> None:
        session = self._session
        self._passed, self._heard, self.was_last = False, b"", True
        link.used = session.visit.around.clock.monotonic()
        link.flow.sent(words[HEAD])
        link.send(words)
        session.visit.tally.to_replicas += 1
        session.pace.begin()

    def _went(self, *, well: bool) -> None:
        if self._member is not None and well:
            self._member.answered()
        elif self._member is not None:
            self._cluster.failed(self._member)

    def _retry(self) -> None:
        """The session's own link is asked instead."""
        session = self._session
        session.occupied = self.was_last = False
        session.visit.tally.retried += 1
        session.pace.drop()
        session.forward(*self._asked)
        session.go_on()

    async def _settle_and_send(self, link: Link, data: bytes, statement: Statement | None) -> None:
        settled, words = False, data
        try:
            async with asyncio.timeout(_SETTLING + self._session.visit.plan.options.catch_up):
                settled = await self._settle(link)
                if settled and statement is not None:
                    words = await self._prepared(link, data, statement)
        except _FAULTS:
            settled = False
            if self.link is link:
                self.drop()
        self._task = None
        if settled and self.link is link:
            self._send(link, words)
            return
        self._session.occupied = self.was_last = False
        self._session.forward(*self._asked)
        self._session.go_on()

    async def _settle(self, link: Link) -> bool:
        """Make the link's session like the client's, and its server as new as the client's last write."""
        memory = self._memory
        if memory.wrote and not await self._ask_position():
            return False
        for text in list(memory.since(link.told)):
            await ask(link, text)
        link.told = memory.version
        if memory.position != self._reached:
            if not await self._reaches(link, memory.position):
                return False
            self._reached = memory.position
        return True

    async def _ask_position(self) -> bool:
        memory, own = self._memory, self._session.link
        if own is None or own.greeting is None:
            return False
        if not is_mariadb(own.greeting.version):
            name = b"@@global.gtid_executed"
        else:
            name = b"@@global.gtid_current_pos" if memory.moved else b"@@last_gtid"
        position = _only(await ask(own, b"SELECT " + name))
        memory.wrote = memory.moved = False
        memory.position = position.decode() or memory.position
        return True

    async def _reaches(self, link: Link, position: str) -> bool:
        """Whether the replica has the client's writes, or gets them in time."""
        seconds, text = self._session.visit.plan.options.catch_up, position.encode()
        assert link.greeting is not None
        if is_mariadb(link.greeting.version):
            return _only(await ask(link, b"SELECT MASTER_GTID_WAIT('%s', %.3f)" % (text, seconds))) == b"0"
        clock = self._session.visit.around.clock
        end = clock.monotonic() + seconds
        while _only(await ask(link, b"SELECT GTID_SUBSET('%s', @@global.gtid_executed)" % text)) != b"1":
            if clock.monotonic() >= end:
                return False
            await clock.sleep(_EVERY)
        return True

    async def _prepared(self, link: Link, data: bytes, statement: Statement) -> bytes:
        copy = self._copies.get(statement.own.number)
        if copy is None:
            copy = self._copies[statement.own.number] = Copy(await prepare(link, statement.text))
        return _executed(statement, data, copy)


def _executed(statement: Statement | None, data: bytes, copy: Copy) -> bytes:
    assert statement is not None
    return packet(0, execute_for(statement, data[HEAD:], copy))


def _only(rows: Sequence[Row]) -> bytes:
    """The one value of an answer; NULL is as good as nothing."""
    return next(iter(rows[0].values())) or b"" if rows else b""
