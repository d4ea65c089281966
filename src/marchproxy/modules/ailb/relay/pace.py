"""Pace: how fast an answer came. Pure; times in seconds of one clock."""


class Pace:
    """Of one request, from its beginning."""

    __slots__ = ("_began", "_first", "_last", "_marks", "longest")

    def __init__(self, now: float) -> None:
        self._began = now
        self._first = self._last = 0.0
        self._marks = 0
        self.longest = 0.0
        """Between two pieces."""

    def mark(self, now: float) -> None:
        """Something has come."""
        if self._marks:
            gap = now - self._last
            if gap > self.longest:  # noqa: PLR1730 - for every piece of a stream: max() takes longer than all else here
                self.longest = gap
        else:
            self._first = now
        self._last = now
        self._marks += 1

    @property
    def first(self) -> float | None:
        """From the beginning to the first piece; None: there was none."""
        return self._first - self._began if self._marks else None

    def each(self, pieces: int | None) -> float | None:
        """Between two of so many pieces, on average; None: there were no two."""
        return (
            (self._last - self._first) / (pieces - 1) if pieces and pieces > 1 and self._marks > 1 else None
        )

    def all(self, now: float) -> float:
        """From the beginning until now."""
        return now - self._began
