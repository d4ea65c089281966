"""An era that runs: the rows of its tracks, the one that leads, and what it knows of the time of day. Pure."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from marchproxy.modules.rtmp.packaging.frames import AUDIO, VIDEO, Cut, Era, Frame, Record
from marchproxy.modules.rtmp.packaging.row import Piece, Row

_EARLY = 0.05  # of a segment's length: encoders' keyframes come a frame too soon now and then
_REMEMBERED = 16  # cuts


@dataclass(frozen=True, slots=True)
class Pace:
    """How a stream is cut; milliseconds and bytes. `segment`: the least length of segments, `longest` the most.

    `jump`: how far a clock may go forward at once, `back`: backward. `drift`: how far the stream's clock and the time of day
    may part. `alone`: for how much audio the video is waited for.
    """

    segment: int
    longest: int = 60_000
    largest: int = 64 * 1024 * 1024
    jump: int = 10_000
    back: int = 1000
    drift: int = 10_000
    alone: int = 3000


class Running:
    """One era from its first frame on, which is shown at `origin`. `leader` says where all tracks are cut."""

    def __init__(
        self, number: int, records: Mapping[str, Record], leader: str, pace: Pace, origin: int
    ) -> None:
        self.leader = leader
        self._number = number
        self._records = dict(records)
        self._pace = pace
        self._least = round(pace.segment * (1 - _EARLY))
        self._origin = self._cut_at = origin
        self._led = (VIDEO, AUDIO) if leader == VIDEO else (AUDIO,)
        self._rows = {track: Row() for track in self._led if track in records}
        self._led_at: deque[int] = deque(maxlen=_REMEMBERED)  # for tracks of a ladder that are yet to come
        self._late: float | None = None  # the least of the segment so far
        self._drifts = 0
        self._era: Era | None = None

    @property
    def drifted(self) -> bool:
        """Whether the time of day is no longer what the era's beginning said: two segments in a row, no mere hiccup."""
        return self._drifts > 1

    @property
    def spent(self) -> bool:
        """Whether no more can be kept: too long or large without a keyframe, or sound went on where the picture stopped."""
        row = self._rows[self.leader]
        if row.first is None or row.last is None:
            return False
        if row.last - row.first > self._pace.longest:
            return True
        if sum(other.size for other in self._rows.values()) > self._pace.largest:
            return True
        sound = self._rows[AUDIO].last if AUDIO in self._rows else None
        return sound is not None and sound - row.last > self._pace.jump

    def knows(self, track: str, record: Record) -> bool:
        """Whether the track is in this era, and set up as it was when it began."""
        return track in self._rows and self._records[track] == record

    def outdated(self, records: Mapping[str, Record]) -> bool:
        """Whether a track that could be in this era has been set up since it began."""
        return not all(self.knows(track, records[track]) for track in self._led if track in records)

    def take(self, track: str, frame: Frame, now: float) -> list[Cut]:
        """Take a frame of a track that is known; returns what it completes."""
        cuts = self._made(track, self._rows[track].push(frame))
        if track == self.leader:
            late = now - frame.shown / 1000
            if frame.key and frame.shown - self._cut_at >= self._least:
                cuts += self._lead(frame.shown)
            self._late = late if self._late is None else min(self._late, late)
        return cuts

    def take_rung(self, track: str, record: Record, frame: Frame) -> list[Cut]:
        """Take a frame of a ladder; as `take`."""
        if track not in self._rows:
            self._rows[track] = Row(patient=True, owed=self._led_at)
        self._records[track] = record
        return self._made(track, self._rows[track].push(frame))

    def stop(self) -> list[Cut]:
        """The rest of all tracks."""
        return [cut for track, row in self._rows.items() for cut in self._made(track, row.flush())]

    def _lead(self, at: int) -> list[Cut]:
        self._judge()
        self._cut_at = at
        self._led_at.append(at)
        return [cut for track, row in self._rows.items() for cut in self._made(track, row.cut(at))]

    def _judge(self) -> None:
        """See whether the clock still is where the first segment said; the frame that was least late tells."""
        era, late, self._late = self._known(), self._late, None
        if late is not None:
            far = abs(late - era.anchor) * 1000 > self._pace.drift
            self._drifts = self._drifts + 1 if far else 0

    def _known(self) -> Era:
        if self._era is None:
            self._era = Era(
                self._number,
                self._late or 0.0,
                self._origin,
                frozenset(self._led).intersection(self._records),
            )
        return self._era

    def _made(self, track: str, pieces: list[Piece]) -> list[Cut]:
        return [
            Cut(track, self._known(), self._records[track], piece.begins, piece.duration, piece.samples)
            for piece in pieces
        ]
