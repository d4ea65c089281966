"""Engine: what a module supplies. Everything else of a module is shared."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

from marchproxy.model.choice import PoolChoice
from marchproxy.model.module import HealthStatus, ModuleType, TrafficEndpoint
from marchproxy.model.plan import Verdict
from marchproxy.model.problem import Problem
from marchproxy.model.route import Route, RouteId
from marchproxy.model.state import DesiredState
from marchproxy.modules.base.observation import Observation


@dataclass(frozen=True, slots=True)
class EngineHealth:
    """How an engine is, in words too; `checks` by name, `ok` or what is wrong."""

    status: HealthStatus
    message: str
    checks: Mapping[str, str]

    def but(self, check: str, fault: str) -> "EngineHealth":
        """The same with one more check that fails: degraded, if it is not worse than that already."""
        checks = {**self.checks, check: fault}
        match self.status:
            case HealthStatus.HEALTHY:
                return EngineHealth(HealthStatus.DEGRADED, fault, checks)
            case HealthStatus.DEGRADED:
                return EngineHealth(self.status, f"{self.message}; {fault}", checks)
            case _:
                return EngineHealth(self.status, self.message, checks)


class Isolate(Enum):
    """What of a faulty state is set aside, so that the rest of it runs. Of what is not, the whole state is refused."""

    NOTHING = "nothing"
    """For small changes: their author is there and waits."""
    REJECTED = "rejected"
    """For documents: what the data path rejects although the engine's own check found nothing wrong with it."""
    FAULTY = "faulty"
    """For a start: also what the check finds. Nothing else would serve."""


class Engine(Protocol):
    """The data path of a module, and its rules."""

    @property
    def module_type(self) -> ModuleType:
        """The kind of module."""
        ...

    def endpoints(self) -> tuple[TrafficEndpoint, ...]:
        """Where traffic is accepted; known once the engine has started."""
        ...

    def faults(self, state: DesiredState) -> Iterable[Problem]:
        """What this engine cannot do of an otherwise sound state."""
        ...

    async def rehearse(self, state: DesiredState, isolate: Isolate = Isolate.NOTHING) -> Sequence[Problem]:
        """What `apply` would refuse of a state without `faults`; changes nothing."""
        ...

    async def apply(self, state: DesiredState, isolate: Isolate = Isolate.NOTHING) -> Sequence[Problem]:
        """Run `state`; when this returns, traffic goes by it, except for what is set aside: the problems of that.

        Raises Refused when the engine rejects it or does not answer; the engine then runs what it ran before.
        """
        ...

    @property
    def instances(self) -> int:
        """Among how many instances what is limited is divided now, this one included."""
        ...

    def divide(self, instances: int) -> None:
        """From now on as many instances, this one included, share what is limited. Takes effect soon; must not block."""
        ...

    def can_handle(self, state: DesiredState, route: Route, context: Mapping[str, str]) -> Verdict:
        """Whether traffic of this route can be taken, and why."""
        ...

    async def choices(
        self, state: DesiredState, route_id: RouteId, request: Route, context: Mapping[str, str]
    ) -> Sequence[PoolChoice]:
        """Where a `request`, asked about as for `can_handle`, would go that the route took; empty: nowhere from here.

        Raises Refused (UNAVAILABLE) when the engine does not answer.
        """
        ...

    def health(self) -> EngineHealth:
        """How the engine is, from what is known without asking it. Must not block: GetStatus answers from it."""
        ...

    async def check(self) -> EngineHealth:
        """How the engine is, having asked it and looked at its backends."""
        ...

    async def observe(self) -> Observation:
        """Ask the engine for its counts. Raises Refused (UNAVAILABLE) when it does not answer."""
        ...

    async def exposition(self) -> bytes:
        """Metrics of its own in the Prometheus text format 0.0.4, beside what `observe` tells; empty: none.

        Must answer within 3 seconds, whatever the engine does.
        """
        ...

    async def renew(self, finish_seconds: float | None) -> str:
        """Replace what moves the bytes by a new process without dropping a connection; says what came of it.

        The old process may finish what is open for `finish_seconds`; None: as the settings say. Raises Refused; what
        runs then runs on.
        """
        ...

    async def drain(self, deadline: float) -> int:
        """Take no new connections and wait up to `deadline` seconds; returns how many connections are left."""
        ...


@runtime_checkable
class Parting(Protocol):
    """An engine that can ask its clients to go while it runs on, and take that back."""

    async def part(self, *, on: bool) -> None:
        """Say goodbye with each answer from now on, or no more. Raises Refused (UNAVAILABLE)."""
        ...


@runtime_checkable
class Advising(Protocol):
    """An engine that has more to say of a document than what is wrong with it."""

    def warnings(self, state: DesiredState) -> Iterable[Problem]:
        """What a sound state says that is hardly meant."""
        ...


@runtime_checkable
class Governed(Protocol):
    """An engine that is given what it runs by somebody else. Over gRPC it is only told what that is."""

    @property
    def governor(self) -> str:
        """Who that is, in words; empty: nobody."""
        ...

    @property
    def checksum(self) -> str:
        """Of the document that it runs; empty: none yet."""
        ...
