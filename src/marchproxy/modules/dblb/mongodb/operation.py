"""Operation: one command of a client on its way: to a server, to a link, and back."""

import asyncio
from typing import Protocol

from marchproxy.model.module import PoolName
from marchproxy.modules.dblb.mongodb.errors import NOT_PRIMARY, Fault, answer
from marchproxy.modules.dblb.mongodb.hello import Role
from marchproxy.modules.dblb.mongodb.link import Link
from marchproxy.modules.dblb.mongodb.member import Member
from marchproxy.modules.dblb.mongodb.pool import Pool
from marchproxy.modules.dblb.mongodb.preference import Mode
from marchproxy.modules.dblb.mongodb.tracking import WITHOUT_CURSOR, Server, Tracking
from marchproxy.modules.dblb.mongodb.visits import Visit
from marchproxy.wire.mongodb import message
from marchproxy.wire.mongodb.command import Command, has_ended, refusal_of

_NOT_OK, _NOT_OK_EITHER = b"\x01ok\0" + bytes(8), b"\x10ok\0" + bytes(4)
_PRIMARY, _SECONDARY = Mode.PRIMARY, Role.SECONDARY
_LONGEST_REFUSAL = 16 * 1024
#: How often a command is sent to another server after one that turned out to be no primary.
_TRIES = 2


class Client(Protocol):
    """Whose command it is."""

    def hear(self, data: bytes, *, last: bool) -> None:
        """An answer; `last`: the operation has ended. No bytes: it has no answer."""
        ...

    def broken(self) -> None:
        """The operation ended in the middle of its answers."""
        ...


