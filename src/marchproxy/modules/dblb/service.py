"""Service: one protocol in a worker, as the worker knows it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from marchproxy.kit.clock import Clock
from marchproxy.model.route import RouteId
from marchproxy.modules.dblb.gate import Gate
from marchproxy.modules.dblb.plan import DblbPlan
from marchproxy.modules.dblb.tally import PoolGauge, Tallies
from marchproxy.modules.reception.client import Arrival

#: How long a service waits for each server that it asks for a check.
CHECK_SECONDS = 2.5

#: Clients of a service that have not logged in yet, at most: half of all that a worker lets in. For one more the oldest goes.
MOST_NEWCOMERS = 5_000

#: Tells the same service of another worker (its number) something, of up to 1024 bytes, and returns when that has done with
#: it, or after 5 s; whether it arrived is not known.
Elsewhere: TypeAlias = Callable[[int, bytes], Awaitable[None]]


async def nowhere(worker: int, message: bytes) -> None:
    """Elsewhere, where there is no other worker."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Memory of a worker, in bytes: the longest message that is kept whole; prepared statements, of all its clients
    together and of each server connection."""

    message: int = 64 * 1024 * 1024
    client_statements: int = 64 * 1024 * 1024
    server_statements: int = 4 * 1024 * 1024


@dataclass(slots=True)
class Surroundings:
    """What every service is given. `worker` of `workers`: sizes of pools are divided among them."""

    group: asyncio.TaskGroup
    clock: Clock
    tallies: Tallies
    gate: Gate
    worker: int = 0
    workers: int = 1
    elsewhere: Elsewhere = nowhere
    bounds: Bounds = Bounds()
    folder: Path = Path()
    """Where the processes of an instance have their sockets."""

    def share(self, size: int) -> int:
        """This worker's part of a number of connections, at least 1."""
        return max(1, size // self.workers + (self.worker < size % self.workers))


@dataclass(frozen=True, slots=True)
class ServerReport:
    """A server of a pool, as it was last seen: `role` primary, replica or unknown; `lag` in seconds or None; `fault` empty: none."""

    pool: str
    address: str
    role: str
    latency: float | None = None
    lag: float | None = None
    fault: str = ""


class DatabaseService(Protocol):
    """All sessions of one protocol in one worker, on whichever port they came."""

    def apply(self, plan: DblbPlan) -> None:
        """Serve by this from now on. Sessions that are open go on as long as their route is there and their pool stays."""
        ...

    def accept(self, arrival: Arrival) -> asyncio.Protocol:
        """The protocol of a client that has just connected; TLS that begins with the first byte has begun before."""
        ...

    def sweep(self) -> None:
        """Close what was not used for long. Called about once a second."""
        ...

    def clients(self) -> int:
        """How many clients are connected."""
        ...

    def gauges(self) -> Sequence[PoolGauge]:
        """The connections to servers."""
        ...

    def servers(self) -> Sequence[ServerReport]:
        """The servers as they were last seen."""
        ...

    async def check(self) -> Sequence[ServerReport]:
        """The servers, each asked a real query now; must answer within 3 seconds."""
        ...

    async def told(self, message: bytes) -> None:
        """What the same service of another worker said by `elsewhere`, such as a cancellation, of a client that is here."""
        ...

    def pause(self, route: RouteId) -> None:
        """Begin nothing new on the servers of a route: clients wait, for as long as they may wait for a connection."""
        ...

    def busy(self, route: RouteId) -> int:
        """How many server connections of the route are in use."""
        ...

    def resume(self, route: RouteId) -> None:
        """Go on, by the plan as it is now."""
        ...

    def drain(self) -> None:
        """The worker will end: close each client's connection as soon as that interrupts nothing."""
        ...

    def close(self) -> None:
        """End everything now."""
        ...
