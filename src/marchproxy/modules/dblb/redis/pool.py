"""Pool: the connections to one server for one user, database and version of the protocol.

Some are shared by all who ask plain things; others belong to one client for a while. First come, first served.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from marchproxy.kit.backoff import Backoff
from marchproxy.kit.clock import Clock
from marchproxy.modules.dblb.dialler import DialFailed, Dialler
from marchproxy.modules.dblb.line import Line
from marchproxy.modules.dblb.redis.link import Link
from marchproxy.wire.fault import ProtocolFault


class LoginRefused(Exception):
    """The server does not let us in."""


_FAULTS = (LoginRefused, ProtocolFault)


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many connections there may be at most, and how long each thing may take, in seconds; idle and lifetime 0: for ever."""

    shared: int = 1
    exclusive: int = 100
    wait: float = 5.0
    dial: float = 3.0
    idle: float = 300.0
    lifetime: float = 0.0


class Waiter(Protocol):
    """A client that wants a connection."""

    def got(self, link: Link | None) -> None:
        """Its own; None: look again, there are shared ones now, or another pool."""
        ...

    def got_none(self, reason: str) -> None:
        """There will be none."""
        ...


#: Opens a link that is logged in. Raises LoginRefused, ProtocolFault, OSError.
Dial = Callable[["Pool"], Awaitable[Link]]


class Pool:
    """`name` is for logs."""

    def __init__(
        self, name: str, dial: Dial, limits: PoolLimits, group: asyncio.TaskGroup, clock: Clock
    ) -> None:
        self.name = name
        self._limits = limits
        self._group = group
        self._clock = clock
        self._dialler = Dialler(
            name, lambda: dial(self), clock, seconds=limits.dial, faults=_FAULTS, pauses=Backoff(0.02, 1.0)
        )
        self._shared: list[Link] = []
        self._idle: list[Link] = []
        self._exclusive: set[Link] = set()
        self._for_shared: Line[Waiter] = Line(limits.wait, self._late, clock)
        self._for_own: Line[Waiter] = Line(limits.wait, self._late, clock)
        self._dialling = [0, 0]  # shared ones, and others
        self._turn = 0
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
    def idle(self) -> int:
        """How many connections were left idle."""
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """How many clients wait."""
        return len(self._for_shared) + len(self._for_own)

    def share(self, waiter: Waiter) -> Link | None:
        """A shared one at once; else the waiter is told."""
        if self._shared:
            self._turn += 1
            if len(self._shared) + self._dialling[0] < self._limits.shared:
                self._open(own=False)
            return self._shared[self._turn % len(self._shared)]
        self._for_shared.join(waiter)
        self._grow()
        return None

    def take(self, waiter: Waiter) -> Link | None:
        """One for the client alone, at once; else the waiter is told. Give it back by `release` or `discard`."""
        if self._idle and not self._for_own:
            return self._idle.pop()
        self._for_own.join(waiter)
        self._grow()
        return None

    def give_up(self, waiter: Waiter) -> None:
        """It does not wait any more."""
        self._for_shared.leave(waiter)
        self._for_own.leave(waiter)

    def release(self, link: Link) -> None:
        """The client is done with its own, on which nothing is owed."""
        link.used = self._clock.monotonic()
        if link.lost or self._closed or self._old(link, link.used):
            self.discard(link)
            return
        if self._for_own:
            self._for_own.first().got(link)
        else:
            self._idle.append(link)

    def discard(self, link: Link) -> None:
        """Nobody may have it any more."""
        link.transport.abort()
        self.link_closed(link)

    def sweep(self) -> None:
        """Close what was not used for long, and what has lived for long as soon as nothing is owed."""
        now = self._clock.monotonic()
        unused = now - self._limits.idle if self._limits.idle else float("-inf")
        for link in [link for link in self._idle if link.used < unused or self._old(link, now)]:
            self._idle.remove(link)
            self.discard(link)
        for link in [link for link in self._shared if self._old(link, now)]:
            self._shared.remove(link)
            link.leave()

    def retire(self) -> None:
        """Give nothing any more: who waits looks again, who has something finishes with it."""
        self._closed = True
        for link in list(self._idle):
            self._idle.remove(link)
            self.discard(link)
        shared, self._shared = self._shared, []
        for link in shared:
            link.leave()
        waiting = (*self._for_shared.all(), *self._for_own.all())
        self._for_shared.close()
        self._for_own.close()
        for waiter in waiting:
            waiter.got(None)

    def close(self) -> None:
        """Close every connection, and send every waiter away."""
        self._closed = True
        for link in [*self._shared, *self._exclusive]:
            link.transport.abort()
        self._fail_all("the server is not used any more")
        self._for_shared.close()
        self._for_own.close()

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

    def _old(self, link: Link, now: float) -> bool:
        return bool(self._limits.lifetime) and now - link.born > self._limits.lifetime

    def _grow(self) -> None:
        if self._closed:
            return
        if self._for_shared and not self._shared and not self._dialling[0]:
            self._open(own=False)
        room = self._limits.exclusive - len(self._exclusive) - self._dialling[1]
        for _ in range(min(len(self._for_own) - self._dialling[1], room)):
            self._open(own=True)

    def _open(self, *, own: bool) -> None:
        self._dialling[own] += 1
        self._group.create_task(self._connect(own=own), name=f"dial {self.name}")

    async def _connect(self, *, own: bool) -> None:
        try:
            link = await self._dialler.open()
        except DialFailed as failed:
            self._dialling[own] -= 1
            if isinstance(failed.cause, LoginRefused):
                self._fail_all(str(failed))
            self._grow()
            return
        self._dialling[own] -= 1
        link.born = self._clock.monotonic()
        if link.lost or self._closed:
            link.transport.abort()
            self._grow()
        elif own:
            self._exclusive.add(link)
            self.release(link)
        else:
            self._shared.append(link)
            for waiter in self._for_shared.all():
                waiter.got(None)

    def _fail_all(self, reason: str) -> None:
        for waiter in (*self._for_shared.all(), *self._for_own.all()):
            waiter.got_none(reason)

    def _late(self, waiter: Waiter) -> None:
        failure = self._dialler.failure
        reason = f"; the last attempt failed: {failure}" if failure else ""
        waiter.got_none(f"no connection to the server became free within {self._limits.wait:g} s{reason}")
