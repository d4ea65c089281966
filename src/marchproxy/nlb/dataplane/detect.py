"""The detect data plane: tells protocols apart by their first bytes and relays untouched (`relay`)."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from marchproxy.kit.clock import Clock
from marchproxy.kit.listening import BindError, PortInUse
from marchproxy.kit.settings.types import HostPort
from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.module import InstanceId
from marchproxy.model.plan import ForwardingPlan, ListenerPlan, Target
from marchproxy.model.problem import Problem
from marchproxy.nlb.dataplane.names import resolve
from marchproxy.nlb.dataplane.plane import Choice, Forwarding, PlaneRefused, TrafficCounts
from marchproxy.nlb.dataplane.relay import Carrier, RelayLimits
from marchproxy.nlb.settings import NlbSettings

_PORT_SECONDS = 2.0  # for another plane of ours to let go of a port
_POLL_SECONDS = 0.005


class DetectDataPlane:
    """Relays in this process. Use it inside `running`."""

    name = "detect"

    def __init__(self, settings: NlbSettings, *, clock: Clock) -> None:
        self._clock = clock
        self._drain_seconds = settings.drain_seconds
        self._carrier: Carrier | None = None
        self._forwarding = Forwarding()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["DetectDataPlane"]:
        """Be able to carry something, until the end of the block, when what is still open is cut."""
        async with asyncio.TaskGroup() as group:
            self._carrier = carrier = Carrier(group, RelayLimits(), self._clock)
            try:
                yield self
            finally:
                self._carrier = None
                await carrier.stop(0)

    def check(self, listeners: Sequence[Listener]) -> tuple[Problem, ...]:  # noqa: ARG002 - the interface's
        """Nothing beyond what the document's own checks say."""
        return ()

    async def apply(self, forwarding: Forwarding) -> None:
        """Judge new connections by this from now on. Raises PlaneRefused; then everything is as before."""
        carrier = self._running()
        wanted = replace(await self._resolved(forwarding), routes=())
        deadline = self._clock.monotonic() + _PORT_SECONDS
        while True:
            try:
                await carrier.apply(wanted, drain_seconds=self._drain_seconds)
            except PortInUse as error:
                if self._clock.monotonic() > deadline:
                    raise PlaneRefused(str(error)) from error
                await self._clock.sleep(_POLL_SECONDS)
            except BindError as error:
                raise PlaneRefused(str(error)) from error
            else:
                break
        self._forwarding = forwarding

    def addresses(self) -> frozenset[HostPort]:
        """Where it listens."""
        return self._carrier.addresses() if self._carrier else frozenset()

    def choices(self) -> Mapping[str, Choice]:
        """Everything it was given."""
        names = [plan.listener.name for plan in self._forwarding.plan.listeners]
        return {name: Choice(DataPlaneKind.DETECT, "") for name in names}

    async def counts(self, *, max_age: float = 1.0) -> TrafficCounts:  # noqa: ARG002 - always of this moment
        """What it carries now."""
        return self._carrier.counts() if self._carrier else TrafficCounts()

    async def health(self) -> Mapping[str, str]:
        """How many ports it has."""
        return {"relayed_ports": str(len(self.addresses()))}

    async def shed(self, instance_id: InstanceId, count: int, *, listener: str = "") -> int:
        """Close up to so many connections of an instance, the longest idle first; return how many."""
        return self._running().shed(instance_id, count, listener=listener)

    async def drain(self, deadline_seconds: float) -> int:
        """Listen no more and wait for open connections; return how many were left at the deadline."""
        return await self._running().stop(deadline_seconds)

    def _running(self) -> Carrier:
        if self._carrier is None:
            raise RuntimeError("the detect data plane is not running")
        return self._carrier

    async def _resolved(self, forwarding: Forwarding) -> Forwarding:
        """With IP addresses in place of names; an instance whose name has none now is left out."""
        found = await resolve({HostPort.parse(t.endpoint.address).host for t in _targets(forwarding)})
        listeners = tuple(_place(plan, found) for plan in forwarding.plan.listeners)
        parked = {name: _placed(targets, found) for name, targets in forwarding.parked.items()}
        return replace(forwarding, plan=ForwardingPlan(listeners), parked=parked)


def _targets(forwarding: Forwarding) -> Iterator[Target]:
    for plan in forwarding.plan.listeners:
        for version in plan.versions:
            yield from version.targets
    for parked in forwarding.parked.values():
        yield from parked


def _place(plan: ListenerPlan, found: Mapping[str, str]) -> ListenerPlan:
    versions = [replace(version, targets=_placed(version.targets, found)) for version in plan.versions]
    return replace(plan, versions=tuple(version for version in versions if version.targets))


def _placed(targets: Sequence[Target], found: Mapping[str, str]) -> tuple[Target, ...]:
    placed = []
    for target in targets:
        where = HostPort.parse(target.endpoint.address)
        if (address := found.get(where.host)) is not None:
            endpoint = replace(target.endpoint, address=str(HostPort(address, where.port)))
            placed.append(replace(target, endpoint=endpoint))
    return tuple(placed)
