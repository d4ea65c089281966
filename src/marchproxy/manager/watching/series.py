"""Series: the recent past of figures, in bounded memory: the last hour on the beat, the last day by the minute. No I/O, no clock."""

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

MOST_NAMES = 2000
_FINE_STEP, _FINE_SLOTS = 2, 1800
_COARSE_STEP, _COARSE_SLOTS = 60, 1440
_IDLE_SECONDS = 600.0
_NOTHING = math.nan


@dataclass(frozen=True, slots=True)
class Sample:
    """A value, or None where nothing was measured; `at` in Unix seconds is when its step began."""

    at: float
    value: float | None


@dataclass(frozen=True, slots=True)
class Slice:
    """Some figures over a stretch of time: of each name a value per step, the oldest first."""

    start: float
    """Unix seconds."""
    step: float
    """Seconds."""
    values: Mapping[str, tuple[float | None, ...]]

    def samples(self, name: str) -> Iterator[Sample]:
        """The values of a name with their times."""
        for index, value in enumerate(self.values.get(name, ())):
            yield Sample(self.start + index * self.step, value)


class Ring:
    """The last `slots` steps of `step` seconds of one figure; several values in one step are averaged."""

    def __init__(self, step: int, slots: int) -> None:
        self.step = step
        self._values = array("f", [_NOTHING]) * slots
        self._count = 0  # of values in the newest step
        self._newest = -1

    def put(self, at: float, value: float) -> None:
        """Take in a value; one of a step that is over is left out."""
        slot = int(at // self.step)
        if slot < self._newest:
            return
        if slot > self._newest:
            if slot > self._newest + 1:
                self._clear(slot)
            self._newest, self._count = slot, 0
        place = slot % len(self._values)
        self._count += 1
        before = 0.0 if self._count == 1 else self._values[place]
        self._values[place] = before + (value - before) / self._count

    def get(self, slot: int) -> float | None:
        """The value of a step; None: none, or not any more."""
        if not self._newest - len(self._values) < slot <= self._newest:
            return None
        value = self._values[slot % len(self._values)]
        return None if math.isnan(value) else value

    def _clear(self, slot: int) -> None:
        """Forget what was a round ago in the steps that are skipped."""
        size = len(self._values)
        first = max(self._newest + 1, slot - size + 1)
        for skipped in range(first, slot + 1):
            self._values[skipped % size] = _NOTHING


class History:
    """All figures by name. A name begins with its first value that is not 0.

    When there are too many, one that has been 0 for long is let go; when there is none such, newcomers are left out.
    """

    def __init__(self, most: int = MOST_NAMES) -> None:
        self._most = most
        self._rings: dict[str, tuple[Ring, Ring]] = {}
        self._busy_at: dict[str, float] = {}
        self.left_out = 0
        """How many values found no place."""

    def record(
        self, at: float, figures: Iterable[tuple[str, float]], *, silent: tuple[str, ...] = ()
    ) -> None:
        """Take in the figures of one look, the important ones first; `at` in Unix seconds.

        Known names that begin with one of `silent` and are not among the figures are 0.
        """
        told = set()
        for name, value in figures:
            told.add(name)
            rings = self._rings.get(name)
            if rings is None:
                if not value:
                    continue
                rings = self._begin(name, at)
                if rings is None:
                    self.left_out += 1
                    continue
            if value:
                self._busy_at[name] = at
            for ring in rings:
                ring.put(at, value)
        for name, rings in self._rings.items():
            if silent and name not in told and name.startswith(silent):
                for ring in rings:
                    ring.put(at, 0.0)

    def names(self) -> tuple[str, ...]:
        """What there is, sorted."""
        return tuple(sorted(self._rings))

    def between(self, names: Sequence[str], start: float, end: float, step: float) -> Slice:
        """The means of these figures for each `step` seconds from `start` to before `end` (Unix seconds).

        Steps are no finer than what is kept. Unknown names have no values.
        """
        fine = step < _COARSE_STEP and start >= end - _FINE_STEP * _FINE_SLOTS
        unit = _FINE_STEP if fine else _COARSE_STEP
        many = max(1, round(step / unit))
        width = unit * many
        first = int(start // width) * many
        steps = max(0, math.ceil(end / width) - int(start // width))
        values = {
            name: tuple(_mean(rings[0 if fine else 1], first + index * many, many) for index in range(steps))
            for name in names
            if (rings := self._rings.get(name)) is not None
        }
        return Slice(float(first * unit), float(width), values)

    def _begin(self, name: str, at: float) -> tuple[Ring, Ring] | None:
        if len(self._rings) >= self._most:
            idle = min(self._busy_at, key=self._busy_at.__getitem__)
            if self._busy_at[idle] > at - _IDLE_SECONDS:
                return None
            del self._rings[idle], self._busy_at[idle]
        rings = self._rings[name] = (Ring(_FINE_STEP, _FINE_SLOTS), Ring(_COARSE_STEP, _COARSE_SLOTS))
        self._busy_at[name] = at
        return rings


def _mean(ring: Ring, first: int, many: int) -> float | None:
    found = [value for slot in range(first, first + many) if (value := ring.get(slot)) is not None]
    return sum(found) / len(found) if found else None
