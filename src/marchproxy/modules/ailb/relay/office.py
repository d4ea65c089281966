"""Office: what all requests of a relay share: the ways, the connections to engines, who is told of ends, time and tasks."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Protocol

from marchproxy.modules.ailb.relay.errands import Errands
from marchproxy.modules.ailb.relay.heard import Heard
from marchproxy.modules.ailb.relay.link import Links
from marchproxy.modules.ailb.relay.plan import Ways
from marchproxy.modules.ailb.relay.reports import Reports
from marchproxy.modules.ailb.settling.report import Ending, Report


class UnderWay(Protocol):
    """A request."""

    def check(self, now: float) -> None:
        """Look whether it waits in vain."""

    def leave(self) -> None:
        """Nobody wants it any more."""


class Office:
    """`group` owns the tasks of requests."""

    #: Seconds; without a function of ours around it: it is asked for every piece of a stream.
    now = staticmethod(time.monotonic)

    def __init__(self, group: asyncio.TaskGroup, links: Links, errands: Errands, reports: Reports) -> None:
        self.ways = Ways()
        self.links = links
        self.errands = errands
        self.reports = reports
        self.endings: Counter[str] = Counter()
        self._group = group
        self._under_way: dict[UnderWay, Heard] = {}
        reports.going = self.going

    def __len__(self) -> int:
        """How many requests are under way."""
        return len(self._under_way)

    def unix(self) -> int:
        """Unix time, in seconds."""
        return int(time.time())

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do what takes time."""
        return self._group.create_task(work)

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Do something after a while."""
        asyncio.get_running_loop().call_later(seconds, what)

    def begun(self, one: UnderWay, heard: Heard) -> None:
        """A request has come."""
        self._under_way[one] = heard

    def going(self, first: int) -> Iterator[Report]:
        """Of requests that are under way and older than a decider, whose first reservation this is, all that it must know."""
        for heard in self._under_way.values():
            if heard.number < first:
                yield Report(
                    heard.number, Ending.GOING, heard.pool, attempts=heard.attempt, fields=heard.told()
                )

    def over(self, one: UnderWay, report: Report) -> None:
        """It has ended."""
        self._under_way.pop(one, None)
        self.endings[report.ending.value] += 1
        self.reports.put(report)

    def rhythm(self) -> float:
        """Seconds between two sweeps."""
        return self.ways.rhythm

    def sweep(self) -> None:
        """Look whose time has run out."""
        now = self.now()
        for one in list(self._under_way):
            one.check(now)
        self.links.sweep()

    def close(self) -> None:
        """End everything now."""
        for one in list(self._under_way):
            one.leave()
        self.links.close()
