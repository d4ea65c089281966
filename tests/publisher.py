"""A publisher on paper: frames at the pace of a clock, through the segmenter, and whether all of them came out."""

from itertools import pairwise

from marchproxy.modules.rtmp.packaging.frames import AUDIO, VIDEO, Frame
from marchproxy.modules.rtmp.packaging.running import Pace
from marchproxy.modules.rtmp.packaging.segmenter import Segmenter
from marchproxy.wire.codecs.record import AudioRecord, VideoRecord
from marchproxy.wire.rtmp import message
from marchproxy.wire.rtmp.message import Message

PICTURE = VideoRecord(b"avc1", "avc1.64001f", b"one", 1280, 720)
SOUND = AudioRecord(b"mp4a", "mp4a.40.2", b"one", 44100, 2)
PACE = Pace(2000)
NOON = 1_700_000_000.0

AVC = bytes.fromhex("0142c00dffe1001a6742c00dd901519e2223011000000300100000030320f142a48001000568cb83cb20")
#: The sequence header of H.264, and frames after it.
CONFIG = Message(message.VIDEO, 1, 0, b"\x17\0\0\0\0" + AVC)


def pictures(start, end):
    """Messages of frames, 25 in a second, each first one a keyframe."""
    for time in range(start, end, 40):
        head = b"\x17\1\0\0\0" if time % 1000 == 0 else b"\x27\1\0\0\0"
        yield Message(message.VIDEO, 1, time, head + b"picture")


class Stream:
    """A publisher that sends pictures every 40 ms, with a keyframe every `gop`, and sound every 23 or 24."""

    def __init__(self, *, gop=25, sound=True, picture=True, pace=PACE, shift=80, first_era=0):
        self.segmenter = Segmenter(pace, first_era=first_era)
        self.gop, self.shift, self.now = gop, shift, NOON
        self.sound, self.picture = sound, picture
        self.sent = {VIDEO: [], AUDIO: []}
        self.cuts = []
        if picture:
            self.segmenter.set_up(VIDEO, PICTURE)
        if sound:
            self.segmenter.set_up(AUDIO, SOUND)

    def run(self, start, end):
        """The frames from one time to another, at the pace of the clock."""
        frames = []
        if self.picture:
            frames += [
                (start + 40 * index, VIDEO, index % self.gop == 0) for index in range((end - start) // 40)
            ]
        if self.sound:
            frames += [
                (start + index * 1024 * 10 // 441, AUDIO, True)
                for index in range((end - start) * 441 // 10240)
            ]
        for time, track, key in sorted(frames, key=lambda frame: frame[0]):
            self.send(time, track, key=key, now=self.now + (time - start) / 1000)
        self.now += (end - start) / 1000

    def send(self, time, track, *, key=True, now=None):
        frame = Frame(time, self.shift if track == VIDEO else 0, key, f"{track}{time}".encode())
        self.sent[track].append(frame)
        self.cuts += self.segmenter.take(track, frame, self.now if now is None else now)

    def end(self):
        self.cuts += self.segmenter.end()

    def of(self, track):
        return [cut for cut in self.cuts if cut.track == track]

    def spans(self, track):
        return [(cut.era.number, cut.begins, cut.duration) for cut in self.of(track)]

    def check(self):
        """Nothing is lost, doubled or out of order, and each segment begins where the one before ends."""
        for track, frames in self.sent.items():
            cut = [
                (sample.time, sample.shift, sample.data) for one in self.of(track) for sample in one.samples
            ]
            assert cut == [(frame.time, frame.shift, frame.data) for frame in frames]
            for one, other in pairwise(self.of(track)):
                if one.era == other.era:
                    assert one.begins + one.duration == other.begins
                    assert one.samples[-1].time + one.samples[-1].duration == other.samples[0].time
            assert all(one.samples[0].key for one in self.of(track))
