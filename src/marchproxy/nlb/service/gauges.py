"""Gauges: the NLB's Prometheus metrics. Label values are bounded: listeners, types, states, a capped number of instances."""

from collections import Counter as Tally
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from marchproxy.nlb.dataplane.plane import TrafficCounts
from marchproxy.nlb.state.registry import Registry

_MOST_INSTANCES = 200
_APPLY_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class NlbGauges:
    """Metrics of one NLB, in the registry given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._applies = Counter(
            "marchproxy_nlb_plan_applies",
            "Forwarding plans given to the data plane, by result.",
            ("result",),
            registry=registry,
        )
        self._seconds = Histogram(
            "marchproxy_nlb_plan_apply_seconds",
            "Time until a plan was in force, or refused.",
            registry=registry,
            buckets=_APPLY_BUCKETS,
        )
        self._decisions = Counter(
            "marchproxy_nlb_route_requests",
            "Answers to RouteRequest, dry runs left out, by listener.",
            ("listener", "routed"),
            registry=registry,
        )

        self._scaling = Counter(
            "marchproxy_nlb_scaling_decisions",
            "Decisions on the number of instances, by module type and way.",
            ("type", "decision"),
            registry=registry,
        )
        self._scaling_wanted = Gauge(
            "marchproxy_nlb_scaling_wanted",
            "Instances that the last decision asks for, by module type.",
            ("type",),
            registry=registry,
        )

    def applied(self, result: str, seconds: float) -> None:
        """Count a plan that was given to the data plane."""
        self._applies.labels(result).inc()
        self._seconds.observe(seconds)

    def decided(self, listener: str, *, routed: bool) -> None:
        """Count an answer to RouteRequest. `listener` is one that exists, or empty."""
        self._decisions.labels(listener, str(routed).lower()).inc()

    def scaled(self, module_type: str, way: str, wanted: int) -> None:
        """Count a decision on the number of instances."""
        self._scaling.labels(module_type, way).inc()
        self._scaling_wanted.labels(module_type).set(wanted)

    def watch(self, registry: Callable[[], Registry]) -> None:
        """Read the members from there whenever metrics are scraped."""
        self._registry.register(_Members(registry))


def render_traffic(counts: TrafficCounts) -> bytes:
    """Connections in the Prometheus text format. Apart from the registry, because the data plane has to be asked first."""
    registry = CollectorRegistry()
    registry.register(_Traffic(counts))
    return generate_latest(registry)


class _Members:
    def __init__(self, registry: Callable[[], Registry]) -> None:
        self._members = registry

    def collect(self) -> Iterator[Metric]:
        modules = GaugeMetricFamily(
            "marchproxy_nlb_modules",
            "Registered instances, by type, standing and health.",
            labels=("type", "standing", "health"),
        )
        members = self._members().members.values()
        tally = Tally(
            (m.instance.module_type.value, m.standing.value, m.effective.health.value) for m in members
        )
        for labels, count in tally.items():
            modules.add_metric(labels, count)
        yield modules


class _Traffic:
    def __init__(self, counts: TrafficCounts) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        counts = self._counts
        open_now = GaugeMetricFamily(
            "marchproxy_nlb_connections", "Open connections, by listener.", labels=("listener",)
        )
        for name, listener in counts.listeners.items():
            open_now.add_metric((name,), listener.active)
        yield open_now
        by_instance = GaugeMetricFamily(
            "marchproxy_nlb_instance_connections",
            f"Open connections, by listener and instance; at most {_MOST_INSTANCES} pairs.",
            labels=("listener", "instance"),
        )
        for (name, instance), endpoint in list(counts.endpoints.items())[:_MOST_INSTANCES]:
            by_instance.add_metric((name, instance), endpoint.active)
        yield by_instance
