"""Series: the recent past of metrics, in bounded memory. The caller brings the time (Unix seconds)."""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice


@dataclass(frozen=True, slots=True)
class Point:
    """One measured value. `labels` are pairs, sorted by name."""

    name: str
    value: float
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Frame:
    """Everything that was measured at one moment; `at` in Unix seconds."""

    at: float
    points: tuple[Point, ...]


@dataclass(slots=True)
class Series:
    """A ring of frames, in the order of time: the oldest go when there are more than `capacity`, or than `most_points`."""

    capacity: int = 720
    most_points: int = 100_000
    _frames: deque[Frame] = field(init=False)
    _points: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if self.capacity < 1:
            raise ValueError(f"capacity: {self.capacity} is less than 1")
        self._frames = deque()

    def __len__(self) -> int:
        return len(self._frames)

    def record(self, frame: Frame) -> None:
        """Add a frame. A clock that went back does not break the order: the frame counts as just after the last."""
        if self._frames and frame.at < self._frames[-1].at:
            frame = Frame(self._frames[-1].at, frame.points)
        self._frames.append(frame)
        self._points += len(frame.points)
        while len(self._frames) > self.capacity or (
            self._points > self.most_points and len(self._frames) > 1
        ):
            self._points -= len(self._frames.popleft().points)

    def latest(self) -> Frame | None:
        """The newest frame, or None."""
        return self._frames[-1] if self._frames else None

    def newest(self, names: Collection[str] = (), *, frames: int = 1) -> tuple[Point, ...]:
        """The newest point of each name and labels within the last `frames`; `names` empty: all of them."""
        found: dict[tuple[str, tuple[tuple[str, str], ...]], Point] = {}
        for frame in islice(reversed(self._frames), frames):
            for point in frame.points:
                if not names or point.name in names:
                    found.setdefault((point.name, point.labels), point)
        return tuple(found.values())

    def between(
        self, start: float | None = None, end: float | None = None, names: Collection[str] = ()
    ) -> Iterator[tuple[float, Point]]:
        """The points from `start` to `end`, both included (None: open); `names` empty: all of them."""
        frames = list(self._frames)
        first = 0 if start is None else bisect_left(frames, start, key=_at)
        last = len(frames) if end is None else bisect_right(frames, end, key=_at)
        wanted = frozenset(names)
        for frame in frames[first:last]:
            for point in frame.points:
                if not wanted or point.name in wanted:
                    yield frame.at, point


def thin(points: Sequence[tuple[float, Point]], most: int) -> list[tuple[float, Point]]:
    """Points of fewer moments, evenly spread and with the newest, so that there are about `most`; all of a moment or none."""
    moments = sorted({at for at, _ in points})
    if len(points) <= most or len(moments) < 2:
        return list(points)
    wanted = max(1, len(moments) * most // len(points))
    newest = len(moments) - 1
    kept = {moments[newest - index * len(moments) // wanted] for index in range(wanted)}
    return [(at, point) for at, point in points if at in kept]


def _at(frame: Frame) -> float:
    return frame.at
