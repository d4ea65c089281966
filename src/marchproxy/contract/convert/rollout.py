"""Rollouts: what one must keep to, and where it stands."""

from dataclasses import replace
from datetime import datetime

from marchproxy.contract.convert.faults import Faults, read_one
from marchproxy.contract.convert.times import moment_to_pb, read_seconds
from marchproxy.contract.pb import module_pb2, types_pb2
from marchproxy.model.module import Version
from marchproxy.model.rollout import Phase, Rollout, RolloutLimits

_PHASES = {phase.value: phase for phase in Phase}


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
    if pb.HasField("analysis"):
        limits = _read_analysis(pb.analysis, limits, faults)
    faults.raise_any()
    return limits


def rollout_to_pb(rollout: Rollout, updated_at: datetime | None = None) -> types_pb2.RolloutStatus:
    """The message; `updated_at` is when the rollout came where it stands."""
    return types_pb2.RolloutStatus(
        version=rollout.version,
        phase=rollout.phase.value,
        percent=rollout.percent,
        reason=rollout.reason,
        updated_at=None if updated_at is None else moment_to_pb(updated_at),
        route_id=rollout.target,
    )


def rollout_from_pb(pb: types_pb2.RolloutStatus, path: str = "rollout") -> Rollout:
    """The rollout. Raises InvalidValue when its phase is unknown."""
    return read_one(pb, path, _read_rollout)


def _read_rollout(pb: types_pb2.RolloutStatus, path: str, faults: Faults) -> Rollout:
    if pb.phase not in _PHASES:
        faults.add(f"{path}.phase", f'unknown phase "{pb.phase}"; known: {", ".join(_PHASES)}')
    phase = _PHASES.get(pb.phase, Phase.RAMPING)
    return Rollout(Version(pb.version), pb.percent, pb.route_id, phase, pb.reason)


def _read_analysis(pb: types_pb2.RolloutAnalysis, defaults: RolloutLimits, faults: Faults) -> RolloutLimits:
    percents = {
        "max_error_percent": pb.max_error_percent,
        "max_error_increase_percent": pb.max_error_increase_percent,
    }
    for name, percent in percents.items():
        if not 0 <= percent <= 100:
            faults.add(f"analysis.{name}", f"{percent} is not between 0 and 100")
    if not 0 <= pb.max_p99_latency_ms < float("inf"):
        faults.add("analysis.max_p99_latency_ms", f"{pb.max_p99_latency_ms} is not 0 or more")
    if pb.min_requests < 0:
        faults.add("analysis.min_requests", f"{pb.min_requests} is negative")
    return replace(
        defaults,
        interval=read_seconds(pb.interval, "analysis.interval", faults) or defaults.interval,
        min_requests=pb.min_requests,
        max_error_percent=pb.max_error_percent,
        max_error_increase_percent=pb.max_error_increase_percent,
        max_p99_latency_ms=pb.max_p99_latency_ms,
    )
