"""Segmenter: when a stream's tracks are cut into segments, and when a new era begins. Pure: frames in, cuts out.

One track leads: the video, or the audio of a stream that has no video. The others are cut where it is. An era ends where the
clock jumps, where a codec is set up anew, or where what was told of the time of day is no longer true; the next one begins
with a keyframe.
"""

from marchproxy.modules.rtmp.packaging.frames import AUDIO, VIDEO, Cut, Frame, Record
from marchproxy.modules.rtmp.packaging.running import Pace, Running

_LEAD_IN = 250  # ms of audio before the first keyframe that is kept
_HELD = 1000  # frames of audio


class Segmenter:
    """One stream. What is fed comes in the order in which it was published; `now` is Unix time in seconds."""

    def __init__(self, pace: Pace = Pace(), *, first_era: int = 0) -> None:
        self._pace = pace
        self._era = first_era
        self._records: dict[str, Record] = {}
        self._held: list[Frame] = []
        self._times: dict[str, int] = {}
        self._running: Running | None = None
        self._renewed = False
        self.breaks = 0
        """How often an era ended before the stream did."""

    @property
    def era(self) -> int:
        """The number of the era that runs, or comes next."""
        return self._era

    def set_up(self, track: str, record: Record) -> None:
        """Say how a track's frames are to be decoded from now on. What is said again changes nothing."""
        if self._records.get(track) != record:
            self._records[track] = record
            self._renewed = self._running is not None

    def take(self, track: str, frame: Frame, now: float) -> list[Cut]:
        """Take a frame of the video or the audio. Returns what is complete."""
        if track not in self._records:
            return []
        cuts = []
        if self._jumps(track, frame):
            cuts, self._times = self._stop(), {}  # the other track is about to jump as well
        self._times[track] = frame.time
        if self._begins_anew(track, frame):
            cuts += self._stop()
        if self._running is None:
            self._hold(track, frame, now)
            return cuts
        cuts += self._running.take(track, frame, now)
        if self._running.spent:
            cuts += self._stop()
        return cuts

    def take_rung(self, track: str, record: Record, frame: Frame) -> list[Cut]:
        """Take a frame of a ladder, which comes later than what it was made of."""
        return [] if self._running is None else self._running.take_rung(track, record, frame)

    def end(self) -> list[Cut]:
        """Nothing more comes; the rest."""
        cuts = self._stop()
        self._times.clear()
        return cuts

    def _jumps(self, track: str, frame: Frame) -> bool:
        last = self._times.get(track, frame.time)
        return not -self._pace.back <= frame.time - last <= self._pace.jump

    def _begins_anew(self, track: str, frame: Frame) -> bool:
        running = self._running
        if running is None or not frame.key:
            return False
        if track != running.leader and not (track == VIDEO and running.leader == AUDIO):
            return False
        # sound alone gives way to a picture as soon as there is one
        return self._renewed or track != running.leader or running.drifted

    def _stop(self) -> list[Cut]:
        running, self._running, self._held = self._running, None, []
        if running is None:
            return []
        self.breaks += 1
        self._era += 1
        return running.stop()

    def _hold(self, track: str, frame: Frame, now: float) -> None:
        """Wait for what an era can begin with."""
        if track == VIDEO and frame.key:
            first = [held for held in self._held if held.time >= frame.time - _LEAD_IN]
            self._start(VIDEO, frame, now)
            self._replay(first, now)
        elif track == AUDIO:
            self._held = [*self._held[-_HELD:], frame]
            if frame.time - self._held[0].time >= self._pace.alone:
                held = self._held
                self._start(AUDIO, held[0], now)
                self._replay(held[1:], now)

    def _start(self, leader: str, frame: Frame, now: float) -> None:
        self._held, self._renewed = [], False
        self._running = Running(self._era, dict(self._records), leader, self._pace, frame.shown)
        self._running.take(leader, frame, now)

    def _replay(self, frames: list[Frame], now: float) -> None:
        # far less than a segment, or what was waited for: nothing is cut by it that would not be cut a moment later
        for frame in frames:
            if self._running is not None:
                self._running.take(AUDIO, frame, now)
