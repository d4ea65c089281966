"""Gauges: the NLB's own Prometheus metrics. Label values are bounded: listeners, types, states. See also `traffic`."""

from collections import Counter as Tally
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric

from marchproxy.model.rollout import Phase
from marchproxy.nlb.state.member import Trouble
from marchproxy.nlb.state.world import World

_APPLY_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class NlbGauges:
    """Metrics of one NLB, in the registry given. `answers`: RouteRequests by listener, and whether they led anywhere."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.answers: Tally[tuple[str, bool]] = Tally()
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

        self._calls = Counter(
            "marchproxy_nlb_module_calls",
            "Calls to modules that were refused, or brought no answer.",
            ("result",),
            registry=registry,
        )
        self._drained = Counter(
            "marchproxy_nlb_drained_connections",
            "Connections of instances that left, by how they ended: in time, or still open at the deadline.",
            ("result",),
            registry=registry,
        )
        self._shed = Counter(
            "marchproxy_nlb_shed_connections",
            "Connections that a forced rebalance closed, or could not close.",
            ("result",),
            registry=registry,
        )
        self._cut_off = Gauge(
            "marchproxy_nlb_cut_off",
            "1 while no module is heard and none answers, so that the last plan stays.",
            registry=registry,
        )

    def applied(self, result: str, seconds: float) -> None:
        """Count a plan that was given to the data plane."""
        self._applies.labels(result).inc()
        self._seconds.observe(seconds)

    def decided(self, listener: str, *, routed: bool) -> None:
        """Count an answer to RouteRequest. `listener` is one that exists, or empty."""
        self.answers[listener, routed] += 1
        self._decisions.labels(listener, str(routed).lower()).inc()

    def scaled(self, module_type: str, way: str, wanted: int) -> None:
        """Count a decision on the number of instances."""
        self._scaling.labels(module_type, way).inc()
        self._scaling_wanted.labels(module_type).set(wanted)

    def call_failed(self, result: str) -> None:
        """Count a call to a module: "refused", or "failed"."""
        self._calls.labels(result).inc()

    def drained(self, *, ended: int, left: int) -> None:
        """Count the connections of an instance that has left."""
        self._drained.labels("ended").inc(ended)
        self._drained.labels("left").inc(left)

    def shed(self, *, closed: int, left: int) -> None:
        """Count the connections that were to be closed for balance."""
        self._shed.labels("closed").inc(closed)
        self._shed.labels("left").inc(left)

    def cut_off(self, *, yes: bool) -> None:
        """Tell whether the NLB takes itself for cut off."""
        self._cut_off.set(yes)

    def watch(self, world: Callable[[], World]) -> None:
        """Read members and rollouts from there whenever metrics are scraped."""
        self._registry.register(_Members(world))
        self._registry.register(_Rollouts(world))


class _Members:
    def __init__(self, world: Callable[[], World]) -> None:
        self._world = world

    def collect(self) -> Iterator[Metric]:
        modules = GaugeMetricFamily(
            "marchproxy_nlb_modules",
            "Registered instances, by type, standing and health.",
            labels=("type", "standing", "health"),
        )
        members = self._world().registry.members.values()
        tally = Tally(
            (m.instance.module_type.value, m.standing.value, m.effective.health.value) for m in members
        )
        for labels, count in tally.items():
            modules.add_metric(labels, count)
        yield modules
        troubled = GaugeMetricFamily(
            "marchproxy_nlb_modules_in_trouble",
            "Registered instances that the NLB has trouble with, by what does not answer.",
            labels=("trouble",),
        )
        for trouble in Trouble:
            troubled.add_metric((trouble.value,), sum(trouble in member.troubles for member in members))
        yield troubled


class _Rollouts:
    def __init__(self, world: Callable[[], World]) -> None:
        self._world = world

    def collect(self) -> Iterator[Metric]:
        rollouts = [ramp.rollout for ramp in self._world().progress.ramps.values()]
        by_phase = GaugeMetricFamily(
            "marchproxy_nlb_rollouts", "Gradual promotions of module versions, by phase.", labels=("phase",)
        )
        tally = Tally(rollout.phase for rollout in rollouts)
        for phase in Phase:
            by_phase.add_metric((phase.value,), tally[phase])
        yield by_phase
        share = GaugeMetricFamily(
            "marchproxy_nlb_rollout_percent",
            "The share of new connections that a gradual promotion has reached; all listeners: `*`.",
            labels=("listener", "version"),
        )
        for rollout in rollouts:
            share.add_metric((rollout.target or "*", rollout.version), rollout.percent)
        yield share
