"""Rollout: decides the next traffic weight of a canary from what was seen. No I/O, no clock."""

from dataclasses import dataclass, replace
from enum import Enum

from marchproxy.model.module import Version


class Phase(Enum):
    """Where a rollout stands. PROMOTED and ROLLED_BACK are final."""

    RAMPING = "ramping"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"


@dataclass(frozen=True, slots=True)
class RolloutLimits:
    """What a canary must keep to. `interval` in seconds, latency in milliseconds, rates in percent of requests.

    `max_error_increase_percent` is compared with the baseline over the same window; a limit of 0 is not checked.
    A window with fewer than `min_requests` canary requests proves nothing: the rollout holds.
    """

    step_percent: int = 10
    interval: float = 60.0
    min_requests: int = 20
    max_error_percent: float = 5.0
    max_error_increase_percent: float = 1.0
    max_p99_latency_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What one version did in one window."""

    requests: int = 0
    failures: int = 0
    p99_latency_ms: float = 0.0

    @property
    def error_percent(self) -> float:
        """Failures per hundred requests; 0 without requests."""
        return 100.0 * self.failures / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Rollout:
    """One canary on its way. `target` is the route it belongs to (empty: every route with that version)."""

    version: Version
    percent: int
    target: str = ""
    phase: Phase = Phase.RAMPING
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SetWeight:
    """Command: give the canary this share, in percent."""

    percent: int


def step(
    rollout: Rollout, canary: Sample, baseline: Sample, limits: RolloutLimits
) -> tuple[Rollout, tuple[SetWeight, ...]]:
    """One window has passed: promote by a step, hold, or roll back; `reason` says why, with the numbers."""
    if rollout.phase is not Phase.RAMPING:
        return rollout, ()
    if canary.requests < limits.min_requests:
        reason = f"held at {rollout.percent} %: {canary.requests} of {limits.min_requests} requests seen"
        return replace(rollout, reason=reason), ()
    fault = find_fault(canary, baseline, limits)
    if fault:
        back = replace(rollout, phase=Phase.ROLLED_BACK, percent=0, reason=f"rolled back: {fault}")
        return back, (SetWeight(0),)
    percent = min(100, rollout.percent + limits.step_percent)
    phase = Phase.PROMOTED if percent == 100 else Phase.RAMPING
    reason = f"{canary.requests} requests, {canary.error_percent:.2f} % errors: {percent} %"
    return replace(rollout, phase=phase, percent=percent, reason=reason), (SetWeight(percent),)


def find_fault(canary: Sample, baseline: Sample, limits: RolloutLimits) -> str:
    """Which limit the canary broke, with the numbers; empty when none."""
    if limits.max_error_percent and canary.error_percent > limits.max_error_percent:
        return f"{canary.error_percent:.2f} % errors, the limit is {limits.max_error_percent:.2f} %"
    increase = canary.error_percent - baseline.error_percent
    if (
        limits.max_error_increase_percent
        and baseline.requests
        and increase > limits.max_error_increase_percent
    ):
        return (
            f"{canary.error_percent:.2f} % errors against {baseline.error_percent:.2f} % of the baseline, "
            f"the limit is {limits.max_error_increase_percent:.2f} points more"
        )
    if limits.max_p99_latency_ms and canary.p99_latency_ms > limits.max_p99_latency_ms:
        return f"p99 is {canary.p99_latency_ms:.1f} ms, the limit is {limits.max_p99_latency_ms:.1f} ms"
    return ""
