"""Vitals: the Envoy process in the Prometheus text format, beside what Envoy counts itself."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from marchproxy.engines.envoy.process import EnvoyProcess

_PREFIX = "marchproxy_envoy_"


class Vitals(Collector):
    """The state of one supervised Envoy, read whenever it is scraped; answers also when no Envoy runs."""

    def __init__(self, process: EnvoyProcess) -> None:
        self._process = process
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def render(self) -> bytes:
        """Return the metrics in text format 0.0.4."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield one family per metric."""
        status, used = self._process.status(), self._process.usage()
        counters = {
            "restarts": (
                "Starts of Envoy after one that died, since its supervisor started.",
                status.restarts,
            ),
            "hot_restarts": (
                "Successors that took over, since Envoy's supervisor started.",
                status.hand_overs,
            ),
            "cpu_seconds": ("CPU that Envoy used, all of its processes.", used.cpu_seconds),
        }
        gauges = {
            "epoch": ("Hot restarts since the last cold start of Envoy.", status.epoch),
            "resident_memory_bytes": ("Memory of Envoy, all of its processes.", used.memory_bytes),
            "processes": (
                "Envoys that run: 2 while the one before the last hot restart finishes what is open.",
                (status.pid is not None) + (status.retired_pid is not None),
            ),
            "crash_loop": ("1 while Envoy dies again and again.", float(status.crash_loop)),
            "trouble": (
                "1 while something is wrong with Envoy that the health check tells.",
                bool(status.trouble),
            ),
        }
        for name, (text, value) in counters.items():
            yield CounterMetricFamily(_PREFIX + name, text, value=value)
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(_PREFIX + name, text, value=float(value))
