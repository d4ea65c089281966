"""The interface of a data plane: it is given what to forward, and tells what it carries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.module import InstanceId, ModuleInstance
from marchproxy.model.plan import ForwardingPlan, ListenerPlan, Target, target_for
from marchproxy.model.problem import Problem


@dataclass(frozen=True, slots=True)
class Forwarding:
    """What to forward. `parked`, by listener: instances that get no new connection but may finish those they have."""

    plan: ForwardingPlan = ForwardingPlan()
    parked: Mapping[str, tuple[Target, ...]] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class ConnectionCounts:
    """Connections: open now, ever opened, and attempts to connect that failed."""

    active: int = 0
    total: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class TrafficCounts:
    """What a data plane carries: by listener name, and by (listener name, instance)."""

    listeners: Mapping[str, ConnectionCounts] = field(default_factory=dict)
    endpoints: Mapping[tuple[str, InstanceId], ConnectionCounts] = field(default_factory=dict)

    def of_instance(self, instance_id: InstanceId) -> ConnectionCounts | None:
        """The sums over all listeners; None when no listener has the instance behind it."""
        found = [counts for (_, instance), counts in self.endpoints.items() if instance == instance_id]
        if not found:
            return None
        return ConnectionCounts(
            sum(counts.active for counts in found),
            sum(counts.total for counts in found),
            sum(counts.failed for counts in found),
        )


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
