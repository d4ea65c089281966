"""The interface of a data plane: it is given what to forward, and tells what it carries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from marchproxy.model.limit import LimitId, RateLimit
from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.module import InstanceId, ModuleInstance
from marchproxy.model.plan import ForwardingPlan, ListenerPlan, Target, target_for
from marchproxy.model.problem import Problem
from marchproxy.model.route import Route


@dataclass(frozen=True, slots=True)
class Forwarding:
    """What to forward. `parked`, by listener: instances that get no new connection but may finish those they have.

    `limits` are those that the NLB keeps, enabled ones only. `routes` tell listeners of one address apart by request.
    """

    plan: ForwardingPlan = ForwardingPlan()
    parked: Mapping[str, tuple[Target, ...]] = field(default_factory=dict, hash=False)
    limits: tuple[RateLimit, ...] = ()
    routes: tuple[Route, ...] = ()


@dataclass(frozen=True, slots=True)
class ConnectionCounts:
    """Connections: open now, ever opened, attempts to connect that failed, and those refused by a limit or a rule.

    `received` from clients and `sent` to them, in bytes.
    """

    active: int = 0
    total: int = 0
    failed: int = 0
    denied: int = 0
    received: int = 0
    sent: int = 0

    def __add__(self, other: "ConnectionCounts") -> "ConnectionCounts":
        return ConnectionCounts(
            self.active + other.active,
            self.total + other.total,
            self.failed + other.failed,
            self.denied + other.denied,
            self.received + other.received,
            self.sent + other.sent,
        )


@dataclass(frozen=True, slots=True)
class LimitCounts:
    """New connections that a rate limit let pass, and those it refused."""

    allowed: int = 0
    denied: int = 0

    def __add__(self, other: "LimitCounts") -> "LimitCounts":
        return LimitCounts(self.allowed + other.allowed, self.denied + other.denied)


@dataclass(frozen=True, slots=True)
class TrafficCounts:
    """What a data plane carries: by listener name, by (listener name, instance), and by rate limit.

    `closes`: how connections ended, by (listener name, outcome), as far as the plane tells outcomes apart.
    """

    listeners: Mapping[str, ConnectionCounts] = field(default_factory=dict)
    endpoints: Mapping[tuple[str, InstanceId], ConnectionCounts] = field(default_factory=dict)
    limits: Mapping[LimitId, LimitCounts] = field(default_factory=dict)
    closes: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def of_instance(self, instance_id: InstanceId) -> ConnectionCounts | None:
        """The sums over all listeners; None when no listener has the instance behind it."""
        found = [counts for (_, instance), counts in self.endpoints.items() if instance == instance_id]
        if not found:
            return None
        return sum(found, start=ConnectionCounts())

    def by_instance(self) -> dict[InstanceId, ConnectionCounts]:
        """The sums over all listeners, of every instance at once."""
        found: dict[InstanceId, ConnectionCounts] = {}
        for (_, instance), counts in self.endpoints.items():
            found[instance] = found[instance] + counts if instance in found else counts
        return found


@dataclass(frozen=True, slots=True)
class Choice:
    """Which data plane carries a listener, never AUTO, and why."""

    plane: DataPlaneKind
    reason: str


class PlaneRefused(Exception):
    """The data plane cannot carry this out; it goes on with what it had. The message is for the plan's author."""


class PlaneUnavailable(Exception):
    """The data plane does not answer now; a later attempt may succeed."""


class DataPlane(Protocol):
    """Something that forwards connections."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    def check(self, listeners: Sequence[Listener]) -> tuple[Problem, ...]:
        """What this data plane cannot forward; paths as in the document (`listeners[0].protocol`)."""
        ...

    async def apply(self, forwarding: Forwarding) -> None:
        """Return when it is in force. Raises PlaneRefused, PlaneUnavailable; then everything is as before."""
        ...

    def choices(self) -> Mapping[str, Choice]:
        """What carries each listener that is in force, by the listener's name."""
        ...

    async def counts(self, *, max_age: float = 1.0) -> TrafficCounts:
        """What it carries; at most `max_age` seconds old. Raises PlaneUnavailable."""
        ...

    async def health(self) -> Mapping[str, str]:
        """Facts by name. Raises PlaneUnavailable when it does not forward as it should."""
        ...

    async def shed(self, instance_id: InstanceId, count: int, *, listener: str = "") -> int:
        """Politely close up to so many connections of an instance, the longest idle first; how many it could.

        `listener`: only those of this one; empty: of all. A plane that cannot choose among connections closes none.
        """
        ...


def park(plan: ForwardingPlan, instances: Sequence[ModuleInstance]) -> Mapping[str, tuple[Target, ...]]:
    """The instances that the plan skipped and that have an endpoint for the listener, by listener name."""
    by_id = {instance.instance_id: instance for instance in instances}
    return {
        listener.listener.name: parked for listener in plan.listeners if (parked := _parked(listener, by_id))
    }


def _parked(listener: ListenerPlan, by_id: Mapping[InstanceId, ModuleInstance]) -> tuple[Target, ...]:
    found = []
    for skipped in listener.skipped:
        instance = by_id[skipped.instance_id]
        if (target := target_for(instance, listener.listener, weight=0)) is not None:
            found.append(target)
    return tuple(found)
