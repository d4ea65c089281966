"""Meter: how fast a stream is, from what has been counted of it. Pure."""

from typing import Final

#: Seconds over which rates are taken.
_OVER: Final = 5


class Meter:
    """Growing counts, looked at about once a second."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: list[tuple[float, int, int]] = []

    def note(self, now: float, size: int, frames: int) -> None:
        """Bytes and frames by now, in seconds."""
        self._seen.append((now, size, frames))
        while len(self._seen) > 2 and self._seen[1][0] <= now - _OVER:
            del self._seen[0]

    def clear(self) -> None:
        """Nothing that was counted so far is of account."""
        self._seen.clear()

    @property
    def bitrate(self) -> float:
        """In kbit/s."""
        return self._rate(1) * 8 / 1000

    @property
    def fps(self) -> float:
        """Frames in a second."""
        return self._rate(2)

    def _rate(self, which: int) -> float:
        if len(self._seen) < 2:
            return 0.0
        first, last = self._seen[0], self._seen[-1]
        passed = last[0] - first[0]
        return (last[which] - first[which]) / passed if passed > 0 else 0.0
