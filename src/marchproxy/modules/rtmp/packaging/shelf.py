"""Shelf: what can be watched of a stream, by the names of files. Pure: cuts in; what is to be written and removed, out.

Names are never used again: `stamp` is another one for each shelf, and numbers only grow, so that caches can keep segments.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from marchproxy.modules.rtmp.packaging.frames import AUDIO, VIDEO, Cut, Era
from marchproxy.modules.rtmp.packaging.lane import Kept, Lane
from marchproxy.wire.cmaf import init_segment, segment

# for how many segments a track is waited for that should be there: one of the source, one of a ladder
_SOON, _LATE = 2, 4


@dataclass(frozen=True, slots=True)
class Chapter:
    """An era on the shelf. `start`: ms after the shelf's `begins`, at which `origin` of the stream's clock is shown."""

    number: int
    start: int
    origin: int
    tracks: frozenset[str]


@dataclass(slots=True)
class Shelf:
    """One stream. `begins`: Unix time. `target`: the longest segment in whole seconds, of all that ever were.

    `hidden` tracks only say where others are cut.
    """

    stamp: str
    listed: int
    hidden: frozenset[str] = frozenset()
    begins: float = 0.0
    target: int = 0
    following: int = 0
    """The number of the era that comes next."""
    ended: bool = False
    chapters: dict[int, Chapter] = field(default_factory=dict)
    lanes: dict[str, Lane] = field(default_factory=dict)

    def add(self, cut: Cut) -> list[tuple[str, bytes]]:
        """Take a segment in. Returns the files that must be there before playlists name it."""
        if cut.era.number not in self.chapters:
            self._open(cut.era)
        if cut.track in self.hidden:
            return []
        lane = self.lanes.setdefault(cut.track, Lane(cut.track, self.listed))
        files = []
        if cut.era.number not in lane.heads:
            files.append((self.head_name(cut.track, cut.era.number), init_segment(cut.record)))
        data = segment(cut.samples, lane.following + 1)
        kept = lane.add(cut, len(data))
        self.target = max(self.target, (cut.duration + 500) // 1000, 1)
        return [*files, (self.segment_name(cut.track, kept.number), data)]

    def expect(self, era: int, tracks: Iterable[str]) -> None:
        """Say which tracks of a ladder an era will have."""
        if (chapter := self.chapters.get(era)) is not None:
            self.chapters[era] = replace(chapter, tracks=chapter.tracks.union(tracks))

    def trim(self) -> list[str]:
        """Let go of what nobody can have in a playlist any more. Returns the files that may go."""
        return self._trim(2 * self.listed + 1)

    def clear(self) -> list[str]:
        """Begin again after an end: numbers go on, nothing else is left. Returns the files that may go."""
        self.ended = False
        return self._trim(0)

    def window(self, track: str, era: int) -> list[Kept]:
        """The segments of a track in an era that can be watched."""
        return [kept for kept in self.lanes[track].window if kept.era == era] if track in self.lanes else []

    def complete(self, era: int) -> bool:
        """Whether an era has all its tracks, or has had the time for them: who has a list seldom asks for it again."""
        has = {track for track in self.lanes if self.window(track, era)}
        if not has or era != max(self.chapters) or self.ended:
            return bool(has)
        missing = self.chapters[era].tracks - self.hidden - has
        longest = max(len(self.window(track, era)) for track in has)
        return not missing or longest >= (_SOON if missing <= {VIDEO, AUDIO} else _LATE)

    def shown_at(self, kept: Kept) -> float:
        """The Unix time at which a segment begins."""
        chapter = self.chapters[kept.era]
        return self.begins + (chapter.start + kept.begins - chapter.origin) / 1000

    def head_name(self, track: str, era: int) -> str:
        """The file of an init segment."""
        return f"{self.stamp}-{track}-{era}.mp4"

    def segment_name(self, track: str, number: int | str) -> str:
        """The file of a segment; with `$Number$`, the pattern of all."""
        return f"{self.stamp}-{track}-{number}.m4s"

    def _open(self, era: Era) -> None:
        begins = era.anchor + era.origin / 1000
        if not self.chapters:
            self.begins = begins
        start = max(round((begins - self.begins) * 1000), self._end())
        self.chapters[era.number] = Chapter(era.number, start, era.origin, era.tracks)
        self.following = max(self.following, era.number + 1)

    def _end(self) -> int:
        """When the last segment has been shown, ms after `begins`."""
        ends = [
            chapter.start + kept.ends - chapter.origin
            for lane in self.lanes.values()
            for kept in lane.kept[-1:]
            if (chapter := self.chapters.get(kept.era)) is not None
        ]
        return max(ends, default=0)

    def _trim(self, most: int) -> list[str]:
        names = []
        for track, lane in self.lanes.items():
            gone, idle = lane.trim(most)
            names += [self.segment_name(track, kept.number) for kept in gone]
            names += [self.head_name(track, era) for era in idle]
        if names:
            eras = {era for lane in self.lanes.values() for era in lane.heads}
            last = max(self.chapters, default=0)
            self.chapters = {
                era: one for era, one in self.chapters.items() if era in eras or (most and era == last)
            }
        return names
