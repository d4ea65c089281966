"""Exposition: what a module counts, for Prometheus. Bounded: so many series and no more."""

from collections.abc import Callable, Iterable
from itertools import islice

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from marchproxy.modules.base.sampler import Sampler

#: Series of one instance; with more routes than fit, the last ones are left out.
MOST_SERIES = 5_000
_PREFIX = "marchproxy_module_"


class ModuleCollector(Collector):
    """The newest frame of the sampler, as gauges: the engine's own counters may start anew."""

    def __init__(self, sampler: Sampler, registered: Callable[[], int]) -> None:
        self._sampler = sampler
        self._registered = registered

    def collect(self) -> Iterable[Metric]:
        """Yield one metric family per name."""
        yield _gauge("nlbs_registered", "NLBs that acknowledge the instance.", self._registered())
        frame = self._sampler.series.latest()
        families: dict[tuple[str, tuple[str, ...]], GaugeMetricFamily] = {}
        for point in islice(frame.points if frame else (), MOST_SERIES):
            names = tuple(name for name, _ in point.labels)
            if (point.name, names) not in families:
                families[point.name, names] = GaugeMetricFamily(
                    _PREFIX + point.name, "As GetMetrics gives it.", labels=names
                )
            families[point.name, names].add_metric([value for _, value in point.labels], point.value)
        yield from families.values()


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(_PREFIX + name, text, value=value)
