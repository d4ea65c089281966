"""Listener: one port, all the connections that came through it, and the end of both."""

import asyncio
import errno
from collections.abc import Callable, Iterable

from marchproxy.kit.clock import Clock
from marchproxy.kit.listening import BindError, PortInUse
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import HostPort
from marchproxy.kit.tasks import comes
from marchproxy.model.module import InstanceId
from marchproxy.nlb.dataplane.relay.lane import Lane
from marchproxy.nlb.dataplane.relay.limits import RelayLimits
from marchproxy.nlb.dataplane.relay.link import Link, Shared
from marchproxy.nlb.dataplane.relay.messages import Timer
from marchproxy.nlb.dataplane.relay.side import Side
from marchproxy.nlb.dataplane.relay.switch import Switch
from marchproxy.nlb.dataplane.relay.waiting import WaitingRooms

_log = get_logger(__name__)
_ABORT_SECONDS = 5.0


class RelayListener:
    """Relays the connections of one port as its switch says. Start it once, stop it once."""

    def __init__(self, address: HostPort, switch: Switch, limits: RelayLimits, clock: Clock) -> None:
        self.switch = switch
        self._address = address
        self._limits = limits
        self._clock = clock
        self._links: set[Link] = set()
        self._rooms: WaitingRooms[Timer, Link] = WaitingRooms(_waits(limits))
        self._empty = asyncio.Event()
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> HostPort:
        """Where it listens; after `start` with the real port in place of 0."""
        return self._address

    @property
    def links(self) -> Iterable[Link]:
        """The connections that are open."""
        return self._links

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._links)

    async def start(self, group: asyncio.TaskGroup, *, shared_port: bool = False) -> None:
        """Listen; `group` owns attempts to connect, so `stop` before it ends. Raises PortInUse, BindError.

        `shared_port`: other processes of this user may listen there too (SO_REUSEPORT).
        """
        shared = Shared(
            switch=self.switch,
            limits=self._limits,
            clock=self._clock,
            group=group,
            rooms=self._rooms,
            links=self._links,
            on_last=self._empty.set,
        )

        def accept() -> Side:
            return Link(shared).client

        self._server = await self._listen(accept, shared_port=shared_port)
        self._address = HostPort(self._address.host, self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Listen no more; open connections go on."""
        if self._server is not None:
            self._server.close()

    async def stop(self, deadline_seconds: float) -> int:
        """Listen no more, wait for open connections to end, then end the rest; return how many those were."""
        if self._server is None:
            return 0
        self.close()
        await self._wait_empty(deadline_seconds)
        rest = tuple(self._links)
        for link in rest:
            link.drop()
        if not await self._wait_empty(_ABORT_SECONDS):
            _log.error(
                "connections outlive their listener", address=str(self._address), count=len(self._links)
            )
        self._server = None
        return len(rest)

    def sweep(self, now: float) -> None:
        """End the waits that are over."""
        for timer, link in self._rooms.take_due(now):
            link.timed_out(timer)

    def look(self, now: float) -> None:
        """Note which connections are quiet. O(open connections)."""
        for link in self._links:
            link.look(now)

    def drop(self, lane: Lane) -> int:
        """End the connections of a lane; return how many there were."""
        links = [link for link in self._links if link.lane is lane]
        for link in links:
            link.drop()
        return len(links)

    def of_instance(self, instance_id: InstanceId) -> list[Link]:
        """The connections that an instance has now."""
        return [
            link
            for link in self._links
            if link.relaying and link.seat is not None and link.seat.target.instance_id == instance_id
        ]

    async def _listen(self, accept: Callable[[], Side], *, shared_port: bool) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        host, port = self._address.host, self._address.port
        try:
            return await loop.create_server(
                accept, host, port, backlog=self._limits.backlog, reuse_port=shared_port or None
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(self._address, "relay") from error
            raise BindError(self._address, "relay", error.strerror or str(error)) from error

    async def _wait_empty(self, seconds: float) -> bool:
        self._empty.clear()
        return not self._links or await comes(self._empty, within=seconds)


def _waits(limits: RelayLimits) -> dict[Timer, float]:
    return {
        Timer.SILENCE: limits.silence_seconds,
        Timer.DETECTION: limits.detection_seconds,
        Timer.CONNECT: limits.connect_seconds,
        Timer.IDLE: 0.0,  # each lane has its own
        Timer.LINGER: limits.linger_seconds,
    }
