"""Company: all processes of an instance as one Crew: the workers that have streams, and the one for HLS and DASH."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Self

from marchproxy.model.problem import Refused
from marchproxy.model.state import DesiredState
from marchproxy.modules.rtmp.crew import Counted, Seen
from marchproxy.modules.rtmp.plan import Files
from marchproxy.modules.rtmp.supervisor.workforce import Workforce
from marchproxy.modules.rtmp.totals import together


class Company:
    """A Crew. Use it inside `running`."""

    def __init__(self, workers: Workforce, playback: Workforce) -> None:
        self._workers = workers
        self._playback = playback
        self._before: tuple[DesiredState, Files] | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """As a Workforce's."""
        async with self._workers.running(), self._playback.running():
            yield self

    async def apply(self, state: DesiredState, files: Files) -> None:
        """As a Crew's."""
        await self._workers.apply(state, files)
        try:
            await self._playback.apply(state, files)
        except Refused:
            if self._before is not None:
                with suppress(Refused):  # who does not answer hears of it at its next start
                    await self._workers.apply(*self._before)
            raise
        self._before = (state, files)

    @property
    def instances(self) -> int:
        """As a Crew's."""
        return self._workers.instances

    def divide(self, instances: int) -> None:
        """As a Crew's."""
        self._workers.divide(instances)
        self._playback.divide(instances)

    def health(self) -> Mapping[str, str]:
        """As a Crew's."""
        playback = self._playback.health()
        return {**self._workers.health(), "playback": playback["worker:0"]}

    async def count(self) -> Counted:
        """As a Crew's."""
        counted = await self._workers.count()
        with suppress(Refused):
            viewers = await self._playback.count()
            counted = Counted(
                together(counted.tallies, viewers.tallies),
                counted.clients + viewers.clients,
                counted.accepted + viewers.accepted,
                counted.cpu_percent + viewers.cpu_percent,
                counted.memory_mb + viewers.memory_mb,
            )
        return counted

    async def look(self, *, ask: bool = False) -> Seen:
        """As a Crew's."""
        return await self._workers.look(ask=ask)

    async def renew(self, finish_seconds: float | None) -> str:
        """As a Crew's."""
        words = await self._workers.renew(finish_seconds)
        await self._playback.renew(finish_seconds)
        return words

    async def drain(self, seconds: float) -> int:
        """As a Crew's: viewers are let go when nobody publishes any more."""
        left = await self._workers.drain(seconds)
        return left + await self._playback.drain(0.0)
