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

    def __init__(self, pace: Pace, *, first_era: int = 0) -> None:
        self._pace = pace
        self._era = first_era
        self._records: dict[str, Record] = {}
        self._held: list[Frame] = []
        self._times: dict[str, int] = {}
        self._running: Running | None = None

    @property
    def video_era(self) -> int | None:
        """The number of the era that runs, if there is a picture in it."""
        return self._era if self._running is not None and self._running.leader == VIDEO else None

    def set_up(self, track: str, record: Record) -> None:
        """Say how a track's frames are to be decoded from now on."""
        self._records[track] = record

    def take(self, track: str, frame: Frame, now: float) -> list[Cut]:
        """Take a frame of the video or the audio. Returns what is complete."""
        if track not in self._records:
            return []
        cuts = []
        if self._jumps(track, frame):
            cuts = self._stop()
            self._times, self._held = {}, []  # the other track is about to jump as well
        self._times[track] = frame.time
        if self._begins_anew(track, frame):
            cuts += self._stop()
        return cuts + self._go_on(track, frame, now)

    def take_rung(self, track: str, record: Record, frame: Frame) -> list[Cut]:
        """Take a frame of a ladder, which comes later than what it was made of."""
        return [] if self._running is None else self._running.take_rung(track, record, frame)

    def end(self) -> list[Cut]:
        """Nothing more comes; the rest."""
        self._times, self._held = {}, []
        return self._stop()

    def _jumps(self, track: str, frame: Frame) -> bool:
        last = self._times.get(track, frame.time)
        return not -self._pace.back <= frame.time - last <= self._pace.jump

    def _begins_anew(self, track: str, frame: Frame) -> bool:
        running = self._running
        if running is None or not frame.key:
            return False
        if track != running.leader:
            return track == VIDEO and running.leader == AUDIO  # sound alone gives way to a picture
        return running.drifted or running.outdated(self._records)

    def _stop(self) -> list[Cut]:
        running, self._running = self._running, None
        if running is None:
            return []
        self._era += 1
        return running.stop()

    def _go_on(self, track: str, frame: Frame, now: float) -> list[Cut]:
        if self._running is None:
            return self._wait(track, frame, now)
        if not self._running.knows(track, self._records[track]):
            self._hold(track, frame)
            return []
        cuts = self._running.take(track, frame, now)
        return cuts + self._stop() if self._running.spent else cuts

    def _hold(self, track: str, frame: Frame) -> None:
        if track == AUDIO:
            self._held = [*self._held[-_HELD:], frame]

    def _wait(self, track: str, frame: Frame, now: float) -> list[Cut]:
        """Wait for what an era can begin with."""
        if track == VIDEO and frame.key:
            sound = [held for held in self._held if held.time >= frame.time - _LEAD_IN]
            return self._start(VIDEO, [(VIDEO, frame), *((AUDIO, held) for held in sound)], now)
        self._hold(track, frame)
        if self._held and self._held[-1].time - self._held[0].time >= self._pace.alone:
            return self._start(AUDIO, [(AUDIO, held) for held in self._held], now)
        return []

    def _start(self, leader: str, frames: list[tuple[str, Frame]], now: float) -> list[Cut]:
        self._held = []
        running = self._running = Running(self._era, self._records, leader, self._pace, frames[0][1].shown)
        return [cut for track, frame in frames for cut in running.take(track, frame, now)]
