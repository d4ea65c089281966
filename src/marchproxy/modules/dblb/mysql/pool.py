"""Pool: the links to one server that begin alike, and the clients that wait for one."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from marchproxy.kit.backoff import Backoff
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.modules.dblb.allotment import Allotment
from marchproxy.modules.dblb.dialler import DialFailed, Dialler
from marchproxy.modules.dblb.inbox import PeerGone
from marchproxy.modules.dblb.line import Line
from marchproxy.modules.dblb.mysql.link import Link
from marchproxy.modules.dblb.mysql.login import LoginRefused
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mysql.endings import Refusal

_log = get_logger(__name__)
#: With these a server refuses for good: who we are, or what we want, is wrong (1044, 1045, 1049, 1698).
_FINAL = frozenset({1044, 1045, 1049, 1698})
TOO_MANY, NO_SERVER = 1040, 2003
_FAULTS = (LoginRefused, ProtocolFault, PeerGone)


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many links there may be, and how long each thing may take, in seconds; `lifetime` and `idle` 0: for ever."""

    size: int = 100
    wait: float = 10.0
    idle: float = 600.0
    lifetime: float = 3600.0
    dial: float = 5.0


class Waiter(Protocol):
    """A client that wants a link."""

    def got(self, link: Link) -> None:
        """Here it is."""
        ...

    def got_none(self, refusal: Refusal) -> None:
        """There will be none."""
        ...

    def again(self) -> None:
        """It must ask again, because the server it waited for is not the right one any more."""
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """What is done to links. Both raise LoginRefused, ProtocolFault, PeerGone, OSError."""

    dial: Callable[["Pool"], Awaitable[Link]]
    renew: Callable[[Link], Awaitable[None]]


