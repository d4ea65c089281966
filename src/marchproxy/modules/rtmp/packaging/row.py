"""The frames of one track that wait to be cut. Pure."""

from collections import deque
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from marchproxy.modules.rtmp.packaging.frames import Frame
from marchproxy.wire.cmaf import Sample

#: Cuts that a track of a ladder, which comes later, may owe.
_OWED = 16
_GUESS = 20  # ms, of the only frame that there is


class Piece(NamedTuple):
    """What was cut off."""

    begins: int
    duration: int
    samples: tuple[Sample, ...]


class Row:
    """Gathers frames; cuts where it is told to, at the first frame of that time or later with which decoding can begin."""

    __slots__ = ("_frames", "_lasted", "_owed", "_patient", "size")

    def __init__(self, *, patient: bool = False, owed: Iterable[int] = ()) -> None:
        """`patient`: a cut is waited for, however late; else the next one ends the wait. `owed`: cuts that were told before."""
        self._frames: list[Frame] = []
        self._owed = deque(owed)
        self._lasted = _GUESS
        self._patient = patient
        self.size = 0

    @property
    def last(self) -> int | None:
        """When the latest frame is decoded; None: there is none."""
        return self._frames[-1].time if self._frames else None

    @property
    def first(self) -> int | None:
        """When the first frame since the last cut is decoded; None: there is none."""
        return self._frames[0].time if self._frames else None

    def push(self, frame: Frame) -> list[Piece]:
        """Add a frame. Returns what is cut off by it."""
        if self._frames and frame.time < self._frames[-1].time:
            # decoding cannot go back; when it is shown stays
            time = self._frames[-1].time
            frame = frame._replace(time=time, shift=frame.shown - time)
        self._frames.append(frame)
        self.size += len(frame.data)
        pieces = []
        while self._owed and frame.key and frame.shown >= self._owed[0]:
            self._owed.popleft()
            pieces += self._cut(len(self._frames) - 1)
        return pieces

    def cut(self, at: int) -> list[Piece]:
        """Cut at a time. Returns what is cut off by it now; the rest follows as frames of that time come."""
        pieces = []
        if self._owed and not self._patient:
            self._owed.clear()
            pieces += self.flush()
        if len(self._owed) < _OWED:
            self._owed.append(at)
        for index, frame in enumerate(self._frames):
            if frame.key and frame.shown >= self._owed[0]:
                self._owed.popleft()
                return pieces + self._cut(index)
        return pieces

    def flush(self) -> list[Piece]:
        """Cut off all that there is."""
        pieces = self._cut(len(self._frames))
        self._owed.clear()
        return pieces

    def _cut(self, count: int) -> list[Piece]:
        frames, rest = self._frames[:count], self._frames[count:]
        if not frames:
            return []
        self._frames, self.size = rest, sum(len(frame.data) for frame in rest)
        samples = tuple(self._samples(frames, rest))
        end = rest[0].shown if rest else max(one.time + one.shift + one.duration for one in samples)
        begins = max(frames[0].shown, 0)  # playlists know no time before 0
        return [Piece(begins, max(end - begins, 1), samples)]

    def _samples(self, frames: list[Frame], rest: list[Frame]) -> list[Sample]:
        times = [frame.time for frame in (*frames, *rest[:1])]
        if len(times) > 1:
            self._lasted = times[-1] - times[-2]
        durations = [later - time for time, later in pairwise(times)]
        if not rest:
            durations.append(self._lasted)
        return [
            Sample(frame.time, duration, frame.shift, frame.key, frame.data)
            for frame, duration in zip(frames, durations, strict=True)
        ]
