"""Listener: one port, all the connections that came through it, and the end of both."""

import asyncio
import errno
from collections.abc import Callable

from marchproxy.kit.clock import Clock
from marchproxy.kit.listening import BindError, PortInUse
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import HostPort
from marchproxy.kit.tasks import every
from marchproxy.nlb.dataplane.relay.counts import Ledger, RelayCounts
from marchproxy.nlb.dataplane.relay.limits import RelayLimits
from marchproxy.nlb.dataplane.relay.link import IDLE_ROUNDS, Choice, Link, Shared
from marchproxy.nlb.dataplane.relay.messages import Timer
from marchproxy.nlb.dataplane.relay.side import Side
from marchproxy.nlb.dataplane.relay.waiting import WaitingRooms
from marchproxy.wire.detect import ALL, Protocol

_log = get_logger(__name__)
_TICK_SECONDS = 0.05  # how late a timeout may be
_ABORT_SECONDS = 5.0


class RelayListener:
    """Relays the connections of one port by what their first bytes say. Start it once, stop it once."""

    def __init__(
        self,
        address: HostPort,
        choose: Choice,
        limits: RelayLimits,
        clock: Clock,
        *,
        enabled: frozenset[Protocol] = ALL,
    ) -> None:
        self._address = address
        self._choose = choose
        self._limits = limits
        self._clock = clock
        self._enabled = enabled
        self._ledger = Ledger()
        self._links: set[Link] = set()
        self._rooms: WaitingRooms[Timer, Link] = WaitingRooms(_waits(limits))
        self._empty = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def address(self) -> HostPort:
        """Where it listens; after `start` with the real port in place of 0."""
        return self._address

    async def start(self, group: asyncio.TaskGroup) -> None:
        """Listen; `group` owns the tasks, so `stop` before it ends. Raises PortInUse, BindError."""
        shared = Shared(
            enabled=self._enabled,
            choose=self._choose,
            limits=self._limits,
            clock=self._clock,
            group=group,
            rooms=self._rooms,
            ledger=self._ledger,
            links=self._links,
            on_last=self._empty.set,
        )

        def accept() -> Side:
            return Link(shared).client

        self._server = await self._listen(accept)
        self._address = HostPort(self._address.host, self._server.sockets[0].getsockname()[1])
        self._sweeper = group.create_task(
            every(_TICK_SECONDS, self._sweep, clock=self._clock, name="relay timeouts"), name="relay-sweep"
        )

    async def stop(self, deadline_seconds: float) -> int:
        """Listen no more, wait for open connections to end, then end the rest; return how many those were."""
        if self._server is None or self._sweeper is None:
            return 0
        self._server.close()
        await self._wait_empty(deadline_seconds)
        rest = tuple(self._links)
        for link in rest:
            link.drop()
        if not await self._wait_empty(_ABORT_SECONDS):
            _log.error(
                "connections outlive their listener", address=str(self._address), count=len(self._links)
            )
        self._sweeper.cancel()
        await asyncio.wait([self._sweeper])
        self._server = self._sweeper = None
        return len(rest)

    def counts(self) -> RelayCounts:
        """What it carries now and has carried. O(open connections)."""
        return self._ledger.read(link.share() for link in self._links)

    async def _listen(self, accept: Callable[[], Side]) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        host, port = self._address.host, self._address.port
        try:
            return await loop.create_server(accept, host, port, backlog=self._limits.backlog)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(self._address, "relay") from error
            raise BindError(self._address, "relay", error.strerror or str(error)) from error

    async def _sweep(self) -> None:
        for timer, link in self._rooms.take_due(self._clock.monotonic()):
            link.timed_out(timer)

    async def _wait_empty(self, seconds: float) -> bool:
        self._empty.clear()
        if not self._links:
            return True
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True


def _waits(limits: RelayLimits) -> dict[Timer, float]:
    return {
        Timer.SILENCE: limits.silence_seconds,
        Timer.DETECTION: limits.detection_seconds,
        Timer.IDLE: limits.idle_seconds / IDLE_ROUNDS,
        Timer.LINGER: limits.linger_seconds,
    }
