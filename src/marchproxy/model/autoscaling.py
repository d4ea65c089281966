"""Autoscaling: decides how many instances of a module type should run. No I/O, no clock.

The algorithm is that of the Kubernetes HorizontalPodAutoscaler: desired = ceil(instances x load / target), the largest
of all metrics; see kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale (Algorithm details).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from marchproxy.model.scaling import ScalingConfig

STABILISATION_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Observation:
    """What one instance last reported; None where it did not. Units as in ScalingConfig, memory in MiB."""

    ready: bool = True
    cpu_percent: float | None = None
    memory_mb: float | None = None
    connections: float | None = None
    latency_ms: float | None = None
    error_percent: float | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """How many instances the load alone asked for, at a monotonic time."""

    at: float
    instances: int


@dataclass(frozen=True, slots=True)
class ScalingState:
    """What must be remembered between two steps: recent advice, and when the number was last changed."""

    recent: tuple[Advice, ...] = ()
    changed_at: float | None = None


class Kind(Enum):
    """Which way."""

    UP = "up"
    DOWN = "down"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Decision:
    """How many instances there should be instead of how many there are, and why."""

    kind: Kind
    from_: int
    to: int
    reason: str

    def __str__(self) -> str:
        change = f"{self.from_}" if self.kind is Kind.HOLD else f"{self.from_} → {self.to}"
        return f"{self.kind.value} {change}: {self.reason}"


@dataclass(frozen=True, slots=True)
class _Proposal:
    instances: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Metric:
    name: str
    target: float
    ready: tuple[float, ...]  # what ready instances report
    missing: int


def step(
    state: ScalingState,
    observations: Sequence[Observation],
    config: ScalingConfig,
    now: float,
    *,
    window: float = STABILISATION_SECONDS,
) -> tuple[ScalingState, Decision]:
    """Decide for one type, given all its instances; `now` is monotonic, `window` is how long a high advice holds, both in seconds."""
    current = len(observations)
    if not current:
        return state, Decision(Kind.HOLD, 0, 0, "no instance is registered")
    if not config.enabled:
        return state, Decision(Kind.HOLD, current, current, "autoscaling is not enabled")
    metrics = tuple(_metrics(observations, config))
    advice = _advise(metrics, observations, config)
    before = state.recent or (Advice(now, current),)  # without a past, what runs is taken for well advised
    recent = (*(old for old in before if now - old.at < window), Advice(now, advice.instances))
    state = replace(state, recent=_peaks(recent))
    decision = _bounded(current, advice, state, config)
    if decision.kind is Kind.DOWN and (missing := _missing(metrics)):
        return state, _hold(current, f"{missing}; fewer would be a guess ({decision.reason})")
    if decision.kind is not Kind.HOLD and state.changed_at is not None:
        left = state.changed_at + config.cooldown - now
        if left > 0:
            return state, _hold(
                current, f"cooldown for {left:.0f} s more; then {decision.to}: {decision.reason}"
            )
    if decision.kind is not Kind.HOLD:
        state = replace(state, changed_at=now)
    return state, decision


def _bounded(current: int, advice: _Proposal, state: ScalingState, config: ScalingConfig) -> Decision:
    limits = config.limits
    wanted, reason = advice.instances, advice.reason
    if wanted < current:
        held = min(current, max(old.instances for old in state.recent))
        if held > wanted:
            reason = f"{reason}; {held} were advised within the stabilisation window"
        wanted = held
    to = limits.clamp(wanted)
    if to != wanted:
        reason = f"{reason}; limits are {limits.minimum} to {limits.maximum}"
    kind = Kind.UP if to > current else Kind.DOWN if to < current else Kind.HOLD
    return Decision(kind, current, to, reason)


def _advise(
    metrics: Sequence[_Metric], observations: Sequence[Observation], config: ScalingConfig
) -> _Proposal:
    current = len(observations)
    proposals = [_propose(metric, current, config) for metric in metrics]
    if errors := _error_proposal(observations, config):
        proposals.append(errors)
    if not proposals:
        return _Proposal(current, "no target is set")
    return max(proposals, key=lambda proposal: proposal.instances)


def _propose(metric: _Metric, current: int, config: ScalingConfig) -> _Proposal:
    """What one metric asks for; instances that are not ready, or silent, count as idle when more are wanted."""
    if not metric.ready:
        return _Proposal(current, f"{metric.name} is not known of any ready instance")
    total = sum(metric.ready)
    ratio = total / len(metric.ready) / metric.target
    words = f"{metric.name} {total / len(metric.ready):.1f} of {metric.target:g} on {len(metric.ready)} ready"
    counted = len(metric.ready)
    if ratio > config.up_ratio and counted < current:
        counted = current
        ratio = total / counted / metric.target
        words += f", {ratio:.0%} with those counted as idle"
        if ratio <= config.up_ratio:
            return _Proposal(current, words)
    if config.down_ratio <= ratio <= config.up_ratio:
        return _Proposal(current, f"{words}: within {config.down_ratio:.0%} to {config.up_ratio:.0%}")
    # a threshold below 100 % is the load that instances must not exceed: they are counted by it, or the fewer
    # that a step down leaves would at once be too few
    wanted = _ceil(counted * ratio / min(1.0, config.up_ratio))
    wanted = max(wanted, current) if ratio > config.up_ratio else min(wanted, current)
    return _Proposal(max(1, wanted), words)


def _error_proposal(observations: Sequence[Observation], config: ScalingConfig) -> _Proposal | None:
    known = [seen.error_percent for seen in observations if seen.ready and seen.error_percent is not None]
    if not config.max_error_percent or not known:
        return None
    mean = sum(known) / len(known)
    if mean <= config.max_error_percent:
        return None
    return _Proposal(len(observations) + 1, f"errors {mean:.1f} % of {config.max_error_percent} % allowed")


def _metrics(observations: Sequence[Observation], config: ScalingConfig) -> Iterator[_Metric]:
    memory = config.memory_limit_mb * config.memory_percent / 100
    columns = (
        ("cpu %", float(config.cpu_percent), [seen.cpu_percent for seen in observations]),
        ("memory MiB", memory, [seen.memory_mb for seen in observations]),
        ("connections", float(config.connections), [seen.connections for seen in observations]),
        ("latency ms", config.latency_ms, [seen.latency_ms for seen in observations]),
    )
    ready = [seen.ready for seen in observations]
    for name, target, values in columns:
        if target > 0:
            known = tuple(v for v, is_ready in zip(values, ready, strict=True) if is_ready and v is not None)
            yield _Metric(name, target, known, values.count(None))


def _missing(metrics: Sequence[_Metric]) -> str:
    return ", ".join(
        f"{metric.name} of {metric.missing} is missing" if metric.missing else f"{metric.name} is missing"
        for metric in metrics
        if metric.missing or not metric.ready
    )


def _peaks(recent: Sequence[Advice]) -> tuple[Advice, ...]:
    """Only what can still be the maximum of a later window: advice that none newer reaches; so it stays short."""
    kept: list[Advice] = []
    for advice in recent:
        while kept and kept[-1].instances <= advice.instances:
            kept.pop()
        kept.append(advice)
    return tuple(kept)


def _hold(current: int, reason: str) -> Decision:
    return Decision(Kind.HOLD, current, current, reason)


def _ceil(value: float) -> int:
    """Round up, but not for the last digit of a division: 3 * (2 / 3) is 2."""
    return math.ceil(value - 1e-9)
