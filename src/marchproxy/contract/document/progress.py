"""Progress: ramps and shifts as plain data, for the files in which a process leaves them to the next one."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from marchproxy.model.judging import RolloutLimits, Sample
from marchproxy.model.module import Version
from marchproxy.model.ramp import Ramp, Shift
from marchproxy.model.rollout import Decision, Phase, Rollout, Verdict


def dump_shifts(shifts: Mapping[str, Shift]) -> dict[str, Any]:
    """Shifts by target."""
    return {
        target: {"baseline": shift.baseline, "started_at": shift.started_at.isoformat()}
        for target, shift in shifts.items()
    }


def parse_shifts(data: Mapping[str, Any]) -> dict[str, Shift]:
    """The shifts. Raises KeyError, TypeError or ValueError for anything that `dump_shifts` did not write."""
    return {
        target: Shift(Version(item["baseline"]), datetime.fromisoformat(item["started_at"]))
        for target, item in data.items()
    }


def dump_ramps(ramps: Mapping[str, Ramp]) -> list[Any]:
    """Ramps, with their decisions."""
    return [
        {
            "rollout": {
                **asdict(ramp.rollout),
                "phase": ramp.rollout.phase.value,
                "decisions": [_dump_decision(decision) for decision in ramp.rollout.decisions],
            },
            "limits": asdict(ramp.limits),
            "updated_at": ramp.updated_at.isoformat(),
        }
        for ramp in ramps.values()
    ]


def parse_ramps(items: Iterable[Mapping[str, Any]]) -> dict[str, Ramp]:
    """The ramps by target. Raises KeyError, TypeError or ValueError for anything that `dump_ramps` did not write."""
    ramps = [_parse_ramp(item) for item in items]
    return {ramp.rollout.target: ramp for ramp in ramps}


def _parse_ramp(item: Mapping[str, Any]) -> Ramp:
    rollout, limits = item["rollout"], item["limits"]
    changed = {
        "version": Version(rollout["version"]),
        "phase": Phase(rollout["phase"]),
        "decisions": tuple(_parse_decision(decision) for decision in rollout.get("decisions", ())),
    }
    return Ramp(
        rollout=Rollout(**{**rollout, **changed}),
        limits=RolloutLimits(**{**limits, "steps": tuple(limits.get("steps", ()))}),
        updated_at=datetime.fromisoformat(item["updated_at"]),
    )


def _dump_decision(decision: Decision) -> dict[str, Any]:
    return {**asdict(decision), "at": decision.at.isoformat(), "verdict": decision.verdict.value}


def _parse_decision(item: Mapping[str, Any]) -> Decision:
    changed = {
        "at": datetime.fromisoformat(item["at"]),
        "verdict": Verdict(item["verdict"]),
        "canary": Sample(**item["canary"]),
        "baseline": Sample(**item["baseline"]),
    }
    return Decision(**{**item, **changed})
