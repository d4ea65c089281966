"""Pool: the links to one database of one server as one user, and the clients that wait for one."""

import asyncio
from collections.abc import Awaitable, Callable

from marchproxy.kit.backoff import Backoff
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.modules.dblb.allotment import Allotment
from marchproxy.modules.dblb.dialler import DialFailed, Dialler
from marchproxy.modules.dblb.inbox import PeerGone
from marchproxy.modules.dblb.line import Line
from marchproxy.modules.dblb.postgres.answers import Heard
from marchproxy.modules.dblb.postgres.link import Link
from marchproxy.modules.dblb.postgres.login import LoginRefused
from marchproxy.modules.dblb.postgres.pool_limits import PoolLimits
from marchproxy.modules.dblb.postgres.recycling import clear
from marchproxy.modules.dblb.postgres.roles import Waiter
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.postgres import encode
from marchproxy.wire.postgres.backend import read_error

_log = get_logger(__name__)
#: Classes of SQLSTATE with which a server refuses a login for good: who we are, or what we want, is wrong.
_FINAL = ("28", "3D")
_FAULTS = (LoginRefused, ProtocolFault, PeerGone)
_RECYCLE_SECONDS = 10.0


#: Opens a link. Raises LoginRefused, ProtocolFault, PeerGone, OSError.
Dial = Callable[["Pool"], Awaitable[Link]]


def _nobody_cares(_failure: DialFailed | None) -> None:
    pass


