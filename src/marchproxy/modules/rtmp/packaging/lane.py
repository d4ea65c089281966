"""A lane: the segments of one track that are kept, and how its media is set up in each era. Pure."""

from dataclasses import dataclass, field, replace

from marchproxy.modules.rtmp.packaging.frames import AUDIO, Cut, Record

_USUAL_RATES = (23.976, 24.0, 25.0, 29.97, 30.0, 48.0, 50.0, 59.94, 60.0, 100.0, 119.88, 120.0)
_NEAR = 0.0004  # 29.97 and 30 are 0.001 apart


@dataclass(frozen=True, slots=True)
class Kept:
    """A segment: its number in the lane, its era, when it is shown by the stream's clock and for how long in ms; bytes."""

    number: int
    era: int
    begins: int
    duration: int
    size: int

    @property
    def ends(self) -> int:
        """When it has been shown."""
        return self.begins + self.duration

    @property
    def rate(self) -> int:
        """Bits per second."""
        return self.size * 8000 // self.duration


@dataclass(frozen=True, slots=True)
class Head:
    """How a track is set up in an era, without the box, which is in its file. `peak`: the most bits per second of a segment that is no mere end."""

    record: Record
    frame_rate: float = 0.0
    peak: int = 0


@dataclass(slots=True)
class Lane:
    """One track. `listed` segments are in playlists, and as many more are there for who has an old playlist."""

    track: str
    listed: int
    following: int = 0
    kept: list[Kept] = field(default_factory=list)
    heads: dict[int, Head] = field(default_factory=dict)

    def add(self, cut: Cut, size: int) -> Kept:
        """Take a segment in; returns it with its number."""
        era = cut.era.number
        kept = Kept(self.following, era, cut.begins, cut.duration, size)
        self.following += 1
        self.kept.append(kept)
        if era not in self.heads:
            moving = 0.0 if cut.track == AUDIO else _frame_rate(len(cut.samples) * 1000 / cut.duration)
            self.heads[era] = Head(replace(cut.record, box=b""), moving)
        self._raise_peak(kept)
        return kept

    @property
    def window(self) -> list[Kept]:
        """The segments that playlists have."""
        return self.kept[-self.listed :]

    def trim(self, most: int) -> tuple[list[Kept], list[int]]:
        """Let go of all segments but so many; returns them, and the eras whose head nobody needs now."""
        count = max(len(self.kept) - most, 0)
        gone, self.kept = self.kept[:count], self.kept[count:]
        eras = {kept.era for kept in self.kept}
        idle = [era for era in self.heads if era not in eras]
        for era in idle:
            del self.heads[era]
        return gone, idle

    def average(self) -> int:
        """Bits per second over the window."""
        window = self.window
        return sum(kept.size for kept in window) * 8000 // max(sum(kept.duration for kept in window), 1)

    def _raise_peak(self, kept: Kept) -> None:
        head = self.heads[kept.era]
        usual = max(one.duration for one in self.kept)
        # what ends an era may be one keyframe: its rate says nothing (RFC 8216, 4.3.4.2)
        if kept.rate > head.peak and (kept.duration * 2 >= usual or not head.peak):
            self.heads[kept.era] = replace(head, peak=kept.rate)


def _frame_rate(measured: float) -> float:
    near = min(_USUAL_RATES, key=lambda rate: abs(rate - measured))
    return near if abs(near - measured) < near * _NEAR else round(measured, 1)
