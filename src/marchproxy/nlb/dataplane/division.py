"""Division: a forwarding cut into the parts of several planes, and what they count put together again. Pure."""

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from marchproxy.kit.settings.types import HostPort
from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.plan import ForwardingPlan, ListenerPlan
from marchproxy.nlb.dataplane.plane import (
    Choice,
    ConnectionCounts,
    Forwarding,
    LimitCounts,
    TrafficCounts,
)

_Key = TypeVar("_Key")
_Counts = TypeVar("_Counts", ConnectionCounts, LimitCounts)


@dataclass(frozen=True, slots=True)
class Parts:
    """A forwarding, divided among the planes."""

    kernel: Forwarding
    envoy: Forwarding
    detect: Forwarding


def divide(forwarding: Forwarding, choices: Mapping[str, Choice]) -> Parts:
    """The part of each plane."""

    def part(kind: DataPlaneKind) -> Forwarding:
        plans = (plan for plan in forwarding.plan.listeners if choices[plan.listener.name].plane is kind)
        return _of(plans, forwarding)

    return Parts(part(DataPlaneKind.KERNEL), part(DataPlaneKind.ENVOY), part(DataPlaneKind.DETECT))


def leaving(kernel: Forwarding, parts: Parts) -> Forwarding:
    """What the kernel carries and another is to take over; by address, which is what clients know."""
    others = (*parts.envoy.plan.listeners, *parts.detect.plan.listeners)
    wanted = {plan.listener.address for plan in others}
    return _of((plan for plan in kernel.plan.listeners if plan.listener.address in wanted), kernel)


def without(part: Forwarding, held: Container[HostPort]) -> Forwarding:
    """The part without the TCP ports that somebody else has still open."""
    return _of((plan for plan in part.plan.listeners if not _is_held(plan.listener, held)), part)


def _is_held(listener: Listener, held: Container[HostPort]) -> bool:
    return not listener.over_udp and HostPort(listener.host, listener.port) in held


def joined(kernel: Forwarding, moving: Forwarding) -> Forwarding:
    """The kernel's part with what is moving away from it."""
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


def add_counts(first: TrafficCounts, second: TrafficCounts) -> TrafficCounts:
    """Both together."""
    return TrafficCounts(
        _summed(first.listeners, second.listeners),
        _summed(first.endpoints, second.endpoints),
        _summed(first.limits, second.limits),
        Counter(first.closes) + Counter(second.closes),
    )


def _summed(first: Mapping[_Key, _Counts], second: Mapping[_Key, _Counts]) -> dict[_Key, _Counts]:
    found = {**first, **second}
    for key in first.keys() & second.keys():
        found[key] = first[key] + second[key]
    return found
