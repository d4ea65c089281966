"""Meter: reads Envoy's statistics and keeps the tally of them; whoever asks at the same time gets the same reading."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from marchproxy.engines.envoy.admin import AdminError, EnvoyAdmin
from marchproxy.engines.envoy.metrics.buckets import distributions
from marchproxy.engines.envoy.metrics.exposition import render
from marchproxy.engines.envoy.metrics.family import PREFIX
from marchproxy.engines.envoy.metrics.source import Source, wanted
from marchproxy.engines.envoy.metrics.tally import Tally
from marchproxy.engines.envoy.stats import EnvoyStats
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger

_log = get_logger(__name__)
#: A scrape waits no longer for Envoy; whoever serves it gives up after 3 s.
_SCRAPE_SECONDS = 2.0
#: Those who scrape within this time get the same reading.
_FRESH_SECONDS = 1.0
#: More histograms than this are counted in a thread, so that the event loop goes on.
_MANY = 500


class EnvoyMeter:
    """The metrics of one Envoy."""

    def __init__(
        self,
        admin: EnvoyAdmin,
        sources: Sequence[Source],
        generation: Callable[[], object],
        *,
        clock: Clock,
        others: str = "",
    ) -> None:
        """`generation` tells one Envoy process from the next. `others`: an RE2 pattern of what `look` reads beside."""
        self._admin = admin
        self._pattern = wanted(sources, *([others] if others else []))
        self._generation = generation
        self._clock = clock
        self._tally = Tally(sources)
        self._reading = asyncio.Lock()
        self._known: Mapping[str, frozenset[str]] = {}
        self._read_at = float("-inf")
        self._took = 0.0
        self._answered = True

    def know(self, known: Mapping[str, frozenset[str]]) -> None:
        """The things that there are, by label, from the next reading on; see `Tally.know`."""
        self._known = known

    async def look(self) -> EnvoyStats:
        """Read what was ever written, histograms as quantiles, and count it. Raises AdminError.

        The oftener, the less is lost when Envoy dies.
        """
        async with self._reading:
            generation = self._generation()
            stats = await self._admin.stats(self._pattern, used_only=True)
            self._tally.know(self._known)
            self._tally.add(stats.values, generation)
            return stats

    async def exposition(self) -> bytes:
        """The metrics in the Prometheus text format. When Envoy does not answer: its counts as last known, no gauges."""
        answered = True
        try:
            async with asyncio.timeout(_SCRAPE_SECONDS), self._reading:
                if self._clock.monotonic() - self._read_at > _FRESH_SECONDS:
                    await self._read_all()
        except (AdminError, TimeoutError) as error:
            if self._answered:  # told once, not at every scrape
                _log.warning("Envoy's metrics are missing", reason=str(error) or "no answer in time")
            answered = False
        self._answered = answered
        return self._about_the_scrape(answered=answered) + render(self._tally.families(), gauges=answered)

    async def _read_all(self) -> None:
        started, generation = self._clock.monotonic(), self._generation()
        stats = await self._admin.stats(self._pattern, detailed=True, used_only=True)
        many = len(stats.histograms) > _MANY
        found = await asyncio.to_thread(distributions, stats) if many else distributions(stats)
        self._tally.know(self._known)
        self._tally.add(stats.values, generation, found)
        self._read_at = self._clock.monotonic()
        self._took = self._read_at - started

    def _about_the_scrape(self, *, answered: bool) -> bytes:
        return (
            f"# HELP {PREFIX}up 1: Envoy answers; 0: what follows is what it last told, without gauges.\n"
            f"# TYPE {PREFIX}up gauge\n"
            f"{PREFIX}up {int(answered)}\n"
            f"# HELP {PREFIX}scrape_seconds What the last reading of Envoy's statistics took.\n"
            f"# TYPE {PREFIX}scrape_seconds gauge\n"
            f"{PREFIX}scrape_seconds {self._took:.6f}\n"
        ).encode()