class Pool:
    """First come, first served. Links are opened as they are wanted, and the one used last is given first."""

    def __init__(
        self,
        name: str,
        dial: Dial,
        limits: PoolLimits,
        group: asyncio.TaskGroup,
        clock: Clock,
        *,
        allotment: Allotment | None = None,
    ) -> None:
        """`allotment`: shared with others; None: `limits.size` is for this pool alone."""
        self.name = name
        self.limits = limits
        self._allotment = allotment or Allotment(limits.size)
        self._allotment.join(self)
        self._dial = dial
        self._age = 0  # links that were dialled before it became higher are retired
        self._group = group
        self._clock = clock
        self._dialler = Dialler(
            name,
            lambda: self._dial(self),
            clock,
            seconds=limits.dial,
            faults=_FAULTS,
            pauses=Backoff(0.05, 2.0),
        )
        self.dialled: Callable[[DialFailed | None], None] = _nobody_cares
        """Called with why a link could not be opened; None: it could."""
        self.reported: dict[str, str] = {}
        """What servers of the pool report of a session that has set nothing."""
        self._idle: list[Link] = []
        self._cancelled: set[Link] = set()
        self._links: set[Link] = set()
        self._waiting: Line[Waiter] = Line(limits.wait, self._late, clock)
        self._dialling = 0
        self._closed = False
        # as of the last sweep: a look at the clock for each query would be too much
        self._now = clock.monotonic()

    @property
    def links(self) -> int:
        """How many links there are."""
        return len(self._links)

    @property
    def taken(self) -> int:
        """How many links there are, or will be."""
        return len(self._links) + self._dialling

    @property
    def idle(self) -> int:
        """How many of them nobody has."""
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """How many clients wait."""
        return len(self._waiting)

    def at_once(self) -> Link | None:
        """A link that is free: where there is one nobody waits, for `release` asks those first."""
        return self._idle.pop() if self._idle else None

    def acquire(self, waiter: Waiter) -> Link | None:
        """A link at once, or later by `waiter.got`, unless `waiter.got_none` comes before."""
        if self._idle and not self._waiting:
            return self._idle.pop()
        self._waiting.join(waiter)
        self.grow()
        return None

    def give_up(self, waiter: Waiter) -> None:
        """It does not wait any more."""
        self._waiting.leave(waiter)

    def dismiss(self) -> list[Waiter]:
        """Those who wait, who wait here no more."""
        return self._waiting.all()

    def evict(self) -> bool:
        """Close a link that is idle, if there is one."""
        if self._idle:
            self._drop(self._idle.pop(0))
            return True
        return False

    def release(self, link: Link) -> None:
        """The client is done with it, and the server is free."""
        link.holder = None
        if link.cancelling:
            self._cancelled.add(link)  # the interruption is meant for the client before
            return
        link.used = self._now
        if link.retiring:
            self._drop(link)
            self._freed()
        elif self._waiting:
            self._waiting.first().got(link)
        else:
            self._idle.append(link)
            if self._allotment.shared:
                self._allotment.freed(self)

    def recycle(self, link: Link, *, reset: bool) -> None:
        """As `release`, after a client that left in the middle; `reset`: it may have left something in the session."""
        link.holder = None
        if reset and (link.retiring or not self.limits.reset):
            self.discard(link, politely=True)
            return
        link.used = self._clock.monotonic()
        link.recycling = encode.query(self.limits.reset) if reset else b""
        self._clear(link)

    def resize(self, limits: PoolLimits) -> None:
        """Go by these limits from now on."""
        self.limits, self._waiting.seconds = limits, limits.wait
        self._allotment.size = limits.size
        for link in self._idle[: max(0, len(self._links) - limits.size)]:
            self._idle.remove(link)
            self._drop(link)
        for link in list(self._links)[limits.size :]:
            link.retiring = True
        self._freed()

    def renew(self, dial: Dial) -> None:
        """Open links in this way from now on; those that there are go as soon as nobody has them."""
        self._dial = dial
        self.retire()

    def retire(self) -> None:
        """Have every link that there is go as soon as nobody has it."""
        self._age += 1
        for link in self._links:
            link.retiring = True
        idle, self._idle = self._idle, []
        for link in idle:
            self._drop(link)
        self._freed()

    def cancel_heard(self, link: Link) -> None:
        """The server has heard that it is to interrupt what it did for a client."""
        if link in self._cancelled:
            self._cancelled.discard(link)
            self.release(link)

    def discard(self, link: Link, *, politely: bool = False) -> None:
        """Nobody may have it any more."""
        link.holder = None
        self._links.discard(link)
        link.end(politely=politely)
        self._freed()

    def sweep(self) -> None:
        """Close what was not used for long. Call it every now and then."""
        now, limits = self._clock.monotonic(), self.limits
        self._now = now
        for link in list(self._links):
            link.retiring = link.retiring or (bool(limits.lifetime) and now - link.born > limits.lifetime)
            if link.recycling is not None and now - link.used > _RECYCLE_SECONDS:
                _log.warning("a session could not be cleared", pool=self.name, seconds=_RECYCLE_SECONDS)
                self.discard(link)
        for link in list(self._idle):
            if link.retiring or (limits.idle and now - link.used > limits.idle):
                self._idle.remove(link)
                self._drop(link)

    def close(self) -> None:
        """Close every link, and send every waiter away."""
        self._closed = True
        for link in list(self._links):
            link.end()
        self._links.clear()
        self._idle.clear()
        self._fail_all("the proxy is stopping")
        self._waiting.close()
        self._allotment.leave(self)

    def idle_link_spoke(self, link: Link, heard: Heard) -> None:
        """Something for nobody: a query of ours has ended, a notice, or the server's last words."""
        if heard.errors:
            words = read_error(heard.errors[0]).message
            _log.info("a server ended an idle session", pool=self.name, words=words)
            self.discard(link)
        elif link.recycling is None:
            if heard.free and link in self._links and link not in self._idle:
                self.release(link)
        elif heard.own_errors:
            self.discard(link, politely=True)
        elif link in self._links and not link.state.flow.owed:
            self._clear(link)

    def idle_link_lost(self, link: Link) -> None:
        """It is gone while nobody had it."""
        self._links.discard(link)
        self._cancelled.discard(link)
        if link in self._idle:
            self._idle.remove(link)
        self._freed()

    def lost(self, link: Link) -> None:
        """It is gone while somebody had it."""
        self._links.discard(link)
        self._freed()

    def _clear(self, link: Link) -> None:
        if clear(link):
            self.release(link)

    def _freed(self) -> None:
        self.grow()
        self._allotment.freed(self)

    def _drop(self, link: Link) -> None:
        self._links.discard(link)
        link.end()

    def grow(self) -> None:
        """Open what is waited for, as far as there is room."""
        for _ in range(len(self._waiting) - self._dialling):
            if not self._allotment.has_room(self, evicting=True):
                return
            self._dialling += 1
            self._group.create_task(self._open(), name=f"dial {self.name}")

    async def _open(self) -> None:
        age = self._age
        try:
            link = await self._dialler.open()
        except DialFailed as failed:
            self._dialling -= 1
            self._failed(failed)
            return
        self._dialling -= 1
        if self._closed:
            link.end()
            return
        link.retiring = age != self._age  # it may have the old password
        self._links.add(link)
        self.reported = dict(link.parameters)
        self.dialled(None)
        self.release(link)

    def _failed(self, failed: DialFailed) -> None:
        self.dialled(failed)
        cause = failed.cause
        final = isinstance(cause, LoginRefused) and cause.fields and cause.fields.code.startswith(_FINAL)
        if final and not self._links:
            self._fail_all(str(failed))
        self._freed()

    def _fail_all(self, reason: str) -> None:
        for waiter in self._waiting.all():
            waiter.got_none(reason)

    def _late(self, waiter: Waiter) -> None:
        failure = self._dialler.failure
        reason = f"; the last attempt to open one failed: {failure}" if failure else ""
        waiter.got_none(f"no session on the server became free within {self.limits.wait:g} s{reason}")
