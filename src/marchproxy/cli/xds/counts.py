"""Counts: what `marchproxy xds` tells Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge


class Counts:
    """Metrics of the control plane, in a registry of its own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._canaries = Counter(
            "marchproxy_xds_canary",
            "Snapshots that one node was given before others, by what it did.",
            ["outcome"],
            registry=registry,
        )

    def canary(self, outcome: str) -> None:
        """Note what a canary did."""
        self._canaries.labels(outcome).inc()

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A value that is asked for when somebody looks."""
        Gauge(f"marchproxy_xds_{name}", text, registry=self._registry).set_function(value)
