"""Timeline: the time of a stream as its players see it, which goes on whoever publishes and however his clock jumps. Pure.

Milliseconds. As long as a publisher's own clock is sound, players get his timestamps as they are.
"""

from typing import Final

from marchproxy.wire.rtmp.message import TIME_MASK, elapsed

#: Audio and video come so far out of step; what is further back is a clock that was set.
_BACK: Final = 5_000
#: So much further than the time that has passed a clock may go; a file's, that is sent at once, for instance.
_FORWARD: Final = 10_000


class Timeline:
    """One stream's."""

    __slots__ = ("_last", "_now", "_out", "_stamped_at", "latest")

    def __init__(self) -> None:
        self._last: int | None = None  # of the publisher, his last timestamp
        self._out = 0  # what was made of it
        self._now = self._stamped_at = 0.0
        self.latest = -1
        """The greatest that was given; -1: none was. It does not wrap."""

    @property
    def now(self) -> int:
        """The timestamp of what has none of its own."""
        return max(self.latest, 0) & TIME_MASK

    def arrive(self, now: float) -> None:
        """Messages have come at this time, in seconds of our own clock."""
        self._now = now

    def stamp(self, timestamp: int) -> int:
        """A frame's timestamp for players."""
        last = self._last
        if last is None:
            out = timestamp if self.latest < 0 else self._after()
        else:
            step = timestamp - last
            if not 0 <= step <= _FORWARD:
                step = elapsed(last, timestamp)
            out = self._out + step
            if out < self.latest - _BACK or (step > _FORWARD and step > _FORWARD + self._passed):
                out = self._after()
        self._last, self._out, self._stamped_at = timestamp, out, self._now
        self.latest = max(out, self.latest)
        return out & TIME_MASK

    def leave(self) -> None:
        """Another publisher comes next, or the same one with a new clock."""
        self._last = None

    def _after(self) -> int:
        """Behind all that was given, by the time that has passed."""
        return self.latest + max(self._passed, 1)

    @property
    def _passed(self) -> int:
        """Milliseconds since the last frame."""
        return round((self._now - self._stamped_at) * 1000)
