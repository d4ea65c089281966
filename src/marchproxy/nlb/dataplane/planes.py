"""Planes: the kernel, Envoy and the relay as one data plane. Each port is carried by one of them.

A port that moves to or from the kernel is in both for a moment, never in neither; the kernel's rules come first on a
packet's way, so what both have is the kernel's. Envoy and the relay both need the socket: one closes it, then the other
opens it (docs/adr/0008). What the kernel took over lingers (`lingering`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Protocol

from marchproxy.kit.clock import Clock, SystemClock
from marchproxy.kit.listening import BindError, PortInUse, check_free
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings.types import HostPort
from marchproxy.kit.tasks import beside, every
from marchproxy.model.kernel import kernel_limits
from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.module import InstanceId
from marchproxy.model.problem import Problem
from marchproxy.model.sharing import share
from marchproxy.nlb.dataplane.choosing import Ground, Situation, choose_plane
from marchproxy.nlb.dataplane.detect import DetectDataPlane
from marchproxy.nlb.dataplane.division import Parts, add_counts, divide, joined, leaving, without
from marchproxy.nlb.dataplane.envoy import EnvoyDataPlane
from marchproxy.nlb.dataplane.kernel import KernelDataPlane
from marchproxy.nlb.dataplane.lingering import Lingering, linger, with_lingering
from marchproxy.nlb.dataplane.plane import (
    Choice,
    DataPlane,
    Forwarding,
    PlaneRefused,
    PlaneUnavailable,
    TrafficCounts,
)
from marchproxy.nlb.settings import NlbSettings

_log = get_logger(__name__)


class KernelPlane(DataPlane, Protocol):
    """The kernel's plane, as far as choosing and moving need it."""

    def claim(self) -> str:
        """Become the one NLB that uses it; why that cannot be, or empty."""
        ...

    async def survey(self, forwarding: Forwarding) -> Ground:
        """What it stands on now. Raises PlaneUnavailable."""
        ...

    async def apply(self, forwarding: Forwarding, ground: Ground | None = None) -> None:
        """Put it in force on this ground, or on what a survey finds. Raises PlaneRefused, PlaneUnavailable."""
        ...


class SocketPlane(DataPlane, Protocol):
    """A plane that listens."""

    def addresses(self) -> frozenset[HostPort]:
        """Where it listens over TCP now."""
        ...