class Operation:
    """`member` is set where the command must go to one server."""

    __slots__ = (
        "_alarm",
        "_barrier",
        "_began",
        "_client",
        "_command",
        "_data",
        "_heard",
        "_link",
        "_member",
        "_mode",
        "_pinned",
        "_pool",
        "_reason",
        "_servers",
        "_tracking",
        "_tries",
        "_waits_at",
        "_waits_since",
        "visit",
    )

    def __init__(
        self, visit: Visit, client: Client, command: Command, data: bytes, tracking: Tracking
    ) -> None:
        self.visit = visit
        self._client: Client | None = client
        self._command = command
        self._data = data
        self._tracking = tracking
        self._member: Member | None = None
        self._mode = _PRIMARY
        self._pinned = tracking.pins(command)
        self._servers = (
            visit.desk.upstreams.get(PoolName(tracking.pool), visit.servers)
            if self._pinned
            else visit.servers
        )
        self._pool: Pool | None = None
        self._began = self._now()
        self._waits_since = 0.0
        self._link: Link | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._barrier = False
        self._heard = False
        self._tries = _TRIES
        self._reason = ""
        self._waits_at: Member | None = None

    @property
    def link(self) -> Link | None:
        """The link that it has now."""
        return self._link

    def start(self, mode: Mode) -> None:
        """Send it off."""
        self._mode = mode
        self.try_again()

    def leave(self) -> None:
        """The client is gone. What a server does already is waited for, for a while, so that its cursor can be closed."""
        self._client = None
        if self._link is None:
            self._stop_waiting()
        elif self._heard:
            self._discard()
        else:
            self._alarm = asyncio.get_running_loop().call_later(self.visit.desk.limits.orphan, self._discard)

    # what replicas and pools call

    def try_again(self) -> None:
        """Look for a server, then for a link to it."""
        pinned = self._tracking.server(self._command) if self._pinned else None
        if pinned is not None:
            member = self._servers.member(pinned)
        elif self.visit.paused:
            self._park("its servers are paused")
            return
        else:
            together = self._command.session if self._command.transaction is not None else b""
            member = self._servers.replicas.choose(self._mode, together)
        if member is None or (pinned is not None and member.facts is None):
            self._park(
                f"no server that answers is {self._mode.value!r}"
                if pinned is None
                else f"{pinned}, which has the cursor or transaction, does not answer"
            )
            return
        self._member = member
        self._pool = member.pool(self._tracking.user, self.visit.desk.around.group)
        link = self._pool.acquire(self)
        if link is not None:
            self.got(link)
        else:
            self._waits_at = member
            self._wait()

    def got(self, link: Link) -> None:
        """A link: off it goes."""
        if self._alarm is not None:
            self._stop_alarm()
        self._waits_at = None
        self._link = link
        self._count_start()
        if self._pinned:
            self._tracking.sent(self._command, self._at().name)
        if self._command.flags & message.MORE_TO_COME:
            # no answer is due; an own question behind it tells when the server is done with it
            self._barrier = True
            link.send(self._data, None)
            link.ask({"ping": 1, "$db": "admin"}, self)
        else:
            link.send(self._data, self)

    def got_none(self, reason: str, *, final: bool) -> None:
        """No link, and nothing was sent: another server may do."""
        self._waits_at = None
        self._reason = reason
        if final:
            self._fail(Fault.HOST_UNREACHABLE, f"no connection to the server: {reason}")
        else:
            self._park(reason)

    # what a link calls

    def answered(self, link: Link, data: bytes, *, more: bool) -> None:
        """The server has answered."""
        if self._barrier:
            data = b""
        elif (code := _refusal(data)) is not None:
            if self._refused(link, code):
                return
        elif self._pinned or not (self._command.name in WITHOUT_CURSOR or has_ended(data)):
            kept = self._client is not None
            server = Server(self._at().name, self._servers.upstream.name)
            data = self._tracking.answered(self._command, data, server, kept=kept)
        if more and self._client is None:
            self._discard()
            return
        self._heard = True
        if not more:
            self.visit.tally.query_seconds.add(self._now() - self._began)
            self._let_go(link)
        if self._client is not None:
            self._client.hear(data, last=not more)

    def link_lost(self, link: Link, reason: str) -> None:
        """Nobody knows what became of it."""
        self._link = None
        self._stop_alarm()
        self._home().lost(link)
        self._tracking.lost(self._command)
        if self._heard and self._client is not None:
            self._client.broken()
        else:
            self._fail(Fault.HOST_UNREACHABLE, f"the server is gone: {reason}")

    # the rest is ours

    def _refused(self, link: Link, code: int) -> bool:
        """What follows from a refusal; whether it is tried again, of which the client hears nothing."""
        self._tracking.refused(self._command, code)
        self.visit.tally.errors += 1
        if code not in NOT_PRIMARY:
            return False
        self._at().suspect()
        if self._tries <= 0 or self._heard or self._client is None or not _repeatable(self._command):
            return False
        self._tries -= 1
        self.visit.tally.retried += 1
        self._let_go(link)
        self.try_again()
        return True

    def _let_go(self, link: Link) -> None:
        self._stop_alarm()
        self._link = None
        self._home().release(link)

    def _at(self) -> Member:
        assert self._member is not None
        return self._member

    def _home(self) -> Pool:
        assert self._pool is not None
        return self._pool

    def _now(self) -> float:
        return self.visit.desk.around.clock.monotonic()

    def _count_start(self) -> None:
        tally = self.visit.tally
        if self._waits_since:
            tally.wait_seconds.add(self._now() - self._waits_since)
            self._waits_since = 0.0
        tally.queries += 1
        facts = self._at().facts
        tally.to_replicas += facts is not None and facts.role is _SECONDARY

    def _park(self, reason: str) -> None:
        self._reason = reason
        self._wait()
        self._servers.replicas.park(self)

    def _wait(self) -> None:
        """Begin to count, unless that was begun before."""
        self._waits_since = self._waits_since or self._now()
        if self._alarm is None:
            wait = self._servers.limits().wait
            self._alarm = asyncio.get_running_loop().call_later(wait, self._late)

    def _late(self) -> None:
        self._stop_waiting()
        wait = self._servers.limits().wait
        words = f"no connection to a server became free within {wait:g} s"
        if self._waits_at is None and self._reason:
            words += f": {self._reason}"
        self._fail(Fault.NO_SERVER, words)

    def _stop_waiting(self) -> None:
        self._stop_alarm()
        self._servers.replicas.unpark(self)
        if self._waits_at is not None:
            self._home().give_up(self)

    def _stop_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _discard(self) -> None:
        link, self._link = self._link, None
        self._stop_alarm()
        if link is not None:
            self._home().discard(link)

    def _fail(self, fault: Fault, words: str) -> None:
        self._stop_alarm()
        self.visit.tally.errors += 1
        if self._client is not None:
            silent = self._command.flags & message.MORE_TO_COME
            self._client.hear(b"" if silent else answer(self._command, fault, words), last=True)


def _refusal(data: bytes) -> int | None:
    """The code of a refusal; None of anything else. The fields of an answer are looked at only where it may be one."""
    if len(data) > _LONGEST_REFUSAL or (_NOT_OK not in data and _NOT_OK_EITHER not in data):
        return None
    return refusal_of(data)


def _repeatable(command: Command) -> bool:
    """Whether it does no harm to carry it out twice: a read, or a write that servers know by its number."""
    if b"autocommit" in command.places:
        return False
    return b"txnNumber" in command.places or command.name in {"find", "count", "distinct"}
