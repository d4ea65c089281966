"""Following: what becomes of rollouts that were started through a manager, until they have ended. The decision is pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from marchproxy.manager.operating.targets import Target
from marchproxy.manager.watching import LiveView, RolloutView
from marchproxy.model.record import StartedRollout

_LOST = timedelta(seconds=45)
_SKEW = timedelta(seconds=30)  # of the clocks of hosts


class Fate(Enum):
    """What has become of one."""

    GOES_ON = "goes on"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    ENDED = "ended"  # by hand, or nobody knows it any more


@dataclass(frozen=True, slots=True)
class Followed:
    """What is to be done about one: of `laggards` the version is taken, because others have gone back."""

    fate: Fate
    seen: RolloutView | None = None
    laggards: tuple[str, ...] = ()


def follow(started: StartedRollout, view: LiveView, now: datetime, *, grace: timedelta) -> Followed:
    """What has become of a rollout, as far as a view tells. One that is seen nowhere has ended, but not at once.

    `grace`: after so long nothing is seen any more that was so before it began.
    """
    age = now - started.started_at
    target = target_of(started)
    if age < grace or view.is_stale or any(nlb.failure for nlb in view.nlbs):
        return Followed(Fate.GOES_ON)
    seen = next((one for one in view.rollouts if _is_it(one, target, started)), None)
    if seen is None:
        return Followed(Fate.ENDED if age > _LOST else Fate.GOES_ON)
    match seen.phase:
        case "promoted":
            return Followed(Fate.PROMOTED, seen)
        case "rolled_back":
            others = (name for name, one in seen.standings.items() if one.phase != "rolled_back")
            return Followed(Fate.ROLLED_BACK, seen, tuple(others))
        case _:
            return Followed(Fate.GOES_ON, seen)


def id_of(target: Target) -> str:
    """Under which a rollout is remembered: a target has one at a time."""
    return f"{target.on}:{target.name}"


def target_of(started: StartedRollout) -> Target:
    """What it is on."""
    on = started.id.partition(":")[0]
    return Target(on, started.route)


def _is_it(one: RolloutView, target: Target, started: StartedRollout) -> bool:
    """An earlier one of the same version is another one."""
    if (one.on, one.target, one.version) != (target.on, target.name, started.version):
        return False
    return one.updated_at is None or one.updated_at > started.started_at - _SKEW
