"""Steps: the switch of writes from one pool to another as a table of states. Pure.

Until FLIPPING anything that fails, or takes too long, ends with the old pool going on. While FLIPPING the workers are told the new
plan and stay paused, so that none writes to the new pool before all have left the old one; and where nobody comes to tell
them what became of it, they stay paused rather than write to different pools.
"""

from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeAlias, assert_never


class Stage(Enum):
    """What is waited for."""

    ASKING = "that the new pool follows the old one"
    PAUSING = "that all workers pause"
    EMPTYING = "that transactions end"
    MARKING = "how far the old pool has written"
    CATCHING_UP = "that the new pool has what the old one wrote"
    HOLDING = "that all workers stay paused"
    FLIPPING = "that all workers take the new plan"
    DONE = "nothing: writes are on the new pool"
    ABORTED = "nothing: writes are on the old pool"


@dataclass(frozen=True, slots=True)
class Switch:
    """One under way. Times in seconds of the clock; `mark` is the old pool's position, in its own words."""

    started: float
    timeout: float
    stage: Stage = Stage.ASKING
    mark: str = ""

    @property
    def deadline(self) -> float:
        """When it must have flipped."""
        return self.started + self.timeout

    @property
    def patience(self) -> float:
        """Until when transactions may take: half of the time, for the rest is needed to catch up."""
        return self.started + self.timeout / 2


@dataclass(frozen=True, slots=True)
class Carried:
    """What was commanded is done; of nothing else is there more to say."""


@dataclass(frozen=True, slots=True)
class BusySeen:
    """So many server connections of the routes are in use."""

    connections: int


@dataclass(frozen=True, slots=True)
class Marked:
    """Where the old pool is."""

    mark: str


@dataclass(frozen=True, slots=True)
class BehindSeen:
    """What the new pool does not have yet; empty: it has everything."""

    words: str


@dataclass(frozen=True, slots=True)
class Failed:
    """What was commanded is not done."""

    reason: str


class Command(Enum):
    """What is to be done next, answered by one event."""

    ASK = "ask whether the new pool follows"
    PAUSE = "pause"
    COUNT = "count connections in use"
    MARK = "ask how far the old pool has written"
    COMPARE = "ask what the new pool lacks"
    HOLD = "stay paused until told"
    APPLY = "take the new plan"
    RESUME = "go on"


@dataclass(frozen=True, slots=True)
class Refuse:
    """Tell the author of the change why it was not made."""

    reason: str


Event: TypeAlias = Carried | BusySeen | Marked | BehindSeen | Failed
Commands: TypeAlias = tuple[Command | Refuse, ...]

_AFTER = {
    Stage.ASKING: (Stage.PAUSING, Command.PAUSE),
    Stage.PAUSING: (Stage.EMPTYING, Command.COUNT),
    Stage.HOLDING: (Stage.FLIPPING, Command.APPLY),
    Stage.FLIPPING: (Stage.DONE, Command.RESUME),
}
_ANSWERS: dict[type[Event], frozenset[Stage]] = {
    Carried: frozenset(_AFTER),
    BusySeen: frozenset({Stage.EMPTYING}),
    Marked: frozenset({Stage.MARKING}),
    BehindSeen: frozenset({Stage.CATCHING_UP}),
}


def begin(now: float, timeout: float) -> tuple[Switch, Commands]:
    """A switch that must flip within so many seconds."""
    return Switch(now, timeout), (Command.ASK,)


def step(switch: Switch, event: Event, now: float) -> tuple[Switch, Commands]:
    """What follows from an event, and what is to be done then. Raises ValueError on one that answers nothing."""
    if isinstance(event, Failed):
        return _abort(switch, event.reason)
    if switch.stage not in _ANSWERS[type(event)]:
        raise ValueError(f"{event} is no answer while waiting for {switch.stage.value}")
    match event:
        case Carried():
            return _carried(switch, now)
        case BusySeen(connections):
            return _empty(switch, connections, now)
        case Marked(mark):
            return replace(switch, stage=Stage.CATCHING_UP, mark=mark), (Command.COMPARE,)
        case BehindSeen(words):
            return _catch_up(switch, words, now)
        case _:
            assert_never(event)


def _carried(switch: Switch, now: float) -> tuple[Switch, Commands]:
    if now > switch.deadline and switch.stage is not Stage.FLIPPING:
        return _abort(switch, f"it took longer than {switch.timeout:g} s until {switch.stage.value[5:]}")
    stage, command = _AFTER[switch.stage]
    return replace(switch, stage=stage), (command,)


def _empty(switch: Switch, connections: int, now: float) -> tuple[Switch, Commands]:
    if not connections:
        return replace(switch, stage=Stage.MARKING), (Command.MARK,)
    if now <= switch.patience:
        return switch, (Command.COUNT,)
    reason = (
        f"after {switch.timeout / 2:g} s {connections} server connections were still in use: by transactions, "
        "or by clients that keep theirs (session pooling, or a pin)"
    )
    return _abort(switch, reason)


def _catch_up(switch: Switch, words: str, now: float) -> tuple[Switch, Commands]:
    if not words:
        return replace(switch, stage=Stage.HOLDING), (Command.HOLD,)
    if now <= switch.deadline:
        return switch, (Command.COMPARE,)
    return _abort(switch, f"within {switch.timeout:g} s the new pool did not get there: {words}")


def _abort(switch: Switch, reason: str) -> tuple[Switch, Commands]:
    aborted = replace(switch, stage=Stage.ABORTED)
    if switch.stage is Stage.ASKING:
        return aborted, (Refuse(reason),)
    return aborted, (Command.RESUME, Refuse(reason))
