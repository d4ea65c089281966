"""Progress: what version RPCs made of the configuration since it came into force."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from marchproxy.model.ramp import Ramp, Shift


@dataclass(frozen=True, slots=True)
class Progress:
    """Shifts and gradual promotions by target: a listener's name, or empty for all of them.

    `modified`: version weights are not those of the document any more.
    """

    modified: bool = False
    shifts: Mapping[str, Shift] = field(default_factory=dict)
    ramps: Mapping[str, Ramp] = field(default_factory=dict)

    @property
    def targets(self) -> frozenset[str]:
        """All that there is a shift or a promotion of."""
        return frozenset(self.shifts.keys() | self.ramps.keys())

    def shift_of(self, target: str) -> Shift | None:
        """The traffic shift on a listener, or the one on all of them."""
        return self.shifts.get(target) or self.shifts.get("")

    def last_target(self) -> str:
        """What the shift that began last was about; empty: all listeners, or there was none."""
        return max(self.shifts, key=lambda target: self.shifts[target].started_at, default="")

    def with_shift(self, target: str, shift: Shift) -> "Progress":
        """With a traffic shift noted."""
        return replace(self, shifts={**self.shifts, target: shift})

    def with_ramp(self, ramp: Ramp) -> "Progress":
        """With a gradual promotion as it now stands; one per target."""
        return replace(self, ramps={**self.ramps, ramp.rollout.target: ramp})

    def lasting(self, targets: Collection[str], *, modified: bool) -> "Progress":
        """With what is left of it under another document: the shifts and promotions of these targets."""
        return Progress(
            modified,
            {key: shift for key, shift in self.shifts.items() if key in targets},
            {key: ramp for key, ramp in self.ramps.items() if key in targets},
        )

    def without_ramps(self, target: str) -> "Progress":
        """With every gradual promotion ended that would move the same listener."""
        kept = {key: ramp for key, ramp in self.ramps.items() if not _overlap(key, target)}
        return replace(self, ramps=kept)


def _overlap(one: str, other: str) -> bool:
    return not one or not other or one == other
