"""What operations are about, and what came of them."""

from dataclasses import dataclass, field, replace

from marchproxy.model.judging import RolloutLimits
from marchproxy.model.revision import RevisionHead

_LIMITS = RolloutLimits()


class NotDone(Exception):
    """An operation that is not possible as things are: the message says by whom it was refused and why, and what to do.

    `found`: what it is about exists, and it could be done at another time; False: there is no such thing.
    """

    def __init__(self, message: str, *, found: bool = True) -> None:
        self.found = found
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Target:
    """Whose versions are meant: those of backend pools on a route, or of modules behind a listener."""

    on: str
    """ "route" or "listener"."""
    name: str

    def __str__(self) -> str:
        return f'{self.on} "{self.name}"'


@dataclass(frozen=True, slots=True)
class Pace:
    """How a version is promoted: `step` points at a time, or by `steps` (percent, ascending); neither: at once.

    `limits` holds what each step must satisfy, times in seconds.
    """

    step: int = 0
    steps: tuple[int, ...] = ()
    limits: RolloutLimits = field(default=_LIMITS)

    @property
    def at_once(self) -> bool:
        """Whether there are no steps."""
        return not self.step and not self.steps

    @property
    def rollout(self) -> RolloutLimits:
        """The limits with the steps."""
        return replace(self.limits, step_percent=self.step or self.limits.step_percent, steps=self.steps)


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an operation. `revision`: the one that it made; None: it made none."""

    message: str
    revision: RevisionHead | None = None
    by: tuple[tuple[str, str], ...] = ()
    """What each part answered, by name."""
