"""Pool: the links to one server as one user, and those who wait for one. First come, first served."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.modules.dblb.mongodb.link import Link, LinkGone
from marchproxy.modules.dblb.mongodb.login import LoginRefused
from marchproxy.modules.dblb.mongodb.settings import PoolLimits
from marchproxy.wire.fault import ProtocolFault

_log = get_logger(__name__)

#: Opens a link. Raises LoginRefused, ProtocolFault, LinkGone, OSError.
Dial = Callable[[], Awaitable[Link]]


class Waiter(Protocol):
    """Who wants a link. It sees to its deadline by itself."""

    def got(self, link: Link) -> None:
        """Here it is."""
        ...

    def got_none(self, reason: str, *, final: bool) -> None:
        """There is none; `final`: nor will there be on another server."""
        ...


class Pool:
    """Links are opened as they are wanted, and the one used last is given first."""

    def __init__(
        self, name: str, dial: Dial, limits: PoolLimits, group: asyncio.TaskGroup, clock: Clock
    ) -> None:
        self.name = name
        self.failed: Callable[[], None] = lambda: None
        """Called when the server could not be reached, or a link was lost."""
        self._dial = dial
        self._limits = limits
        self._group = group
        self._clock = clock
        self._idle: list[Link] = []
        self._links: set[Link] = set()
        self._waiting: deque[Waiter] = deque()
        self._dialling = 0
        self._retired = False

    @property
    def busy(self) -> int:
        """How many links somebody has, and how many wait for one."""
        return len(self._links) - len(self._idle) + len(self._waiting)

    @property
    def idle(self) -> int:
        """How many links nobody has."""
        return len(self._idle)

    @property
    def links(self) -> int:
        """How many links there are."""
        return len(self._links)

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return len(self._waiting)

    def acquire(self, waiter: Waiter) -> Link | None:
        """A link at once, or later by `waiter.got`."""
        if self._idle and not self._waiting:
            return self._idle.pop()
        self._waiting.append(waiter)
        self._grow()
        return None

    def give_up(self, waiter: Waiter) -> None:
        """It does not wait any more."""
        self._waiting = deque(item for item in self._waiting if item is not waiter)

    def release(self, link: Link) -> None:
        """Its asker is done with it."""
        if link.transport.is_closing():
            self.lost(link)
            return
        link.used = self._clock.monotonic()
        if self._retired or self._old(link, link.used):
            self.discard(link)
        elif self._waiting:
            self._waiting.popleft().got(link)
        else:
            self._idle.append(link)

    def discard(self, link: Link) -> None:
        """Nobody may have it any more."""
        link.asker = link.owner = None
        link.transport.abort()
        self._links.discard(link)
        self._grow()

    def lost(self, link: Link) -> None:
        """It is gone while somebody had it."""
        self._links.discard(link)
        self.failed()
        self._grow()

    def idle_lost(self, link: Link) -> None:
        """It is gone while nobody asked anything."""
        if link in self._idle:
            self._idle.remove(link)
            self.lost(link)

    def sweep(self) -> None:
        """Close what was not used for long."""
        idle = self._limits.idle or float("inf")
        now = self._clock.monotonic()
        for link in [link for link in self._idle if link.used < now - idle or self._old(link, now)]:
            self._idle.remove(link)
            self.discard(link)

    def retire(self) -> None:
        """Give nothing any more: who waits looks elsewhere, who has a link finishes with it."""
        self._retired = True
        for link in list(self._idle):
            self._idle.remove(link)
            self.discard(link)
        self._fail_all("its pool has changed", final=False)

    def close(self) -> None:
        """Close every link, and send everybody away."""
        for link in list(self._links):
            link.owner = None
            link.transport.abort()
        self._fail_all("the proxy is stopping", final=True)

    def _old(self, link: Link, now: float) -> bool:
        lifetime = self._limits.lifetime
        return bool(lifetime) and now - link.born > lifetime

    def _grow(self) -> None:
        if self._retired:
            return
        wanted = min(len(self._waiting), self._limits.size - len(self._links)) - self._dialling
        for _ in range(wanted):
            self._dialling += 1
            self._group.create_task(self._open(), name=f"dial {self.name}")

    async def _open(self) -> None:
        try:
            async with asyncio.timeout(self._limits.dial):
                link = await self._dial()
        except (LoginRefused, ProtocolFault, LinkGone, OSError, TimeoutError) as error:
            self._dialling -= 1
            reason = str(error) or f"no answer within {self._limits.dial:g} s"
            _log.warning("no connection to the server", pool=self.name, reason=reason)
            if not isinstance(error, LoginRefused):  # or whoever has no right would have the server suspected
                self.failed()
            if not self._links:
                self._fail_all(reason, final=isinstance(error, LoginRefused))
            return
        self._dialling -= 1
        link.owner, link.born = self, self._clock.monotonic()
        self._links.add(link)
        self.release(link)

    def _fail_all(self, reason: str, *, final: bool) -> None:
        waiting, self._waiting = self._waiting, deque()
        for waiter in waiting:
            waiter.got_none(reason, final=final)
