"""Crew: the workers of an instance, as its engine knows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from marchproxy.model.live_stream import StreamReport
from marchproxy.model.state import DesiredState
from marchproxy.modules.rtmp.plan import Files
from marchproxy.modules.rtmp.service import OriginReport
from marchproxy.modules.rtmp.tally import Tally, TallyKey


@dataclass(frozen=True, slots=True)
class Counted:
    """What all workers counted. What only grows never goes back, even when a worker is started again.

    `clients`: connected now, in any state; `accepted`: since the start. CPU in percent of one core, memory in MB.
    """

    tallies: Mapping[TallyKey, Tally] = field(default_factory=dict)
    clients: int = 0
    accepted: int = 0
    cpu_percent: float = 0.0
    memory_mb: float = 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """The streams of all workers, and each origin once, as the worst of the workers sees it."""

    streams: tuple[StreamReport, ...] = ()
    origins: tuple[OriginReport, ...] = ()


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

    async def look(self, *, ask: bool = False) -> Seen:
        """The streams, and the origins as they were last seen, or asked now. Raises Refused (UNAVAILABLE)."""
        ...

    async def renew(self, finish_seconds: float | None) -> str:
        """Replace all workers by new ones, one by one; the old ones finish what is open. Says what came of it.

        Raises Refused (UNAVAILABLE); who could not be replaced serves on.
        """
        ...

    async def drain(self, seconds: float) -> int:
        """Listen no more, have clients go; how many are left after so many seconds."""
        ...


def worst_of(reports: Sequence[OriginReport]) -> tuple[OriginReport, ...]:
    """Each origin once: what is wrong with it goes first, and what workers send there is added up."""
    found: dict[tuple[str, str], OriginReport] = {}
    for report in reports:
        key = (report.pool, report.address)
        known = found.get(key)
        found[key] = report if known is None else _together(known, report)
    return tuple(found.values())


def _together(one: OriginReport, other: OriginReport) -> OriginReport:
    return OriginReport(
        one.pool,
        one.address,
        one.fault or other.fault,
        one.latency if other.latency is None else other.latency,
        one.streams + other.streams,
        one.players + other.players,
        one.bitrate + other.bitrate,
    )
