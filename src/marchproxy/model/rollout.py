"""Rollout: decides the next traffic weight of a canary from what was seen. No I/O, no clock."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from marchproxy.model.judging import Judgement, RolloutLimits, Sample, judge, judge_early
from marchproxy.model.module import Version

#: The decisions that are remembered; holds in a row are one.
MOST_DECISIONS = 50


class Phase(Enum):
    """Where a rollout stands. PROMOTED and ROLLED_BACK are final."""

    RAMPING = "ramping"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"


class Verdict(Enum):
    """What was decided."""

    ADVANCED = "advanced"
    HELD = "held"
    ROLLED_BACK = "rolled_back"


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision with everything it rests on; shares in percent, `p_value` as in `judging.Judgement`."""

    at: datetime
    verdict: Verdict
    reason: str
    before: int
    after: int
    canary: Sample = Sample()
    baseline: Sample = Sample()
    p_value: float = 1.0


@dataclass(frozen=True, slots=True)
class Rollout:
    """One canary on its way. `target` is the route, or the listener, it belongs to (empty: all with that version)."""

    version: Version
    percent: int
    target: str = ""
    phase: Phase = Phase.RAMPING
    reason: str = ""
    decisions: tuple[Decision, ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """What was seen since the last step. Not `over`: the interval has not passed, and only gross failure is acted on.

    `obstacle` says why the canary cannot be given more, whatever its numbers; empty: nothing is in the way.
    """

    canary: Sample
    baseline: Sample
    over: bool = True
    obstacle: str = ""


@dataclass(frozen=True, slots=True)
class SetWeight:
    """Command: give the canary this share, in percent, and open the next window."""

    percent: int


@dataclass(frozen=True, slots=True)
class Prolong:
    """Command: add another interval to the window before it is judged again."""


Command = SetWeight | Prolong


def begin(
    version: Version, share: int, limits: RolloutLimits, at: datetime, *, target: str = ""
) -> tuple[Rollout, SetWeight]:
    """A rollout that takes its first step now; `share` is what the version has."""
    percent = limits.after(max(0, share))
    phase = Phase.PROMOTED if percent == 100 else Phase.RAMPING
    reason = f"started at {percent} %"
    first = Decision(at, Verdict.ADVANCED, reason, share, percent)
    return Rollout(version, percent, target, phase, reason, (first,)), SetWeight(percent)


def step(
    rollout: Rollout, window: Window, limits: RolloutLimits, at: datetime
) -> tuple[Rollout, tuple[Command, ...]]:
    """Look at the window: promote by a step, hold, or roll back; `reason` says why, with the numbers."""
    if rollout.phase is not Phase.RAMPING:
        return rollout, ()
    early = judge_early(window.canary, window.baseline, limits)
    if early.fault:
        return _roll_back(rollout, window, early, at)
    return _decide(rollout, window, limits, at) if window.over else (rollout, ())


def hold(rollout: Rollout, window: Window, reason: str, at: datetime) -> Rollout:
    """What becomes of a rollout whose step could not be carried out."""
    return _hold(rollout, window, Judgement(doubt=reason), at)


def _decide(
    rollout: Rollout, window: Window, limits: RolloutLimits, at: datetime
) -> tuple[Rollout, tuple[Command, ...]]:
    seen = window.canary.requests
    if seen < limits.enough:
        lacking = window.obstacle or f"{seen} of {limits.enough} requests seen"
        return _hold(rollout, window, Judgement(doubt=lacking), at), ()
    found = judge(window.canary, window.baseline, limits)
    if found.fault:
        return _roll_back(rollout, window, found, at)
    if window.obstacle:
        return _hold(rollout, window, replace(found, doubt=window.obstacle), at), ()
    if found.doubt:
        doubt = f"{found.doubt}; it may be chance, and another interval is added"
        return _hold(rollout, window, replace(found, doubt=doubt), at), (Prolong(),)
    return _advance(rollout, window, found, limits.after(rollout.percent), at)


def _advance(
    rollout: Rollout, window: Window, found: Judgement, percent: int, at: datetime
) -> tuple[Rollout, tuple[Command, ...]]:
    canary = window.canary
    decision = replace(
        _decision(rollout, window, found, at),
        verdict=Verdict.ADVANCED,
        reason=f"{canary.requests} requests, {canary.error_percent:.2f} % errors: {percent} %",
        after=percent,
    )
    phase = Phase.PROMOTED if percent == 100 else Phase.RAMPING
    return _record(replace(rollout, phase=phase), decision), (SetWeight(percent),)


def _roll_back(
    rollout: Rollout, window: Window, found: Judgement, at: datetime
) -> tuple[Rollout, tuple[Command, ...]]:
    decision = replace(
        _decision(rollout, window, found, at),
        verdict=Verdict.ROLLED_BACK,
        reason=f"rolled back: {found.fault}",
        after=0,
    )
    return _record(replace(rollout, phase=Phase.ROLLED_BACK), decision), (SetWeight(0),)


def _hold(rollout: Rollout, window: Window, found: Judgement, at: datetime) -> Rollout:
    decision = replace(
        _decision(rollout, window, found, at), reason=f"held at {rollout.percent} %: {found.doubt}"
    )
    last = rollout.decisions[-1] if rollout.decisions else None
    if last is not None and last == replace(decision, at=last.at):
        return rollout  # it still waits for the same, and has said so
    return _record(rollout, decision)


def _decision(rollout: Rollout, window: Window, found: Judgement, at: datetime) -> Decision:
    share = rollout.percent
    return Decision(at, Verdict.HELD, "", share, share, window.canary, window.baseline, found.p_value)


def _record(rollout: Rollout, decision: Decision) -> Rollout:
    kept = rollout.decisions
    if kept and kept[-1].verdict is decision.verdict is Verdict.HELD:
        kept = kept[:-1]
    decisions = (*kept, decision)[-MOST_DECISIONS:]
    return replace(rollout, percent=decision.after, reason=decision.reason, decisions=decisions)
