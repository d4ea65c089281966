"""Rollouts: what one must keep to, and where it stands."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

from marchproxy.contract.convert.faults import Faults, read_one
from marchproxy.contract.convert.times import moment_to_pb, read_moment, read_seconds
from marchproxy.contract.pb import module_pb2, types_pb2
from marchproxy.model.judging import RolloutLimits, Sample
from marchproxy.model.module import Version
from marchproxy.model.rollout import Decision, Phase, Rollout, Verdict
from marchproxy.model.weights import Split

_PHASES = {phase.value: phase for phase in Phase}
_VERDICTS = {verdict.value: verdict for verdict in Verdict}
_MOST_STEPS = 100
_NEVER = datetime.fromtimestamp(0, UTC)


def rollout_limits_from_pb(
    pb: module_pb2.PromoteVersionRequest, defaults: RolloutLimits | None = None
) -> RolloutLimits:
    """What the request asks of each step; a promotion_rate of 0, or no analysis, leaves the defaults.

    Raises InvalidValue with every problem.
    """
    faults = Faults()
    limits = defaults or RolloutLimits()
    if pb.promotion_rate:
        if not 1 <= pb.promotion_rate <= 100:
            faults.add("promotion_rate", f"{pb.promotion_rate} is not between 1 and 100")
        limits = replace(limits, step_percent=pb.promotion_rate)
    if pb.steps:
        limits = replace(limits, steps=_read_steps(pb, faults))
    if pb.HasField("analysis"):
        limits = _read_analysis(pb.analysis, limits, faults)
    faults.raise_any()
    return limits


def blue_green_to_pb(split: Split, started_at: datetime | None = None) -> types_pb2.BlueGreenConfig:
    """The split between versions: blue is the one that serves most, green the next."""
    canary = split.share(split.canary)
    return types_pb2.BlueGreenConfig(
        blue_version=split.active,
        green_version=split.canary,
        blue_weight=split.share(split.active),
        green_weight=canary,
        active_version=split.active,
        canary_enabled=0 < canary < 100,
        canary_percent=canary,
        deployment_started=None if started_at is None else moment_to_pb(started_at),
    )


def rollout_to_pb(rollout: Rollout, updated_at: datetime | None = None) -> types_pb2.RolloutStatus:
    """The message; `updated_at` is when the rollout came where it stands."""
    return types_pb2.RolloutStatus(
        version=rollout.version,
        phase=rollout.phase.value,
        percent=rollout.percent,
        reason=rollout.reason,
        updated_at=None if updated_at is None else moment_to_pb(updated_at),
        route_id=rollout.target,
        decisions=[_decision_to_pb(decision) for decision in rollout.decisions],
    )


def rollout_from_pb(pb: types_pb2.RolloutStatus, path: str = "rollout") -> Rollout:
    """The rollout. Raises InvalidValue when its phase is unknown."""
    return read_one(pb, path, _read_rollout)


def _read_rollout(pb: types_pb2.RolloutStatus, path: str, faults: Faults) -> Rollout:
    if pb.phase not in _PHASES:
        faults.add(f"{path}.phase", f'unknown phase "{pb.phase}"; known: {", ".join(_PHASES)}')
    phase = _PHASES.get(pb.phase, Phase.RAMPING)
    decisions = tuple(
        _read_decision(decision, f"{path}.decisions[{index}]", faults)
        for index, decision in enumerate(pb.decisions)
    )
    return Rollout(Version(pb.version), pb.percent, pb.route_id, phase, pb.reason, decisions)


def _decision_to_pb(decision: Decision) -> types_pb2.RolloutDecision:
    return types_pb2.RolloutDecision(
        at=moment_to_pb(decision.at),
        verdict=decision.verdict.value,
        reason=decision.reason,
        percent_before=decision.before,
        percent_after=decision.after,
        canary=_sample_to_pb(decision.canary),
        baseline=_sample_to_pb(decision.baseline),
        p_value=decision.p_value,
    )


def _read_decision(pb: types_pb2.RolloutDecision, path: str, faults: Faults) -> Decision:
    if pb.verdict not in _VERDICTS:
        faults.add(f"{path}.verdict", f'unknown verdict "{pb.verdict}"; known: {", ".join(_VERDICTS)}')
    return Decision(
        at=read_moment(pb.at, f"{path}.at", faults) or _NEVER,
        verdict=_VERDICTS.get(pb.verdict, Verdict.HELD),
        reason=pb.reason,
        before=pb.percent_before,
        after=pb.percent_after,
        canary=_read_sample(pb.canary),
        baseline=_read_sample(pb.baseline),
        p_value=pb.p_value,
    )


def _read_sample(pb: types_pb2.RolloutSample) -> Sample:
    return Sample(pb.requests, pb.failures, pb.p99_latency_ms, pb.rejected)


def _sample_to_pb(sample: Sample) -> types_pb2.RolloutSample:
    return types_pb2.RolloutSample(
        requests=sample.requests,
        failures=sample.failures,
        p99_latency_ms=sample.p99_latency_ms,
        rejected=sample.rejected,
    )


def _read_steps(pb: module_pb2.PromoteVersionRequest, faults: Faults) -> tuple[int, ...]:
    steps = tuple(pb.steps)
    if pb.promotion_rate:
        faults.add("steps", "and promotion_rate exclude each other")
    if len(steps) > _MOST_STEPS or not all(1 <= share <= 100 for share in steps):
        faults.add("steps", f"are at most {_MOST_STEPS} shares between 1 and 100")
    elif any(later <= earlier for earlier, later in pairwise(steps)):
        faults.add("steps", "must rise")
    return steps


def _read_analysis(pb: types_pb2.RolloutAnalysis, defaults: RolloutLimits, faults: Faults) -> RolloutLimits:
    percents = {
        "max_error_percent": pb.max_error_percent,
        "max_error_increase_percent": pb.max_error_increase_percent,
    }
    for name, percent in percents.items():
        if not 0 <= percent <= 100:
            faults.add(f"analysis.{name}", f"{percent} is not between 0 and 100")
    for name in ("max_p99_latency_ms", "max_p99_factor"):
        if not 0 <= (value := getattr(pb, name)) < float("inf"):
            faults.add(f"analysis.{name}", f"{value} is not 0 or more")
    if pb.min_requests < 0:
        faults.add("analysis.min_requests", f"{pb.min_requests} is negative")
    return replace(
        defaults,
        interval=read_seconds(pb.interval, "analysis.interval", faults) or defaults.interval,
        min_requests=pb.min_requests,
        max_error_percent=pb.max_error_percent,
        max_error_increase_percent=pb.max_error_increase_percent,
        max_p99_latency_ms=pb.max_p99_latency_ms,
        max_p99_factor=pb.max_p99_factor,
    )
