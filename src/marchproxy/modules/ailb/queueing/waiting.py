"""Waiting: a request that waits for room, and why one does not, or does not any more. Values only."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from marchproxy.model.ai import Queue
from marchproxy.model.module import PoolName
from marchproxy.model.route import RouteId
from marchproxy.modules.ailb.choice import Chosen, NotNow

#: Tries to choose an endpoint; FULL: there is no room.
Choose: TypeAlias = Callable[[], Chosen | NotNow]


class Why(Enum):
    """Why a request is sent away: its route has NO_QUEUE, the queue is CROWDED, or it has waited and it is too LATE."""

    NO_QUEUE = "no queue"
    CROWDED = "crowded"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Shed:
    """A request is sent away. `retry_after`: seconds, as long as somebody who is first now has waited, and a minute at most."""

    why: Why
    retry_after: int


@dataclass(frozen=True, slots=True)
class Entrant:
    """A request that may have to wait. `pools` that could take it; `key`: whose turn it takes; `size`: its body, in bytes."""

    route: RouteId
    options: Queue
    pools: tuple[PoolName, ...]
    key: str = ""
    priority: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """One that waits. `since`: monotonic seconds."""

    entrant: Entrant
    choose: Choose
    number: int
    since: float
    found: asyncio.Future[Chosen | NotNow] = field(repr=False)

    @property
    def priority(self) -> int:
        """From 0 (first) to 9."""
        return self.entrant.priority

    @property
    def key(self) -> str:
        """Whose turn it takes."""
        return self.entrant.key
