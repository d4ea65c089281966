"""Killing: a client stops a session, its own or another of its user, in this worker or in another."""

import asyncio
from collections.abc import Mapping

from marchproxy.kit.logs import get_logger
from marchproxy.modules.dblb.inbox import PeerGone
from marchproxy.modules.dblb.mysql.asking import ask
from marchproxy.modules.dblb.mysql.dialling import NOBODY, dial
from marchproxy.modules.dblb.mysql.kill import Kill, decode, worker_of
from marchproxy.modules.dblb.mysql.link import Link
from marchproxy.modules.dblb.mysql.login import LoginRefused
from marchproxy.modules.dblb.mysql.session import Session
from marchproxy.modules.dblb.service import Surroundings
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mysql import endings
from marchproxy.wire.mysql.endings import Refusal
from marchproxy.wire.mysql.results import Refused

_log = get_logger(__name__)
_SECONDS = 5.0
_FAULTS = (LoginRefused, ProtocolFault, PeerGone, Refused, OSError, TimeoutError)


class Killing:
    """Among the sessions of a worker."""

    def __init__(self, around: Surroundings, sessions: Mapping[int, Session]) -> None:
        self._around = around
        self._sessions = sessions

    async def kill(self, killer: Session, kill: Kill) -> None:
        """Stop a session, and tell the client who wanted that what came of it."""
        user, worker = killer.login.user, worker_of(kill.number)
        if worker != self._around.worker and worker < self._around.workers:
            await self._around.elsewhere(worker, kill.encode(user))
            refusal = None
        else:
            refusal = await self._kill(kill, user)
        killer.occupied = False
        if killer.transport.is_closing():
            return
        if refusal is None:
            killer.transport.write(endings.ok(1))
        else:
            killer.refuse(refusal)
        killer.go_on()

    async def told(self, message: bytes) -> None:
        """The same for a client of another worker, who is told nothing."""
        try:
            kill, user = decode(message)
        except ValueError as error:
            _log.warning("not understood", reason=str(error))
            return
        await self._kill(kill, user)

    async def _kill(self, kill: Kill, user: str) -> Refusal | None:
        other = self._sessions.get(kill.number)
        if other is None:
            return Refusal(1094, "HY000", f"Unknown thread id: {kill.number}")
        if other.login.user != user:
            return Refusal(1095, "HY000", f"You are not owner of thread {kill.number}")
        links = list(other.orders.links()) if other.visit is not None else []
        for link in links:
            if link.flow.owed:
                await self._tell(other, link, kill)
        if not kill.query_only:
            other.end()
        return None

    async def _tell(self, other: Session, link: Link, kill: Kill) -> None:
        """Over a connection of its own, because this one is busy."""
        visit, greeting = other.visit, link.greeting
        member = visit.cluster.members.get(link.address) or (visit.reads or visit.cluster).members.get(
            link.address
        )
        if member is None or greeting is None:
            return
        try:
            async with asyncio.timeout(_SECONDS):
                now = self._around.clock.monotonic()
                other_link = await dial(NOBODY, member.server, visit.credentials, now=now)
                try:
                    await ask(other_link, kill.statement(greeting.thread))
                finally:
                    other_link.end()
        except _FAULTS as error:
            _log.info("a session could not be stopped", reason=str(error))
