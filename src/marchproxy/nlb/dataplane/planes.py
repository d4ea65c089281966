"""Planes: the kernel and Envoy as one data plane. Each listener is carried by one of them.

A listener that moves is in both for a moment, never in neither; the kernel's rules come first on a packet's way, so what
both have is the kernel's.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

from marchproxy.kit.clock import Clock
from marchproxy.kit.listening import BindError, PortInUse, check_free
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings.types import HostPort
from marchproxy.model.kernel import kernel_limits
from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.plan import ForwardingPlan, ListenerPlan
from marchproxy.model.problem import Problem
from marchproxy.nlb.dataplane.choosing import Ground, choose_plane
from marchproxy.nlb.dataplane.envoy import EnvoyDataPlane
from marchproxy.nlb.dataplane.kernel import KernelDataPlane
from marchproxy.nlb.dataplane.plane import (
    Choice,
    ConnectionCounts,
    DataPlane,
    Forwarding,
    LimitCounts,
    PlaneRefused,
    PlaneUnavailable,
    TrafficCounts,
)
from marchproxy.nlb.settings import NlbSettings

_log = get_logger(__name__)
_Key = TypeVar("_Key")
_Counts = TypeVar("_Counts", ConnectionCounts, LimitCounts)


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


class Planes:
    """A DataPlane over two. `apply` calls come one at a time."""

    def __init__(
        self, envoy: DataPlane, kernel: KernelPlane, *, check_port: Callable[[Listener], None] | None = None
    ) -> None:
        """`check_port` raises PlaneRefused when another program listens where the kernel is to take connections."""
        self._envoy = envoy
        self._kernel = kernel
        self._check_port = check_port or _check_port
        self._choices: Mapping[str, Choice] = {}
        self._parts: tuple[Forwarding, Forwarding] | None = (
            None  # before the first plan: what earlier runs left
        )

    @property
    def name(self) -> str:
        """Those that carry something."""
        in_kernel = self._parts is not None and self._parts[0].plan.listeners
        return f"{self._envoy.name} and {self._kernel.name}" if in_kernel else self._envoy.name

    def check(self, listeners: Sequence[Listener]) -> tuple[Problem, ...]:
        """What neither can forward, and what only one could, which cannot be used here."""
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
        """Divide the plan and put both parts in force. Raises PlaneRefused, PlaneUnavailable; then all is as before."""
        ground = await self._survey(forwarding)
        choices = self._choose(ground, forwarding)
        kernel, envoy = (
            _part(forwarding, choices, kind) for kind in (DataPlaneKind.KERNEL, DataPlaneKind.ENVOY)
        )
        self._check_ports(kernel)
        both = _joined(kernel, _leaving(self._parts[0], envoy)) if self._parts else kernel
        await self._kernel.apply(both, ground)
        try:
            await self._envoy.apply(envoy)
            if both != kernel:
                await self._kernel.apply(kernel, ground)
        except (PlaneRefused, PlaneUnavailable):
            await self._go_back(ground)
            raise
        self._parts = (kernel, envoy)
        self._tell(choices)
        self._choices = choices

    async def counts(self, *, max_age: float = 1.0) -> TrafficCounts:
        """What both carry. Raises PlaneUnavailable."""
        first = await self._kernel.counts(max_age=max_age)
        second = await self._envoy.counts(max_age=max_age)
        return TrafficCounts(
            _summed(first.listeners, second.listeners),
            _summed(first.endpoints, second.endpoints),
            _summed(first.limits, second.limits),
        )

    async def health(self) -> Mapping[str, str]:
        """Facts about both. Raises PlaneUnavailable when one of them does not forward as it should."""
        return {**await self._envoy.health(), **await self._kernel.health()}

    def _check_ports(self, kernel: Forwarding) -> None:
        known = {plan.listener.address for part in self._parts or () for plan in part.plan.listeners}
        for plan in kernel.plan.listeners:
            if plan.listener.address not in known and not plan.listener.over_udp:
                self._check_port(plan.listener)

    async def _survey(self, forwarding: Forwarding) -> Ground:
        listeners = (plan.listener for plan in forwarding.plan.listeners)
        if not any(_may_use_kernel(listener) for listener in listeners):
            return Ground()
        return await self._kernel.survey(forwarding)

    def _choose(self, ground: Ground, forwarding: Forwarding) -> Mapping[str, Choice]:
        choices = self._choose_on(ground, forwarding)
        wanted = any(choice.plane is DataPlaneKind.KERNEL for choice in choices.values())
        if wanted and (obstacle := self._kernel.claim()):
            return self._choose_on(replace(ground, obstacle=obstacle), forwarding)
        return choices

    def _choose_on(self, ground: Ground, forwarding: Forwarding) -> Mapping[str, Choice]:
        before = {name: choice.plane for name, choice in self._choices.items()}
        return {
            plan.listener.name: choose_plane(plan, ground, before=before.get(plan.listener.name))
            for plan in forwarding.plan.listeners
        }

    async def _go_back(self, ground: Ground) -> None:
        if self._parts is None:
            return
        kernel, envoy = self._parts
        for name, again in (
            (self._envoy.name, partial(self._envoy.apply, envoy)),
            (self._kernel.name, partial(self._kernel.apply, kernel, ground)),
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
    """The kernel of this host and an Envoy of our own. `probe` before anything else; forward inside `running`."""

    def __init__(self, settings: NlbSettings, *, clock: Clock) -> None:
        self.envoy = EnvoyDataPlane(settings, clock=clock)
        self.kernel = KernelDataPlane(settings, clock=clock)
        super().__init__(self.envoy, self.kernel, check_port=self._check_port_beside_envoy)

    async def probe(self) -> None:
        """Find out whether the kernel can be used. It is told once, in the log."""
        await self.kernel.probe()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["HostPlanes"]:
        """Run Envoy, and have the kernel. Raises as `EnvoyDataPlane.running`."""
        async with self.kernel.running(), self.envoy.running():
            yield self

    async def drain(self, deadline_seconds: float) -> int:
        """Take no new connections, wait for open ones, remove the kernel's rules; return how many are left open."""
        async with asyncio.TaskGroup() as group:
            by_envoy = group.create_task(self.envoy.drain(deadline_seconds))
            by_kernel = group.create_task(self.kernel.drain(deadline_seconds))
        return by_envoy.result() + by_kernel.result()

    def _check_port_beside_envoy(self, listener: Listener) -> None:
        if HostPort(listener.host, listener.port) not in self.envoy.addresses():
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