class Planes:
    """A DataPlane over three. `apply` calls come one at a time."""

    def __init__(
        self,
        envoy: SocketPlane,
        kernel: KernelPlane,
        detect: SocketPlane,
        *,
        check_port: Callable[[Listener], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`check_port` raises PlaneRefused when another program listens where the kernel is to take connections."""
        self._envoy = envoy
        self._kernel = kernel
        self._detect = detect
        self._check_port = check_port or _check_port
        self._clock = clock or SystemClock()
        self._changing = asyncio.Lock()
        self._lingering: tuple[Lingering, ...] = ()
        self._choices: Mapping[str, Choice] = {}
        self._parts: Parts | None = None  # before the first plan: what earlier runs left

    @property
    def name(self) -> str:
        """Those that carry something."""
        parts = self._parts or Parts(Forwarding(), Forwarding(), Forwarding())
        used = [self._envoy.name]
        used += [
            plane.name
            for plane, part in ((self._kernel, parts.kernel), (self._detect, parts.detect))
            if part.plan.listeners
        ]
        return " and ".join(used)

    def check(self, listeners: Sequence[Listener]) -> tuple[Problem, ...]:
        """What none can forward, and what only one could, which cannot be used here."""
        limits = [
            limit
            for index, listener in enumerate(listeners)
            if listener.kernel_only
            for limit in kernel_limits(listener, f"listeners[{index}]")
        ]
        own = [*limits, *self._kernel.check(listeners)]
        by_envoy = {listener.name for listener in listeners if not listener.kernel_only}
        beside = [
            problem
            for problem in self._envoy.check(listeners)
            if listeners[_index(problem.path)].name in by_envoy
        ]
        return (*own, *beside)

    def choices(self) -> Mapping[str, Choice]:
        """What carries each listener, and why."""
        return self._choices

    async def apply(self, forwarding: Forwarding) -> None:
        """Divide the plan and put all parts in force. Raises PlaneRefused, PlaneUnavailable; then all is as before."""
        async with self._changing:
            ground = await self._survey(forwarding)
            choices = self._choose(ground, forwarding)
            parts = divide(forwarding, choices)
            self._check_ports(parts.kernel)
            moving = leaving(self._parts.kernel, parts) if self._parts else Forwarding()
            both = joined(parts.kernel, moving)
            await self._kernel.apply(both, ground)
            try:
                lingering = await self._open_lingering(parts)
                if both != parts.kernel:
                    await self._kernel.apply(parts.kernel, ground)
            except (PlaneRefused, PlaneUnavailable):
                await self._go_back(ground)
                raise
            self._parts, self._lingering = parts, lingering
            self._tell(choices)
            self._choices = choices

    async def retire(self) -> None:
        """Close the sockets that have lingered long enough. Raises PlaneRefused, PlaneUnavailable; then they stay."""
        async with self._changing:
            now = self._clock.monotonic()
            left = tuple(one for one in self._lingering if one.until > now)
            if self._parts is not None and left != self._lingering:
                await self._open(with_lingering(self._parts, left))
                self._lingering = left

    async def counts(self, *, max_age: float = 1.0) -> TrafficCounts:
        """What all carry. Raises PlaneUnavailable."""
        total = TrafficCounts()
        for plane in (self._kernel, self._envoy, self._detect):
            total = add_counts(total, await plane.counts(max_age=max_age))
        return total

    async def health(self) -> Mapping[str, str]:
        """Facts about all. Raises PlaneUnavailable when one of them does not forward as it should."""
        return {
            **await self._envoy.health(),
            **await self._kernel.health(),
            **await self._detect.health(),
        }

    async def shed(self, instance_id: InstanceId, count: int, *, listener: str = "") -> int:
        """Close up to so many connections of an instance, on the planes that can; return how many."""
        closed = 0
        for plane in (self._detect, self._envoy, self._kernel):
            closed += await plane.shed(instance_id, count - closed, listener=listener)
        return closed

    async def _open_lingering(self, parts: Parts) -> tuple[Lingering, ...]:
        """Open the parts, with what lingers as far as it may; return that."""
        now = self._clock.monotonic()
        lingering = linger(self._parts, parts, self._lingering, now) if self._parts else ()
        if lingering:
            try:
                await self._open(with_lingering(parts, lingering))
            except PlaneRefused as error:
                _log.info("what the kernel takes over is closed at once", reason=str(error))
            else:
                return lingering
        await self._open(parts)
        return ()

    async def _open(self, parts: Parts) -> None:
        """Have Envoy and the relay listen. A port that moves between them is closed by one before the other opens it."""
        envoy = without(parts.envoy, self._detect.addresses())
        detect = without(parts.detect, self._envoy.addresses())
        if detect != parts.detect:
            await self._envoy.apply(envoy)
        if envoy != parts.envoy:
            await self._detect.apply(detect)
        await self._detect.apply(parts.detect)  # first, because nobody has the port that it takes from Envoy
        await self._envoy.apply(parts.envoy)

    def _check_ports(self, kernel: Forwarding) -> None:
        parts = (self._parts.kernel, self._parts.envoy, self._parts.detect) if self._parts else ()
        known = {plan.listener.address for part in parts for plan in part.plan.listeners}
        for plan in kernel.plan.listeners:
            if plan.listener.address not in known and not plan.listener.over_udp:
                self._check_port(plan.listener)

    async def _survey(self, forwarding: Forwarding) -> Ground:
        carried = (
            self._parts.kernel.plan.listeners if self._parts else ()
        )  # what moves away is built once more
        listeners = (plan.listener for plan in forwarding.plan.listeners)
        if not carried and not any(_may_use_kernel(listener) for listener in listeners):
            return Ground()
        return await self._kernel.survey(forwarding)

    def _choose(self, ground: Ground, forwarding: Forwarding) -> Mapping[str, Choice]:
        choices = self._choose_on(ground, forwarding)
        wanted = any(choice.plane is DataPlaneKind.KERNEL for choice in choices.values())
        if wanted and (obstacle := self._kernel.claim()):
            return self._choose_on(replace(ground, obstacle=obstacle), forwarding)
        return choices

    def _choose_on(self, ground: Ground, forwarding: Forwarding) -> Mapping[str, Choice]:
        plans = {plan.listener.name: plan for plan in forwarding.plan.listeners}
        situation = Situation(ground, forwarding.limits)
        choices = {}
        for port in share(plan.listener for plan in plans.values()):
            own = [plans[listener.name] for listener in port.listeners]
            before = self._choices.get(port.first.name)
            choice = choose_plane(port, own, situation, before=before.plane if before else None)
            choices.update({listener.name: choice for listener in port.listeners})
        return choices

    async def _go_back(self, ground: Ground) -> None:
        if self._parts is None:
            return
        for name, again in (
            ("envoy and detect", partial(self._open, with_lingering(self._parts, self._lingering))),
            (self._kernel.name, partial(self._kernel.apply, self._parts.kernel, ground)),
        ):
            try:
                await again()
            except (PlaneRefused, PlaneUnavailable) as error:
                _log.error("a data plane could not be taken back", plane=name, reason=str(error))

    def _tell(self, choices: Mapping[str, Choice]) -> None:
        for name, choice in choices.items():
            if self._choices.get(name) != choice:
                _log.info(
                    "data plane chosen", listener=name, data_plane=choice.plane.value, reason=choice.reason
                )


class HostPlanes(Planes):
    """The kernel of this host, an Envoy and a relay of our own. `probe` before anything else; forward inside `running`."""

    def __init__(self, settings: NlbSettings, *, clock: Clock) -> None:
        self.envoy = EnvoyDataPlane(settings, clock=clock)
        self.kernel = KernelDataPlane(settings, clock=clock)
        self.detect = DetectDataPlane(settings, clock=clock)
        own = self._check_port_beside_own
        super().__init__(self.envoy, self.kernel, self.detect, check_port=own, clock=clock)

    async def probe(self) -> None:
        """Find out whether the kernel can be used. It is told once, in the log."""
        await self.kernel.probe()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["HostPlanes"]:
        """Run Envoy and the relay, and have the kernel. Raises as `EnvoyDataPlane.running`."""
        retiring = every(1.0, self.retire, clock=self._clock, name="lingering sockets")
        async with (
            self.kernel.running(),
            self.envoy.running(),
            self.detect.running(),
            beside(retiring, name="lingering sockets"),
        ):
            yield self

    async def drain(self, deadline_seconds: float) -> int:
        """Take no new connections, wait for open ones, remove the kernel's rules; return how many are left open."""
        async with asyncio.TaskGroup() as group:
            by_envoy = group.create_task(self.envoy.drain(deadline_seconds))
            by_kernel = group.create_task(self.kernel.drain(deadline_seconds))
            by_detect = group.create_task(self.detect.drain(deadline_seconds))
        return by_envoy.result() + by_kernel.result() + by_detect.result()

    def _check_port_beside_own(self, listener: Listener) -> None:
        own = self.envoy.addresses() | self.detect.addresses()
        if HostPort(listener.host, listener.port) not in own:
            _check_port(listener)


def _may_use_kernel(listener: Listener) -> bool:
    return listener.data_plane is not DataPlaneKind.ENVOY and not any(kernel_limits(listener))


def _check_port(listener: Listener) -> None:
    try:
        check_free(HostPort(listener.host, listener.port), f'listener "{listener.name}"')
    except PortInUse as error:
        raise PlaneRefused(str(error)) from error
    except BindError:
        return  # an address that is not this host's: the kernel takes its connections where they pass by


def _index(path: str) -> int:
    return int(path.partition("[")[2].partition("]")[0])
