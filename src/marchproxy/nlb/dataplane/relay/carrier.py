"""Carrier: all ports that are relayed, brought from one forwarding to the next."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from marchproxy.kit.clock import Clock
from marchproxy.kit.listening import BindError
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import HostPort
from marchproxy.kit.tasks import every
from marchproxy.model.module import InstanceId
from marchproxy.model.plan import ListenerPlan
from marchproxy.model.sharing import Port, share
from marchproxy.nlb.dataplane.plane import ConnectionCounts, Forwarding, TrafficCounts
from marchproxy.nlb.dataplane.relay.lane import Lane
from marchproxy.nlb.dataplane.relay.limiter import Limiter
from marchproxy.nlb.dataplane.relay.limits import RelayLimits
from marchproxy.nlb.dataplane.relay.listener import RelayListener
from marchproxy.nlb.dataplane.relay.switch import Switch

_log = get_logger(__name__)
_Key = TypeVar("_Key")
_SWEEP_SECONDS = 0.05  # how late a timeout may be
_LOOK_SECONDS = 2.0  # how exactly it is known since when a connection is quiet


@dataclass(slots=True)
class _Leaving:
    """A lane, or with all its lanes a listener, that takes nothing new and may finish what it has."""

    listener: RelayListener
    lanes: tuple[Lane, ...]


@dataclass(slots=True)
class _State:
    ports: dict[HostPort, RelayListener] = field(default_factory=dict)
    leaving: list[_Leaving] = field(default_factory=list)


class Carrier:
    """Owns the relay's listeners. `apply` calls come one at a time, inside the life of `group`."""

    def __init__(
        self, group: asyncio.TaskGroup, limits: RelayLimits, clock: Clock, *, shared_ports: bool = False
    ) -> None:
        self._group = group
        self._limits = limits
        self._clock = clock
        self._shared_ports = shared_ports
        self._limiter = Limiter()
        self._state = _State()
        self._rounds: tuple[asyncio.Task[None], ...] = ()

    def addresses(self) -> frozenset[HostPort]:
        """Where it listens."""
        return frozenset(self._state.ports)

    def connections(self) -> int:
        """How many connections are open, also those that nobody has taken yet."""
        return sum(listener.connections for listener in self._listeners())

    async def apply(self, forwarding: Forwarding, *, drain_seconds: float) -> None:
        """Listen where it is wanted and judge new connections by this. Raises BindError; then nothing is changed.

        Connections of what is gone have `drain_seconds` to end.
        """
        plans = {plan.listener.name: plan for plan in forwarding.plan.listeners}
        wanted = {_address(port): port for port in share(plan.listener for plan in plans.values())}
        started = await self._start(wanted, plans, forwarding)
        self._limiter.replace(forwarding.limits)
        ports = self._state.ports
        for address, listener in ports.items():
            if (port := wanted.get(address)) is not None:
                gone = listener.switch.update(_plans(port, plans), forwarding.parked)
                self._retire(listener, gone, drain_seconds)
        for address in [address for address in ports if address not in wanted]:
            self._retire_port(ports.pop(address), drain_seconds)
        ports.update(started)
        self._make_rounds()
        for lane in self._lanes():
            lane.balancer.forget_idle()

    def counts(self) -> TrafficCounts:
        """What it carries. O(open connections)."""
        listeners: dict[str, ConnectionCounts] = {}
        endpoints: dict[tuple[str, InstanceId], ConnectionCounts] = {}
        closes: Counter[tuple[str, str]] = Counter()
        for lane in self._lanes():
            name = lane.listener.name
            _add(listeners, name, lane.tally.counts())
            closes.update({(name, outcome.value): count for outcome, count in lane.closes.items()})
            for seat in lane.balancer.seats:
                _add(endpoints, (name, seat.target.instance_id), seat.tally.counts())
        for listener in self._listeners():
            for link in listener.links:
                if link.lane is None:
                    continue
                moved = ConnectionCounts(received=link.received, sent=link.sent)
                _add(listeners, link.lane.listener.name, moved)
                if link.seat is not None:
                    _add(endpoints, (link.lane.listener.name, link.seat.target.instance_id), moved)
        return TrafficCounts(listeners, endpoints, self._limiter.counts(), closes)

    def shed(self, instance_id: InstanceId, count: int, *, listener: str = "") -> int:
        """Close up to so many of an instance's connections, the longest quiet first; return how many.

        `listener`: only those of this one; empty: of all.
        """
        links = [
            link
            for port in self._listeners()
            for link in port.of_instance(instance_id)
            if not listener or (link.lane is not None and link.lane.listener.name == listener)
        ]
        links.sort(key=lambda link: link.quiet_since)
        chosen = links[: max(count, 0)]
        for link in chosen:
            link.shed()
        return len(chosen)

    async def stop(self, deadline_seconds: float) -> int:
        """Listen no more, wait for what is open, end the rest; return how many connections that were."""
        listeners = list(self._listeners())
        for address in list(self._state.ports):
            listener = self._state.ports.pop(address)
            self._state.leaving.append(_Leaving(listener, tuple(listener.switch.lanes.values())))
        async with asyncio.TaskGroup() as group:
            ended = [group.create_task(listener.stop(deadline_seconds)) for listener in listeners]
        rounds, self._rounds = self._rounds, ()
        for task in rounds:
            task.cancel()
        return sum(task.result() for task in ended)

    def _make_rounds(self) -> None:
        if not self._rounds:
            self._rounds = (
                self._group.create_task(
                    every(_SWEEP_SECONDS, self._sweep, clock=self._clock, name="relay timeouts")
                ),
                self._group.create_task(
                    every(_LOOK_SECONDS, self._look, clock=self._clock, name="relay idleness")
                ),
            )

    async def _sweep(self) -> None:
        now = self._clock.monotonic()
        for listener in tuple(self._listeners()):
            listener.sweep(now)

    async def _look(self) -> None:
        now = self._clock.monotonic()
        for listener in tuple(self._listeners()):
            listener.look(now)

    async def _start(
        self, wanted: Mapping[HostPort, Port], plans: Mapping[str, ListenerPlan], forwarding: Forwarding
    ) -> dict[HostPort, RelayListener]:
        started: dict[HostPort, RelayListener] = {}
        try:
            for address, port in wanted.items():
                if address in self._state.ports:
                    continue
                switch = Switch(self._limiter, attempts=self._limits.connect_attempts)
                switch.update(_plans(port, plans), forwarding.parked)
                listener = RelayListener(address, switch, self._limits, self._clock)
                await listener.start(self._group, shared_port=self._shared_ports)
                started[address] = listener
        except BindError:
            for listener in started.values():
                await listener.stop(0)
            raise
        return started

    def _retire_port(self, listener: RelayListener, drain_seconds: float) -> None:
        listener.close()
        leaving = _Leaving(listener, tuple(listener.switch.lanes.values()))
        self._state.leaving.append(leaving)
        self._group.create_task(self._finish_port(leaving, drain_seconds))

    def _retire(self, listener: RelayListener, lanes: Sequence[Lane], drain_seconds: float) -> None:
        if lanes:
            leaving = _Leaving(listener, tuple(lanes))
            self._state.leaving.append(leaving)
            self._group.create_task(self._finish_lanes(leaving, drain_seconds))

    async def _finish_port(self, leaving: _Leaving, seconds: float) -> None:
        left = await leaving.listener.stop(seconds)
        _log.info("relayed port closed", address=str(leaving.listener.address), cut=left)
        self._forget(leaving)

    async def _finish_lanes(self, leaving: _Leaving, seconds: float) -> None:
        await self._clock.sleep(seconds)
        cut = sum(leaving.listener.drop(lane) for lane in leaving.lanes)
        _log.info("relayed listener closed", listeners=len(leaving.lanes), cut=cut)
        self._forget(leaving)

    def _forget(self, leaving: _Leaving) -> None:
        self._state.leaving = [other for other in self._state.leaving if other is not leaving]

    def _listeners(self) -> Iterator[RelayListener]:
        yield from dict.fromkeys(
            [*self._state.ports.values(), *(leaving.listener for leaving in self._state.leaving)]
        )

    def _lanes(self) -> Iterator[Lane]:
        for listener in self._state.ports.values():
            yield from listener.switch.lanes.values()
        for leaving in self._state.leaving:
            yield from leaving.lanes


def _address(port: Port) -> HostPort:
    return HostPort(port.first.host, port.first.port)


def _plans(port: Port, plans: Mapping[str, ListenerPlan]) -> tuple[ListenerPlan, ...]:
    return tuple(plans[listener.name] for listener in port.listeners)


def _add(table: dict[_Key, ConnectionCounts], key: _Key, counts: ConnectionCounts) -> None:
    table[key] = table.get(key, ConnectionCounts()) + counts
