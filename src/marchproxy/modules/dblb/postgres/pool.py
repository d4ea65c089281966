"""Pool: the links to one database of one server as one user, and the clients that wait for one."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from marchproxy.kit.backoff import Backoff
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.modules.dblb.postgres.answers import Heard
from marchproxy.modules.dblb.postgres.inbox import PeerGone
from marchproxy.modules.dblb.postgres.link import Link
from marchproxy.modules.dblb.postgres.login import LoginRefused
from marchproxy.wire.postgres.backend import read_error
from marchproxy.wire.postgres.fault import ProtocolFault

_log = get_logger(__name__)
#: Classes of SQLSTATE with which a server refuses a login for good: who we are, or what we want, is wrong.
_FINAL = ("28", "3D")


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many links there may be, and how long each thing may take, in seconds; `lifetime` and `idle` 0: for ever."""

    size: int = 20
    wait: float = 10.0
    idle: float = 600.0
    lifetime: float = 3600.0
    dial: float = 5.0


class Waiter(Protocol):
    """A client that wants a link."""

    def got(self, link: Link) -> None:
        """Here it is."""
        ...

    def got_none(self, reason: str) -> None:
        """There will be none."""
        ...


#: Opens a link. Raises LoginRefused, ProtocolFault, PeerGone, OSError.
Dial = Callable[["Pool"], Awaitable[Link]]


class Pool:
    """First come, first served. Links are opened as they are wanted, and the one used last is given first."""

    def __init__(
        self, name: str, dial: Dial, limits: PoolLimits, group: asyncio.TaskGroup, clock: Clock
    ) -> None:
        self.name = name
        self.limits = limits
        self._dial = dial
        self._group = group
        self._clock = clock
        self.reported: dict[str, str] = {}
        """What servers of the pool report of a session that has set nothing."""
        self._idle: list[Link] = []
        self._cancelled: set[Link] = set()
        self._links: set[Link] = set()
        self._waiting: deque[tuple[float, Waiter]] = deque()
        self._dialling = 0
        self._now = (
            clock.monotonic()
        )  # as of the last sweep: a look at the clock for each query would be too much
        self._backoff = Backoff(initial=0.05, maximum=2.0)
        self._failures = 0
        self._last_failure = ""
        self._alarm: asyncio.TimerHandle | None = None

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

    def acquire(self, waiter: Waiter) -> Link | None:
        """A link at once, or later by `waiter.got`, unless `waiter.got_none` comes before."""
        if self._idle and not self._waiting:
            return self._idle.pop()
        self._waiting.append((self._clock.monotonic() + self.limits.wait, waiter))
        self._watch()
        self._grow()
        return None

    def give_up(self, waiter: Waiter) -> None:
        """It does not wait any more."""
        self._waiting = deque(item for item in self._waiting if item[1] is not waiter)

    def release(self, link: Link) -> None:
        """The client is done with it, and the server is free."""
        link.holder = None
        if link.cancelling:
            self._cancelled.add(link)  # the interruption is meant for the client before
            return
        link.used = self._now
        if link.retiring:
            self._drop(link)
            self._grow()
        elif self._waiting:
            self._waiting.popleft()[1].got(link)
        else:
            self._idle.append(link)

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
        self._grow()

    def sweep(self) -> None:
        """Close what was not used for long. Call it every now and then."""
        now, limits = self._clock.monotonic(), self.limits
        self._now = now
        for link in list(self._links):
            link.retiring = bool(limits.lifetime) and now - link.born > limits.lifetime
        for link in list(self._idle):
            if link.retiring or (limits.idle and now - link.used > limits.idle):
                self._idle.remove(link)
                self._drop(link)

    def close(self) -> None:
        """Close every link, and send every waiter away."""
        for link in list(self._links):
            link.end()
        self._links.clear()
        self._idle.clear()
        self._fail_all("the proxy is stopping")
        if self._alarm is not None:
            self._alarm.cancel()

    def idle_link_spoke(self, link: Link, heard: Heard) -> None:
        """Something for nobody: a query of ours has ended, a notice, or the server's last words."""
        if heard.errors:
            words = read_error(heard.errors[0]).message
            _log.info("a server ended an idle session", pool=self.name, words=words)
            self.discard(link)
        elif heard.free and link in self._links and link not in self._idle:
            self.release(link)

    def idle_link_lost(self, link: Link) -> None:
        """It is gone while nobody had it."""
        self._links.discard(link)
        self._cancelled.discard(link)
        if link in self._idle:
            self._idle.remove(link)
        self._grow()

    def lost(self, link: Link) -> None:
        """It is gone while somebody had it."""
        self._links.discard(link)
        self._grow()

    def _drop(self, link: Link) -> None:
        self._links.discard(link)
        link.end()

    def _grow(self) -> None:
        wanted = min(len(self._waiting), self.limits.size - len(self._links)) - self._dialling
        for _ in range(wanted):
            self._dialling += 1
            self._group.create_task(self._open(), name=f"dial {self.name}")

    async def _open(self) -> None:
        try:
            if self._failures:
                await self._clock.sleep(self._backoff.delay(self._failures - 1, 0.5))
            async with asyncio.timeout(self.limits.dial):
                link = await self._dial(self)
        except (LoginRefused, ProtocolFault, PeerGone, OSError, TimeoutError) as error:
            self._dialling -= 1
            self._failed(error)
            return
        self._dialling -= 1
        self._failures, self._last_failure = 0, ""
        self._links.add(link)
        self.reported = dict(link.parameters)
        self.release(link)

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        self._last_failure = str(error) or f"no answer within {self.limits.dial:g} s"
        _log.warning(
            "no session on the server", pool=self.name, reason=self._last_failure, failures=self._failures
        )
        final = isinstance(error, LoginRefused) and error.fields and error.fields.code.startswith(_FINAL)
        if final and not self._links:
            self._fail_all(self._last_failure)
        self._grow()

    def _fail_all(self, reason: str) -> None:
        waiting, self._waiting = self._waiting, deque()
        for _, waiter in waiting:
            waiter.got_none(reason)

    def _watch(self) -> None:
        """One timer for all who wait: they came in the order in which their time ends."""
        if self._alarm is None and self._waiting:
            after = max(0.0, self._waiting[0][0] - self._clock.monotonic())
            self._alarm = asyncio.get_running_loop().call_later(after, self._late)

    def _late(self) -> None:
        self._alarm = None
        now = self._clock.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            reason = (
                f"; the last attempt to open one failed: {self._last_failure}" if self._last_failure else ""
            )
            self._waiting.popleft()[1].got_none(
                f"no session on the server became free within {self.limits.wait:g} s{reason}"
            )
        self._watch()
