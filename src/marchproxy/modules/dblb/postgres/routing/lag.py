"""Lag: how late a replica is, by what the primary had written when. Pure.

A replica's own opinion (the age of what it replayed last) is wrong where clocks differ, where the primary writes nothing, and
where nothing arrives any more. What the primary was seen to have written at a time bounds it on both sides.
"""

from bisect import bisect_right
from dataclasses import dataclass

_MOST = 128


@dataclass(frozen=True, slots=True)
class Mark:
    """A primary had written up to `position`, and no further, when it was looked at from `first` to `last`, in seconds."""

    position: int
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class History:
    """The marks of a primary in its timeline, as they grow."""

    timeline: int = 0
    marks: tuple[Mark, ...] = ()

    def seen(self, timeline: int, time: float, position: int) -> "History":
        """One look more. Another timeline begins anew; of many marks every second of the older half goes."""
        if timeline != self.timeline or not self.marks:
            return History(timeline, (Mark(position, time, time),))
        newest = self.marks[-1]
        if position <= newest.position:
            return History(timeline, (*self.marks[:-1], Mark(newest.position, newest.first, time)))
        marks = (*self.marks, Mark(position, time, time))
        if len(marks) > _MOST:
            marks = marks[: _MOST // 2 : 2] + marks[_MOST // 2 :]
        return History(timeline, marks)

    def lag(self, position: int, asked: float, own: float | None) -> float | None:
        """Seconds by which a replica was late when it was asked, and had replayed up to `position`; None: nobody knows.

        `own`: what it believes itself.
        """
        count = bisect_right(self.marks, position, key=lambda mark: mark.position)
        # it lacked what was there at the first time, and had all that was there at the last
        least = max(0.0, asked - self.marks[count].first) if count < len(self.marks) else 0.0
        most = max(0.0, asked - self.marks[count - 1].last) if count else None
        if own is None:
            return most
        bounded = max(own, least)
        return bounded if most is None else min(bounded, most)