class Pool:
    """First come, first served. Links are opened as they are wanted, and the one used last is given first."""

    def __init__(
        self,
        name: str,
        work: Work,
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
        self._renewing = work.renew
        self._group = group
        self._clock = clock
        self._dialler = Dialler(
            name,
            lambda: work.dial(self),
            clock,
            seconds=limits.dial,
            faults=_FAULTS,
            pauses=Backoff(0.05, 2.0),
        )
        self._idle: list[Link] = []
        self._links: set[Link] = set()
        self._waiting: Line[Waiter] = Line(limits.wait, self._late, clock)
        self._dialling = 0
        self._closed = False

    @property
    def failure(self) -> str:
        """Why the last attempt to open a link failed; empty when it did not."""
        return self._dialler.failure

    @property
    def links(self) -> int:
        """How many links there are."""
        return len(self._links)

    @property
    def idle(self) -> int:
        """How many of them nobody has."""
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """How many clients wait."""
        return len(self._waiting)

    @property
    def taken(self) -> int:
        """How many links there are, or will be."""
        return len(self._links) + self._dialling

    def evict(self) -> bool:
        """Close a link that is idle, if there is one."""
        if not self._idle:
            return False
        link = self._idle.pop(0)
        self._links.discard(link)
        link.end()
        return True

    def acquire(self, waiter: Waiter) -> Link | None:
        """A link at once, or later by `waiter.got`, unless `waiter.got_none` comes before."""
        if self._idle and not self._waiting:
            return self._idle.pop()
        self._waiting.join(waiter)
        self.grow()
        return None

    def spare(self) -> Link | None:
        """A link that is idle now. If there is none, one is opened for the next who asks, where there is room."""
        if self._idle and not self._waiting:
            return self._idle.pop()
        if not self._closed and not self._dialling and self._allotment.has_room(self, evicting=False):
            self._dial()
        return None

    def dismiss(self) -> list[Waiter]:
        """Those who wait, who wait here no more."""
        return self._waiting.all()

    def retire(self) -> list[Waiter]:
        """Give out no more links: those in use are closed when their clients are done. Who waited must ask elsewhere."""
        waiting = self.dismiss()
        self._closed = True
        self._waiting.close()
        for link in self._idle:
            self._links.discard(link)
            link.end()
        self._idle.clear()
        return waiting

    def stalled(self) -> None:
        """The server does not answer whoever looks at it."""
        for link in list(self._links):
            if link.holder is not None:
                link.holder.stalled(link)

    def cut(self) -> None:
        """The server is not to be used any more, and does not answer: nobody is left waiting for it."""
        for link in list(self._links):
            link.transport.abort()

    def give_up(self, waiter: Waiter) -> None:
        """It does not wait any more."""
        self._waiting.leave(waiter)

    def release(self, link: Link) -> None:
        """The client is done with it: it is made as new, or closed where that cannot be."""
        link.holder = None
        now, lifetime = self._clock.monotonic(), self.limits.lifetime
        flow = link.flow
        old = bool(lifetime) and now - link.born > lifetime
        if (
            old
            or self._closed
            or link.inbox is not None
            or flow.owed
            or flow.spoilt
            or not flow.between
            or link.transport.is_closing()
        ):
            self.lost(link)
            link.end()
            return
        self._group.create_task(self._renew(link), name=f"renew {self.name}")

    def sweep(self) -> None:
        """Close what was not used for long. Call it every now and then."""
        now, idle = self._clock.monotonic(), self.limits.idle
        for link in list(self._idle):
            if idle and now - link.used > idle:
                self._idle.remove(link)
                self._links.discard(link)
                link.end()

    def close(self) -> None:
        """Close every link, and send every waiter away."""
        self._closed = True
        for link in list(self._links):
            link.end()
        self._links.clear()
        self._idle.clear()
        self._fail_all(Refusal(1053, "08S01", "the proxy is stopping"))
        self._waiting.close()

    def idle_link_lost(self, link: Link) -> None:
        """It is gone while nobody had it."""
        if link in self._idle:
            self._idle.remove(link)
        self.lost(link)

    def lost(self, link: Link) -> None:
        """It is gone while somebody had it."""
        self._links.discard(link)
        self.grow()
        self._allotment.freed(self)

    def died(self, link: Link) -> None:
        """The server hung up on a link that somebody had: those that are idle are not given to anybody either."""
        for other in self._idle:
            self._links.discard(other)
            other.end()
        self._idle.clear()
        self.lost(link)

    async def _renew(self, link: Link) -> None:
        try:
            async with asyncio.timeout(self.limits.dial):
                await self._renewing(link)
        except (*_FAULTS, OSError, TimeoutError) as error:
            _log.info("a session could not be made as new", pool=self.name, reason=str(error))
            link.transport.abort()
            self.lost(link)
            return
        self._offer(link)

    def _offer(self, link: Link) -> None:
        link.used = self._clock.monotonic()
        if self._closed or link.transport.is_closing():
            link.end()
            self.lost(link)
        elif self._waiting:
            self._waiting.first().got(link)
        else:
            self._idle.append(link)
            self._allotment.freed(self)

    def grow(self) -> None:
        """Open what is waited for, as far as there is room."""
        if self._closed:
            return
        for _ in range(len(self._waiting) - self._dialling):
            if not self._allotment.has_room(self, evicting=True):
                return
            self._dial()

    def _dial(self) -> None:
        self._dialling += 1
        self._group.create_task(self._open(), name=f"dial {self.name}")

    async def _open(self) -> None:
        try:
            link = await self._dialler.open()
        except DialFailed as failed:
            self._dialling -= 1
            self._failed(failed.cause)
            return
        self._dialling -= 1
        self._links.add(link)
        self._offer(link)

    def _failed(self, error: Exception) -> None:
        refusal = error.refusal if isinstance(error, LoginRefused) else None
        if refusal is not None and refusal.code in _FINAL and not self._links:
            self._fail_all(refusal)
        self.grow()

    def _fail_all(self, refusal: Refusal) -> None:
        for waiter in self._waiting.all():
            waiter.got_none(refusal)

    def _late(self, waiter: Waiter) -> None:
        if failure := self._dialler.failure:
            waiter.got_none(Refusal(NO_SERVER, "HY000", f"no session on a server: {failure}"))
            return
        words = f"no session on a server became free within {self.limits.wait:g} s"
        waiter.got_none(Refusal(TOO_MANY, "08004", words))
