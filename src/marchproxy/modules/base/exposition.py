"""Exposition: what a module counts, for Prometheus. Bounded: so many series and no more."""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from marchproxy.model.series import Point
from marchproxy.modules.base.sampler import Sampler

#: Series of one instance, those of its engine not counted; what does not fit is left out.
MOST_SERIES = 1_000
_PREFIX = "marchproxy_module_"
_COUNTER = "_total"
_PARTS = {"route", "pool", "database", "user"}

_Key: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]


class ModuleCollector(Collector):
    """The newest frame of the sampler, the engine as a whole; its parts are in the engine's own exposition."""

    def __init__(self, sampler: Sampler, registered: Callable[[], int]) -> None:
        self._sampler = sampler
        self._registered = registered
        self._counters: dict[_Key, tuple[float, float]] = {}

    def collect(self) -> Iterable[Metric]:
        """Yield one metric family per name."""
        yield GaugeMetricFamily(
            f"{_PREFIX}nlbs_registered", "NLBs that acknowledge the instance.", value=self._registered()
        )
        frame = self._sampler.series.latest()
        points = [
            point for point in (frame.points if frame else ()) if not _PARTS & dict(point.labels).keys()
        ]
        families: dict[tuple[str, tuple[str, ...]], CounterMetricFamily | GaugeMetricFamily] = {}
        kept, self._counters = self._counters, {}
        for point in islice(points, MOST_SERIES):
            names = tuple(name for name, _ in point.labels)
            is_counter = point.name.endswith(_COUNTER)
            if (point.name, names) not in families:
                kind = CounterMetricFamily if is_counter else GaugeMetricFamily
                families[point.name, names] = kind(
                    _PREFIX + point.name, "As GetMetrics gives it.", labels=names
                )
            value = self._added_up(point, kept) if is_counter else point.value
            families[point.name, names].add_metric([value for _, value in point.labels], value)
        yield from families.values()

    def _added_up(self, point: Point, kept: Mapping[_Key, tuple[float, float]]) -> float:
        """A counter over restarts of the engine: what went back was started anew and counts from 0."""
        key = (point.name, point.labels)
        before, last = kept.get(key, (0.0, 0.0))
        if point.value < last:
            before += last
        self._counters[key] = (before, point.value)
        return before + point.value
