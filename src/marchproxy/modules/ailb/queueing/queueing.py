"""Queueing: requests wait here while every endpoint that could take them is full, and go on one by one.

One owner, one loop. Nobody overtakes: who comes while others wait for the same pools waits behind them, unless it is more
important.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from math import ceil

from marchproxy.kit.clock import Clock
from marchproxy.model.module import PoolName
from marchproxy.model.route import RouteId
from marchproxy.modules.ailb.choice import FULL, Chosen, NotNow
from marchproxy.modules.ailb.queueing.line import Line
from marchproxy.modules.ailb.queueing.waiting import Choose, Entrant, Shed, Waiting, Why

_LONGEST_RETRY = 60.0
_GRACE = 2.0


@dataclass(slots=True)
class Counts:
    """What became of requests that found no room. `left`: the client went away."""

    queued: int = 0
    served: int = 0
    left: int = 0
    late: int = 0
    crowded: int = 0
    no_queue: int = 0

    @property
    def shed(self) -> Mapping[str, int]:
        """Those that were not served, by why."""
        return {"left": self.left, "late": self.late, "crowded": self.crowded, "no_queue": self.no_queue}


class Queueing:
    """All lines of an instance. `most_bytes`: of all bodies that wait. `give_back` is called with what was found for a client
    that has just gone."""

    def __init__(self, most_bytes: int, give_back: Callable[[Chosen], None], clock: Clock) -> None:
        self.counts = Counts()
        self.bytes = 0
        """Of all who wait."""
        self._most_bytes = most_bytes
        self._give_back = give_back
        self._clock = clock
        self._numbers = count()
        self._lines: dict[tuple[PoolName, ...], Line[Waiting]] = {}
        self._of_routes: Counter[RouteId] = Counter()

    @property
    def is_busy(self) -> bool:
        """Whether anybody waits: then nobody may pass by, but must `enter`."""
        return bool(self._lines)

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def enter(self, entrant: Entrant, choose: Choose) -> Chosen | NotNow | Shed | Waiting:
        """What `choose` finds, when there is room; otherwise wait for it by `result`, or be sent away. Never FULL."""
        line = self._lines.get(entrant.pools)
        if line is None and (found := choose()) is not FULL:
            return found
        options = entrant.options
        if not options.size:
            return self._shed(Why.NO_QUEUE, line)
        if self._of_routes[entrant.route] >= options.size or self.bytes + entrant.size > self._most_bytes:
            return self._shed(Why.CROWDED, line)
        waiting = self._join(entrant, choose)
        if line is not None:  # room that nobody has told of: an endpoint that was left alone is back
            self._serve([line])
        return waiting

    async def result(self, waiting: Waiting) -> Chosen | NotNow | Shed:
        """Wait for one's turn, for as long as the route says. To be cancelled when the client goes away."""
        found = waiting.found
        try:
            async with asyncio.timeout(waiting.entrant.options.wait):
                return await found
        except TimeoutError:
            if _has_result(found):  # at the last moment
                return found.result()
            self._leave(waiting)
            self.counts.late += 1
            return Shed(Why.LATE, _seconds(waiting.entrant.options.wait))
        except asyncio.CancelledError:
            if _has_result(found):
                if isinstance(chosen := found.result(), Chosen):
                    self._give_back(chosen)
            else:
                self._leave(waiting)
            self.counts.left += 1
            raise

    def has_room(self, pool: PoolName) -> None:
        """There may be room in a pool: have those go on whose turn it is."""
        if self._lines:
            self._serve([line for pools, line in self._lines.items() if pool in pools])

    def sweep(self) -> None:
        """Have those go on for whom there is room that nobody has told of. Called about once a second.

        Who has long been late is forgotten: its task was ended before it began to wait.
        """
        now = self._clock.monotonic()
        everybody = [waiting for line in self._lines.values() for waiting in line]
        for waiting in everybody:
            if now - waiting.since > waiting.entrant.options.wait + _GRACE:
                self._leave(waiting)
                waiting.found.cancel()
                self.counts.late += 1
        self._serve(list(self._lines.values()))

    def _serve(self, lines: list[Line[Waiting]]) -> None:
        """One by one, of several lines the one whose first is more important, or came before."""
        while lines := [line for line in lines if line]:
            line = min(lines, key=_first)
            waiting = line.first()
            if waiting.found.done():  # its client has gone, and it will know in a moment
                self._leave(waiting)
                continue
            found = waiting.choose()
            if found is FULL:
                lines.remove(line)
                continue
            line.serve()
            self._left(waiting)
            self.counts.served += 1
            waiting.found.set_result(found)

    def _join(self, entrant: Entrant, choose: Choose) -> Waiting:
        found: asyncio.Future[Chosen | NotNow] = asyncio.get_running_loop().create_future()
        waiting = Waiting(entrant, choose, next(self._numbers), self._clock.monotonic(), found)
        self._lines.setdefault(entrant.pools, Line()).join(waiting)
        self._of_routes[entrant.route] += 1
        self.bytes += entrant.size
        self.counts.queued += 1
        return waiting

    def _leave(self, waiting: Waiting) -> None:
        line = self._lines.get(waiting.entrant.pools)
        if line is not None and line.leave(waiting):
            self._left(waiting)

    def _left(self, waiting: Waiting) -> None:
        entrant = waiting.entrant
        self.bytes -= entrant.size
        self._of_routes[entrant.route] -= 1
        if not self._of_routes[entrant.route]:
            del self._of_routes[entrant.route]
        if not self._lines[entrant.pools]:
            del self._lines[entrant.pools]

    def _shed(self, why: Why, line: Line[Waiting] | None) -> Shed:
        if why is Why.CROWDED:
            self.counts.crowded += 1
        else:
            self.counts.no_queue += 1
        return Shed(why, _seconds(self._clock.monotonic() - line.first().since) if line else 1)


def _first(line: Line[Waiting]) -> tuple[int, int]:
    waiting = line.first()
    return waiting.priority, waiting.number


def _has_result(found: asyncio.Future[Chosen | NotNow]) -> bool:
    return found.done() and not found.cancelled()


def _seconds(age: float) -> int:
    return ceil(min(max(age, 1.0), _LONGEST_RETRY))
