"""House: what a worker serves: its ports, the services behind them, and the plan that they follow."""

import asyncio
import math
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from marchproxy.contract.document import decode
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.model.module import Protocol
from marchproxy.model.route import RouteId
from marchproxy.modules.dblb.gate import Gate
from marchproxy.modules.dblb.plan import DblbPlan, compile_plan
from marchproxy.modules.dblb.service import Bounds, DatabaseService, Surroundings
from marchproxy.modules.dblb.talk import Apply
from marchproxy.modules.dblb.tally import Tallies
from marchproxy.modules.dblb.worker.peers import Peers
from marchproxy.modules.dblb.worker.services import Factory
from marchproxy.modules.reception.arrival import Arrivals, Door, tls_context
from marchproxy.modules.reception.client import ClientTls
from marchproxy.modules.reception.listening import ListeningPort
from marchproxy.modules.reception.port import Port
from marchproxy.modules.reception.serving import Serving, TlsMaterial

_log = get_logger(__name__)
_MOST_TOLD = 256
_ALPN = ("postgresql",)  # a client of PostgreSQL that begins with TLS insists on it


class CannotServe(Exception):
    """What was told cannot be carried out, and nothing has changed; says why."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """Which worker this is, of how many, how many clients it may have, and its share of memory."""

    worker: int = 0
    workers: int = 1
    clients: int = 10_000
    bounds: Bounds = Bounds()


class House:
    """All that one worker does for clients. `group` owns the tasks of clients and of connections to servers."""

    def __init__(
        self,
        group: asyncio.TaskGroup,
        factories: Mapping[Protocol, Factory],
        gate: Gate,
        *,
        numbers: Numbers,
        clock: Clock,
    ) -> None:
        self.tallies = Tallies()
        self.peers: Peers | None = None
        self.folder = Path()
        self._group = group
        self._factories = factories
        self._gate = gate
        self._numbers = numbers
        self._clock = clock
        self._arrivals = Arrivals(group, self._door)
        self._services: dict[Protocol, DatabaseService] = {}
        self._ports: dict[Port, ListeningPort] = {}
        self._serving = Serving()
        self._tls: ClientTls | None = None
        self.told: Apply | None = None
        """By what it serves."""
        self._paused: dict[RouteId, float] = {}  # until when, in the clock's seconds
        self._hearing = 0
        self._drained_at: float | None = None

    @property
    def services(self) -> Mapping[Protocol, DatabaseService]:
        """Those of the protocols that there is, or was, a port for."""
        return self._services

    @property
    def ports(self) -> tuple[Port, ...]:
        """Where it listens."""
        return tuple(self._ports)

    @property
    def serving(self) -> Serving:
        """How clients are let in."""
        return self._serving

    @property
    def accepted(self) -> int:
        """How many clients were let in."""
        return self._arrivals.accepted

    def clients(self) -> int:
        """How many are connected, or on their way in."""
        return len(self._arrivals) + sum(service.clients() for service in self._services.values())

    def apply(self, told: Apply) -> None:
        """Serve by this. New ports are opened before anything else changes. Raises CannotServe, BindError."""
        if self._drained_at is not None:
            raise CannotServe("it is told to end, and lets nobody in any more")
        plan, wanted = _plan(told), {port.protocol for port in told.serving.ports}
        if unspoken := wanted - self._factories.keys():
            raise CannotServe(f"nobody here speaks {min(one.value for one in unspoken)}; remove its ports")
        tls = _client_tls(told.serving.tls)
        for protocol in wanted - self._services.keys():
            self._services[protocol] = self._factories[protocol](self._around(protocol))
        self._ports |= self._open(told.serving)
        self._tls, self._serving = tls, told.serving
        self._gate.apply(plan, told.instances)
        for service in self._services.values():
            service.apply(plan)
        for port in self._ports.keys() - set(told.serving.ports):
            self._ports.pop(port).close()
        self._pause(told.paused)
        self.told = told

    def hear(self, protocol: Protocol, message: bytes, done: Callable[[], None]) -> None:
        """What another worker says to a service, which then calls `done`; too much at once is lost."""
        service = self._services.get(protocol)
        if service is None or self._hearing >= _MOST_TOLD:
            done()
            return
        self._hearing += 1
        self._group.create_task(self._tell(service, message, done))

    def sweep(self) -> None:
        """Once a second."""
        self._gate.sweep()
        now = self._clock.monotonic()
        for route in [route for route, until in self._paused.items() if until <= now]:
            _log.error("a paused route goes on: nobody has said what becomes of it", route=str(route))
            self._resume(route)
        for service in self._services.values():
            service.sweep()

    @property
    def drain_deadline(self) -> float:
        """When clients that were let go are to be gone, in the clock's seconds."""
        since = self._clock.monotonic() if self._drained_at is None else self._drained_at
        return since + self._serving.drain_seconds

    def drain(self) -> None:
        """Listen no more, and let clients go; a second time is no news."""
        if self._drained_at is not None:
            return
        self._drained_at = self._clock.monotonic()
        for port in self._ports.values():
            port.close()
        self._ports.clear()
        for service in self._services.values():
            service.drain()

    def close(self) -> None:
        """End everything now."""
        for port in self._ports.values():
            port.close()
        for service in self._services.values():
            service.close()

    def _pause(self, paused: Mapping[RouteId, float]) -> None:
        """After the plan, which says what a route is, and before anybody can ask for it."""
        for route, seconds in paused.items():
            self._paused[route] = self._clock.monotonic() + (seconds or math.inf)
            for service in self._services.values():
                service.pause(route)
        for route in self._paused.keys() - paused.keys():
            self._resume(route)

    def _resume(self, route: RouteId) -> None:
        del self._paused[route]
        for service in self._services.values():
            service.resume(route)

    async def _tell(self, service: DatabaseService, message: bytes, done: Callable[[], None]) -> None:
        try:
            await service.told(message)
        finally:
            self._hearing -= 1
            done()

    def _open(self, serving: Serving) -> dict[Port, ListeningPort]:
        opened: dict[Port, ListeningPort] = {}
        for port in serving.ports:
            if port in self._ports:
                continue
            listening = ListeningPort(port, self._take)
            try:
                listening.open()
            except BaseException:
                for one in opened.values():
                    one.close()
                raise
            opened[port] = listening
        return opened

    def _take(self, port: Port, connection: socket.socket) -> None:
        if self.clients() >= self._numbers.clients:
            _log.warning("a client was turned away: there are too many", most=self._numbers.clients)
            connection.close()
            return
        self._arrivals.take(port, connection)

    def _door(self, port: Port) -> Door:
        return Door(self._services[port.protocol], self._tls, self._serving.sources)

    def _around(self, protocol: Protocol) -> Surroundings:
        return Surroundings(
            self._group,
            self._clock,
            self.tallies,
            self._gate,
            worker=self._numbers.worker,
            workers=self._numbers.workers,
            elsewhere=partial(self._say, protocol),
            bounds=self._numbers.bounds,
            folder=self.folder,
        )

    async def _say(self, protocol: Protocol, worker: int, message: bytes) -> None:
        if self.peers is not None:
            await self.peers.say(worker, protocol, message)


def _plan(told: Apply) -> DblbPlan:
    try:
        state = decode(told.document.encode())
    except ValueError as error:  # InvalidValue, and what pydantic says
        raise CannotServe(f"the document: {error}") from error
    plan, problems = compile_plan(state, told.contents.files)
    if problems:
        raise CannotServe(str(problems[0]))
    return plan


def _client_tls(material: TlsMaterial | None) -> ClientTls | None:
    if material is None:
        return None
    try:
        context = tls_context(material.certificate, material.key, material.authorities, _ALPN)
    except (OSError, ssl.SSLError) as error:
        raise CannotServe(f"client_tls: {error}") from error
    return ClientTls(context, material.required)
