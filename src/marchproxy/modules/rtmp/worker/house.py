"""House: what a worker serves: its ports, the streams behind them, and the plan that they follow."""

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from marchproxy.contract.document import decode
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.model.module import Protocol
from marchproxy.modules.reception.arrival import Arrivals, Door, tls_context
from marchproxy.modules.reception.client import ClientTls
from marchproxy.modules.reception.listening import ListeningPort
from marchproxy.modules.reception.port import Port
from marchproxy.modules.reception.serving import Serving, TlsMaterial
from marchproxy.modules.rtmp.plan import RtmpPlan, compile_plan
from marchproxy.modules.rtmp.service import StreamService, Surroundings
from marchproxy.modules.rtmp.talk import Apply
from marchproxy.modules.rtmp.tally import Tallies

_log = get_logger(__name__)

Factory: TypeAlias = Callable[[Surroundings], StreamService]


class CannotServe(Exception):
    """What was told cannot be carried out, and nothing has changed; says why."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """Which worker this is, of how many, how many clients it may have, where its media go, and of which instance it is."""

    worker: int = 0
    workers: int = 1
    clients: int = 10_000
    media: Path = Path()
    instance: str = ""


class House:
    """All that one worker does for clients. `around.group` owns the tasks of clients and of connections to origins."""

    def __init__(self, factory: Factory, around: Surroundings, *, most: int, clock: Clock) -> None:
        self.tallies: Tallies = around.tallies
        self.service = factory(around)
        self._around = around
        self.told: Apply | None = None
        """By what it serves."""
        self._most = most
        self._clock = clock
        self._arrivals = Arrivals(around.group, self._door)
        self._ports: dict[Port, ListeningPort] = {}
        self._serving = Serving()
        self._tls: ClientTls | None = None
        self._drained_at: float | None = None

    @property
    def ports(self) -> tuple[Port, ...]:
        """Where it listens."""
        return tuple(self._ports)

    @property
    def accepted(self) -> int:
        """How many clients were let in."""
        return self._arrivals.accepted

    def clients(self) -> int:
        """How many are connected, or on their way in."""
        return len(self._arrivals) + self.service.clients()

    def apply(self, told: Apply) -> None:
        """Serve by this. New ports are opened before anything else changes. Raises CannotServe, BindError."""
        if self._drained_at is not None:
            raise CannotServe("it is told to end, and lets nobody in any more")
        plan, tls = _plan(told), _client_tls(told.serving.tls)
        self._ports |= self._open(told.serving)
        self._tls, self._serving = tls, told.serving
        self._around.instances = told.instances
        self.service.apply(plan)
        for port in self._ports.keys() - set(told.serving.ports):
            self._ports.pop(port).close()
        self.told = told

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
        self.service.drain()

    def close(self) -> None:
        """End everything now."""
        for port in self._ports.values():
            port.close()
        self.service.close()

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
        if self.clients() >= self._most:
            _log.warning("a client was turned away: there are too many", most=self._most)
            connection.close()
            return
        self._arrivals.take(port, connection)

    def _door(self, port: Port) -> Door:
        encrypted = port.protocol is Protocol.RTMPS and self._tls is not None
        tls = replace(self._tls, required=True) if encrypted and self._tls is not None else None
        return Door(self.service, tls, self._serving.sources)


def _plan(told: Apply) -> RtmpPlan:
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
        context = tls_context(material.certificate, material.key, material.authorities)
    except (OSError, ssl.SSLError) as error:
        raise CannotServe(f"client_tls: {error}") from error
    return ClientTls(context, required=True)
