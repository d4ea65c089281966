"""Pool: the connections to one server for one user, database and version of the protocol.

Some are shared by all who ask plain things; others belong to one client for a while. First come, first served.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from marchproxy.kit.backoff import Backoff
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.modules.dblb.redis.link import Link
from marchproxy.wire.redis.fault import ProtocolFault

_log = get_logger(__name__)


class LoginRefused(Exception):
    """The server does not let us in."""


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many connections there may be at most, and how long each thing may take, in seconds."""

    shared: int = 1
    exclusive: int = 100
    wait: float = 5.0
    dial: float = 3.0
    idle: float = 300.0


class Waiter(Protocol):
    """A client that wants a connection."""

    def got(self, link: Link | None) -> None:
        """Its own; None: there are shared ones now."""
        ...

    def got_none(self, reason: str) -> None:
        """There will be none."""
        ...


#: Opens a link that is logged in. Raises LoginRefused, ProtocolFault, OSError.
Dial = Callable[["Pool"], Awaitable[Link]]


class Pool:
    """`primary`: whether its server was the primary when the pool was made."""

    def __init__(
        self, name: str, dial: Dial, limits: PoolLimits, group: asyncio.TaskGroup, clock: Clock
    ) -> None:
        self.name = name
        self._dial = dial
        self._limits = limits
        self._group = group
        self._clock = clock
        self._shared: list[Link] = []
        self._idle: list[Link] = []
        self._exclusive: set[Link] = set()
        self._waiting: deque[tuple[float, Waiter, bool]] = deque()  # until when, who, whether for its own
        self._dialling = [0, 0]  # shared ones, and others
        self._turn = 0
        self._failures = 0
        self._last_failure = ""
        self._backoff = Backoff(initial=0.02, maximum=1.0)
        self._alarm: asyncio.TimerHandle | None = None
        self._closed = False
        self.on_doubt: Callable[[bytes], None] = lambda _words: None

    @property
    def exclusive(self) -> int:
        """How many connections clients have for themselves, or had and left idle."""
        return len(self._exclusive)

    @property
    def shared(self) -> int:
        """How many connections are shared."""
        return len(self._shared)

    @property
    def waiting(self) -> int:
        """How many clients wait."""
        return len(self._waiting)

    def share(self, waiter: Waiter) -> Link | None:
        """A shared one at once; else the waiter is told."""
        if self._shared:
            self._turn += 1
            if len(self._shared) + self._dialling[0] < self._limits.shared:
                self._open(own=False)
            return self._shared[self._turn % len(self._shared)]
        self._wait(waiter, own=False)
        return None

    def take(self, waiter: Waiter) -> Link | None:
        """One for the client alone, at once; else the waiter is told. Give it back by `release` or `discard`."""
        if self._idle and not any(own for _, _, own in self._waiting):
            return self._idle.pop()
        self._wait(waiter, own=True)
        return None

    def give_up(self, waiter: Waiter) -> None:
        """It does not wait any more."""
        self._waiting = deque(item for item in self._waiting if item[1] is not waiter)

    def release(self, link: Link) -> None:
        """The client is done with its own, on which nothing is owed."""
        if link.lost or self._closed:
            self.discard(link)
            return
        link.used = self._clock.monotonic()
        for item in self._waiting:
            if item[2]:
                self._waiting.remove(item)
                item[1].got(link)
                return
        self._idle.append(link)

    def discard(self, link: Link) -> None:
        """Nobody may have it any more."""
        link.transport.abort()
        self.link_closed(link)

    def sweep(self) -> None:
        """Close what was not used for long."""
        limit = self._clock.monotonic() - self._limits.idle
        for link in [link for link in self._idle if link.used < limit]:
            self._idle.remove(link)
            self.discard(link)

    def close(self) -> None:
        """Close every connection, and send every waiter away."""
        self._closed = True
        for link in [*self._shared, *self._exclusive]:
            link.transport.abort()
        self._fail_all("the server is not used any more")
        if self._alarm is not None:
            self._alarm.cancel()

    def link_closed(self, link: Link) -> None:
        """See Owner."""
        self._exclusive.discard(link)
        for links in (self._shared, self._idle):
            if link in links:
                links.remove(link)
        self._grow()

    def doubted(self, link: Link, words: bytes) -> None:  # noqa: ARG002 - as an Owner has it
        """See Owner."""
        self.on_doubt(words)

    def _wait(self, waiter: Waiter, *, own: bool) -> None:
        self._waiting.append((self._clock.monotonic() + self._limits.wait, waiter, own))
        self._watch()
        self._grow()

    def _grow(self) -> None:
        if self._closed:
            return
        own = sum(own for _, _, own in self._waiting)
        if len(self._waiting) > own and not self._shared and not self._dialling[0]:
            self._open(own=False)
        room = self._limits.exclusive - len(self._exclusive) - self._dialling[1]
        for _ in range(min(own - self._dialling[1], room)):
            self._open(own=True)

    def _open(self, *, own: bool) -> None:
        self._dialling[own] += 1
        self._group.create_task(self._connect(own=own), name=f"dial {self.name}")

    async def _connect(self, *, own: bool) -> None:
        try:
            if self._failures:
                await self._clock.sleep(self._backoff.delay(self._failures - 1, 0.5))
            async with asyncio.timeout(self._limits.dial):
                link = await self._dial(self)
        except (LoginRefused, ProtocolFault, OSError, TimeoutError) as error:
            self._dialling[own] -= 1
            self._failed(error)
            return
        self._dialling[own] -= 1
        self._failures, self._last_failure = 0, ""
        if link.lost or self._closed:
            link.transport.abort()
            self._grow()
        elif own:
            self._exclusive.add(link)
            self.release(link)
        else:
            self._shared.append(link)
            waiting = [item for item in self._waiting if not item[2]]
            self._waiting = deque(item for item in self._waiting if item[2])
            for _, waiter, _ in waiting:
                waiter.got(None)

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        self._last_failure = str(error) or f"no answer within {self._limits.dial:g} s"
        _log.warning("no connection to the server", pool=self.name, reason=self._last_failure)
        if isinstance(error, LoginRefused):
            self._fail_all(self._last_failure)
        self._grow()

    def _fail_all(self, reason: str) -> None:
        waiting, self._waiting = self._waiting, deque()
        for _, waiter, _ in waiting:
            waiter.got_none(reason)

    def _watch(self) -> None:
        if self._alarm is None and self._waiting:
            after = max(0.0, self._waiting[0][0] - self._clock.monotonic())
            self._alarm = asyncio.get_running_loop().call_later(after, self._late)

    def _late(self) -> None:
        self._alarm = None
        now = self._clock.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            reason = f"; the last attempt failed: {self._last_failure}" if self._last_failure else ""
            words = f"no connection to the server became free within {self._limits.wait:g} s{reason}"
            self._waiting.popleft()[1].got_none(words)
        self._watch()
