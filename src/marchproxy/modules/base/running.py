"""Running: the desired state that a module runs, and how it came by it."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from marchproxy.model.lasting import Lasting
from marchproxy.model.ramp import Ramp, Shift
from marchproxy.model.state import DesiredState


@dataclass(frozen=True, slots=True)
class Running:
    """What a module runs. `checksum` is of the document it came from; `modified` when RPCs changed it since.

    `origin` is the checksum of the module's own configuration at that time: while that stays as it was, a process that
    comes back goes on with what was told to the one before. `draining`: the instance was told to take nothing new.
    """

    desired: DesiredState = DesiredState()
    checksum: str = ""
    modified: bool = False
    updated_at: datetime | None = None
    shifts: dict[str, Shift] = field(default_factory=dict)
    ramps: dict[str, Ramp] = field(default_factory=dict)
    origin: str = ""
    draining: bool = False

    def changed(self, desired: DesiredState, at: datetime) -> "Running":
        """After an RPC changed the state."""
        return replace(self, desired=desired, modified=True, updated_at=at)

    def loaded(self, desired: DesiredState, checksum: str, at: datetime) -> "Running":
        """After a whole document was applied: what RPCs did before is gone, and so are the rollouts."""
        return Running(
            desired=desired, checksum=checksum, updated_at=at, origin=self.origin, draining=self.draining
        )

    def lasting(self, before: "Running", lasting: Lasting) -> "Running":
        """After `loaded`, with what outlives the document of what RPCs did before."""
        return replace(
            self,
            desired=lasting.state,
            modified=lasting.state != self.desired,
            shifts={key: shift for key, shift in before.shifts.items() if key in lasting.targets},
            ramps={key: ramp for key, ramp in before.ramps.items() if key in lasting.targets},
        )

    def from_own(self) -> "Running":
        """After the document that was loaded turned out to be the module's own configuration."""
        return replace(self, origin=self.checksum)

    def on_leave(self) -> "Running":
        """After the instance was told to take nothing new."""
        return replace(self, draining=True)

    def shift_of(self, target: str) -> Shift | None:
        """The traffic shift on a route, or the one on all routes."""
        return self.shifts.get(target) or self.shifts.get("")

    def with_shift(self, target: str, shift: Shift) -> "Running":
        """With a traffic shift on a route (`target` empty: all routes) noted."""
        return replace(self, shifts={**self.shifts, target: shift})

    def with_ramp(self, ramp: Ramp) -> "Running":
        """With a gradual promotion as it now stands; one per target."""
        return replace(self, ramps={**self.ramps, ramp.rollout.target: ramp})

    def without_ramp(self, target: str) -> "Running":
        """With the gradual promotion on a target ended by hand."""
        return replace(self, ramps={key: ramp for key, ramp in self.ramps.items() if key != target})
