"""Crew: the workers of an instance, as its engine knows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from marchproxy.model.route import RouteId
from marchproxy.model.state import DesiredState
from marchproxy.modules.dblb.plan import Files
from marchproxy.modules.dblb.service import ServerReport
from marchproxy.modules.dblb.tally import PoolGauge, Tally, TallyKey


@dataclass(frozen=True, slots=True)
class Counted:
    """What all workers counted. What only grows never goes back, even when a worker is started again.

    `clients`: connected now, in any state; `accepted`: since the start. CPU in percent of one core, memory in MB.
    """

    tallies: Mapping[TallyKey, Tally] = field(default_factory=dict)
    gauges: tuple[PoolGauge, ...] = ()
    clients: int = 0
    accepted: int = 0
    cpu_percent: float = 0.0
    memory_mb: float = 0.0


class Crew(Protocol):
    """Processes that serve one plan on the same ports."""

    async def apply(self, state: DesiredState, files: Files) -> None:
        """Have all workers serve by this, a sound state and the contents of `plan.files_of` it.

        Raises Refused (INVALID_ARGUMENT: it cannot be; UNAVAILABLE: a worker does not answer); all is as before then.
        """
        ...

    @property
    def instances(self) -> int:
        """Among how many instances limits are divided."""
        ...

    def divide(self, instances: int) -> None:
        """Divide limits among so many instances from now on; the workers hear of it soon."""
        ...

    def health(self) -> Mapping[str, str]:
        """By name of a check, `ok` or what is wrong: each worker, and the files. Asks nobody."""
        ...

    async def count(self) -> Counted:
        """What they count. Raises Refused (UNAVAILABLE) when no worker answers."""
        ...

    async def servers(self) -> Sequence[ServerReport]:
        """The servers as they were last seen, each once. Raises Refused (UNAVAILABLE)."""
        ...

    async def check(self) -> Sequence[ServerReport]:
        """The servers, asked a real query now, each once. Raises Refused (UNAVAILABLE)."""
        ...

    async def serving(self) -> Sequence[DesiredState]:
        """What workers serve that were there before, each state once. Raises Refused (UNAVAILABLE)."""
        ...

    async def pause(self, routes: Sequence[RouteId], seconds: float) -> None:
        """Begin nothing new on the servers of these routes, in any worker, nor in one that is started meanwhile.

        After so many seconds a worker goes on by itself, if nothing else is told before; 0: not at all. A later `apply`
        does not end it. Raises Refused (UNAVAILABLE); then they are not paused.
        """
        ...

    async def busy(self, route: RouteId) -> int:
        """How many server connections of the route are in use, in all workers. Raises Refused (UNAVAILABLE)."""
        ...

    async def resume(self) -> None:
        """Go on with all routes, in every worker that can be reached, by the plan as it is now. Raises nothing."""
        ...

    async def renew(self, finish_seconds: float | None) -> str:
        """Replace all workers by new ones, one by one; the old ones finish what is open. Says what came of it.

        Raises Refused (UNAVAILABLE); who could not be replaced serves on.
        """
        ...

    async def drain(self, seconds: float) -> int:
        """Listen no more, have clients go when that interrupts nothing; how many are left after so many seconds."""
        ...
