"""When a dead Envoy is started again, and when that is a loop. Pure: events and the time in, state and commands out."""

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import assert_never

from marchproxy.kit.backoff import Backoff


class EnvoyState(Enum):
    """Where a supervised Envoy is."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    BACKOFF = "backoff"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class LastExit:
    """How an Envoy ended; both None when it was adopted, because only a parent learns it."""

    code: int | None = None
    signal: int | None = None

    def __str__(self) -> str:
        if self.signal is not None:
            return f"signal {self.signal}"
        return "unknown" if self.code is None else f"exit code {self.code}"


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """The first restart is at once; deaths within `settle_seconds` of a start are quick, and later ones wait longer.

    `loop_deaths` quick deaths in a row are a crash loop, until an Envoy has run for `settle_seconds` again.
    """

    backoff: Backoff = field(default_factory=lambda: Backoff(initial=0.25, maximum=15.0))
    settle_seconds: float = 30.0
    loop_deaths: int = 3


@dataclass(frozen=True, slots=True)
class Supervision:
    """What the supervisor knows. Times are monotonic seconds."""

    state: EnvoyState = EnvoyState.STOPPED
    since: float = 0.0
    started_at: float = 0.0
    restarts: int = 0
    quick_deaths: int = 0
    hand_overs: int = 0
    last_exit: LastExit | None = None


@dataclass(frozen=True, slots=True)
class Spawned:
    """A process was started, or could not be (then Exited follows); `adopted` when it was found running."""

    adopted: bool = False


@dataclass(frozen=True, slots=True)
class AdminAnswered:
    """The admin API answers."""


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A successor serves, by a hot restart."""


@dataclass(frozen=True, slots=True)
class DrainStarted:
    """Clients are asked to go."""


@dataclass(frozen=True, slots=True)
class StopRequested:
    """The supervisor ends the process, or lets go of it."""


@dataclass(frozen=True, slots=True)
class Exited:
    """The process is gone. `roll` in [0, 1) is the dice of the backoff."""

    exit: LastExit
    roll: float = 0.5


@dataclass(frozen=True, slots=True)
class RestartAfter:
    """Start it again in so many seconds."""

    seconds: float


Event = Spawned | AdminAnswered | HandedOver | DrainStarted | StopRequested | Exited


# between two lives nothing is left to drain, and nothing shall be started again
_DRAINED = {
    EnvoyState.STARTING: EnvoyState.DRAINING,
    EnvoyState.RUNNING: EnvoyState.DRAINING,
    EnvoyState.DRAINING: EnvoyState.DRAINING,
    EnvoyState.BACKOFF: EnvoyState.STOPPED,
    EnvoyState.STOPPED: EnvoyState.STOPPED,
}


def step(
    known: Supervision, event: Event, now: float, policy: RestartPolicy
) -> tuple[Supervision, tuple[RestartAfter, ...]]:
    """Return the new state and what is to be done."""
    match event:
        case Spawned():
            restarts = known.restarts + (known.state is EnvoyState.BACKOFF)
            started = replace(known, started_at=now, restarts=restarts)
            return _enter(started, EnvoyState.RUNNING if event.adopted else EnvoyState.STARTING, now), ()
        case AdminAnswered():
            return (
                _enter(known, EnvoyState.RUNNING, now) if known.state is EnvoyState.STARTING else known
            ), ()
        case HandedOver():
            return _after_hand_over(known, now), ()
        case DrainStarted():
            return _enter(known, _DRAINED[known.state], now), ()
        case StopRequested():
            return _enter(known, EnvoyState.STOPPED, now), ()
        case Exited():
            return _after_exit(replace(known, last_exit=event.exit), event.roll, now, policy)
        case _:
            assert_never(event)


def is_crash_looping(known: Supervision, now: float, policy: RestartPolicy) -> bool:
    """Whether Envoy dies again and again."""
    settled = known.state is EnvoyState.RUNNING and now - known.started_at >= policy.settle_seconds
    return known.quick_deaths >= policy.loop_deaths and not settled and known.state is not EnvoyState.STOPPED


def _after_hand_over(known: Supervision, now: float) -> Supervision:
    started = replace(known, started_at=now, hand_overs=known.hand_overs + 1)
    # one that drains goes on draining: its successor is asked to as well
    return started if known.state is EnvoyState.DRAINING else _enter(started, EnvoyState.RUNNING, now)


def _after_exit(
    known: Supervision, roll: float, now: float, policy: RestartPolicy
) -> tuple[Supervision, tuple[RestartAfter, ...]]:
    if known.state in (EnvoyState.STOPPED, EnvoyState.DRAINING):
        return _enter(known, EnvoyState.STOPPED, now), ()
    quick = known.quick_deaths + 1 if now - known.started_at < policy.settle_seconds else 0
    seconds = policy.backoff.delay(quick - 2, roll) if quick > 1 else 0.0
    return _enter(replace(known, quick_deaths=quick), EnvoyState.BACKOFF, now), (RestartAfter(seconds),)


def _enter(known: Supervision, state: EnvoyState, now: float) -> Supervision:
    return known if known.state is state else replace(known, state=state, since=now)