def _part(forwarding: Forwarding, choices: Mapping[str, Choice], kind: DataPlaneKind) -> Forwarding:
    plans = tuple(plan for plan in forwarding.plan.listeners if choices[plan.listener.name].plane is kind)
    return _of(plans, forwarding)


def _leaving(kernel: Forwarding, envoy: Forwarding) -> Forwarding:
    """What the kernel carries and Envoy is to take over; by address, which is what clients know."""
    wanted = {plan.listener.address for plan in envoy.plan.listeners}
    return _of((plan for plan in kernel.plan.listeners if plan.listener.address in wanted), kernel)


def _joined(kernel: Forwarding, moving: Forwarding) -> Forwarding:
    names = {plan.listener.name for plan in kernel.plan.listeners}
    extra = tuple(plan for plan in moving.plan.listeners if plan.listener.name not in names)
    if not extra:
        return kernel
    plan = ForwardingPlan((*kernel.plan.listeners, *extra))
    return replace(kernel, plan=plan, parked={**moving.parked, **kernel.parked})


def _of(plans: Iterable[ListenerPlan], forwarding: Forwarding) -> Forwarding:
    kept = tuple(plans)
    names = {plan.listener.name for plan in kept}
    parked = {name: targets for name, targets in forwarding.parked.items() if name in names}
    return replace(forwarding, plan=ForwardingPlan(kept), parked=parked)


def _index(path: str) -> int:
    return int(path.partition("[")[2].partition("]")[0])


def _summed(first: Mapping[_Key, _Counts], second: Mapping[_Key, _Counts]) -> dict[_Key, _Counts]:
    found = {**first, **second}
    for key in first.keys() & second.keys():
        found[key] = first[key] + second[key]
    return found
