import pytest

from marchproxy.modules.rtmp.packaging.frames import AUDIO, VIDEO, Frame
from marchproxy.modules.rtmp.packaging.running import Pace
from marchproxy.modules.rtmp.packaging.segmenter import Segmenter
from marchproxy.wire.codecs.record import AudioRecord, VideoRecord
from tests.publisher import NOON, PICTURE, SOUND, Stream


@pytest.mark.parametrize("start", [0, 0xFFFFFF - 1000, 0x7FFFFFFF - 1000, 0xFFFFFFFF - 1000, 1 << 40])
def test_segments_begin_at_keyframes_and_lose_nothing(start):
    stream = Stream()
    stream.run(start, start + 9000)
    stream.end()
    stream.check()
    first = start + 80
    assert stream.spans(VIDEO) == [(0, first + 2000 * at, 2000) for at in range(4)] + [
        (0, first + 8000, 1000)
    ]
    assert [cut.begins // 1000 * 1000 for cut in stream.of(AUDIO)][1:] == [
        (first + 2000 * at) // 1000 * 1000 for at in range(1, 5)
    ]


@pytest.mark.parametrize(
    ("gop", "lengths"),
    [
        (10, [2000, 2000]),  # every 400 ms: at the fifth
        (49, [1960, 1960]),  # one frame too soon is soon enough
        (40, [3200, 3200]),
        (75, [3000, 3000]),
        (125, [5000]),
    ],
)
def test_a_segment_has_at_least_its_length(gop, lengths):
    stream = Stream(gop=gop)
    stream.run(0, 8000)
    assert [length for _, _, length in stream.spans(VIDEO)][: len(lengths)] == lengths


def test_audio_is_cut_where_the_video_is():
    stream = Stream()
    stream.run(0, 9000)
    stream.end()
    for picture, sound in zip(stream.of(VIDEO), stream.of(AUDIO), strict=True):
        if picture.begins > 80:
            assert 0 <= sound.begins - picture.begins < 24


@pytest.mark.parametrize("lag", [-900, -100, 100, 900, 1900])
def test_audio_may_come_sooner_or_later_than_the_video(lag):
    stream = Stream(picture=False, sound=False)
    stream.segmenter.set_up(VIDEO, PICTURE)
    stream.segmenter.set_up(AUDIO, SOUND)
    frames = [(time, time, VIDEO, time % 1000 == 0) for time in range(0, 8000, 40)]
    frames += [(time + lag, time, AUDIO, True) for time in range(0, 8000, 20) if time + lag > 0]
    for _, time, track, key in sorted(frames):
        stream.send(time, track, key=key)
    stream.end()
    stream.check()
    assert [begins for _, begins, _ in stream.spans(AUDIO)][1:] == [2080, 4080, 6080]


def test_audio_that_stops_is_not_waited_for():
    stream = Stream()
    stream.run(0, 3000)
    stream.sound = False
    stream.run(3000, 9000)
    stream.end()
    stream.check()
    assert len(stream.of(VIDEO)) == 5
    assert len(stream.of(AUDIO)) == 2


def test_without_video_the_audio_leads():
    stream = Stream(picture=False)
    stream.run(0, 9000)
    stream.end()
    stream.check()
    assert [round(length, -2) for _, _, length in stream.spans(AUDIO)] == [1900, 1900, 1900, 1900, 1400]


def test_what_comes_before_the_first_keyframe_is_left_out():
    stream = Stream()
    stream.send(0, AUDIO)
    stream.send(10, VIDEO, key=False)
    stream.send(900, AUDIO)
    stream.sent = {VIDEO: [], AUDIO: [Frame(900, 0, True, b"a900")]}
    stream.run(1000, 4000)
    stream.end()
    stream.check()


def test_a_publisher_without_keyframes_is_heard_but_not_seen():
    stream = Stream(gop=1_000_000)
    stream.send(0, AUDIO)
    for time in range(20, 60_000, 20):
        stream.send(time, VIDEO if time % 40 else AUDIO, key=not time % 40)
    assert stream.of(VIDEO) == []
    assert stream.spans(AUDIO)[0][:2] == (0, 0)


def test_a_picture_that_comes_later_begins_an_era():
    stream = Stream(picture=False)
    stream.run(0, 5000)
    stream.segmenter.set_up(VIDEO, PICTURE)
    stream.picture = True
    stream.run(5000, 9000)
    stream.end()
    assert {cut.era.number for cut in stream.of(VIDEO)} == {1}
    assert {cut.era.number for cut in stream.of(AUDIO)} == {0, 1}
    stream.check()


@pytest.mark.parametrize(
    ("track", "record"),
    [
        (VIDEO, VideoRecord(b"avc1", "avc1.64001f", b"two", 640, 360)),
        (AUDIO, AudioRecord(b"mp4a", "mp4a.40.2", b"two", 48000, 2)),
    ],
)
def test_a_codec_set_up_anew_begins_an_era_at_a_keyframe(track, record):
    stream = Stream(gop=50)
    stream.run(0, 4000)
    stream.segmenter.set_up(track, record)
    stream.run(4000, 8000)
    stream.end()
    stream.check()
    assert [cut.era.number for cut in stream.of(VIDEO)] == [0, 0, 1, 1]
    assert [cut.era.number for cut in stream.of(AUDIO)] == [0, 0, 1, 1]
    assert {cut.record for cut in stream.of(track) if cut.era.number == 1} == {record}


def test_the_same_set_up_again_changes_nothing():
    stream = Stream()
    stream.run(0, 3000)
    stream.segmenter.set_up(VIDEO, PICTURE)
    stream.segmenter.set_up(AUDIO, SOUND)
    stream.run(3000, 9000)
    stream.end()
    stream.check()
    assert {cut.era.number for cut in stream.cuts} == {0}


@pytest.mark.parametrize("to", [0, 2000, 18_100, 1_000_000])
def test_a_clock_that_jumps_begins_an_era(to):
    stream = Stream()
    stream.run(4000, 8000)
    stream.run(to, to + 4000)
    stream.end()
    stream.check()
    assert stream.spans(VIDEO) == [
        (0, 4080, 2000),
        (0, 6080, 2000),
        (1, to + 80, 2000),
        (1, to + 2080, 2000),
    ]
    assert {cut.era.origin for cut in stream.cuts} == {4080, to + 80}


def test_what_waits_for_a_keyframe_does_not_outlive_a_jump():
    stream = Stream(picture=False)
    stream.send(0, AUDIO)
    stream.send(1 << 40, AUDIO)
    stream.send((1 << 40) + 3000, AUDIO)
    stream.end()
    times = [sample.time for cut in stream.cuts for sample in cut.samples]
    assert times == [1 << 40, (1 << 40) + 3000]


@pytest.mark.parametrize("gap", [1000, 5000, 9000])
def test_a_gap_that_is_no_jump_is_a_long_frame(gap):
    stream = Stream()
    stream.run(0, 4000)
    stream.run(4000 + gap, 8000 + gap)
    stream.end()
    stream.check()
    assert {cut.era.number for cut in stream.cuts} == {0}


def test_a_frame_that_goes_back_a_little_is_decoded_with_the_one_before():
    stream = Stream(sound=False)
    for time in (0, 40, 30, 80):
        stream.send(time, VIDEO, key=time == 0)
    stream.end()
    (cut,) = stream.cuts
    assert [(sample.time, sample.duration, sample.shift) for sample in cut.samples] == [
        (0, 40, 80),
        (40, 0, 80),
        (40, 40, 70),
        (80, 40, 80),
    ]


def test_more_than_can_be_kept_without_a_keyframe_is_let_go():
    stream = Stream(pace=Pace(2000, longest=5000), sound=False, gop=1_000_000)
    stream.run(0, 20_000)
    assert [(cut.begins, cut.duration) for cut in stream.cuts] == [(80, 5080)]
    stream.send(20_000, VIDEO, key=True)
    stream.end()
    assert stream.spans(VIDEO)[1:] == [(1, 20_080, 20)]


def test_more_bytes_than_can_be_kept_are_let_go():
    segmenter = Segmenter(Pace(2000, largest=1000))
    segmenter.set_up(VIDEO, PICTURE)
    cuts = [
        cut
        for time in range(0, 100, 10)
        for cut in segmenter.take(VIDEO, Frame(time, 0, time == 0, bytes(400)), NOON)
    ]
    assert [len(cut.samples) for cut in cuts] == [3]


def test_sound_goes_on_where_the_picture_stops():
    stream = Stream()
    stream.run(0, 4000)
    stream.picture = False
    stream.run(4000, 30_000)
    stream.end()
    assert stream.of(AUDIO)[-1].begins + stream.of(AUDIO)[-1].duration > 29_100
    assert {cut.era.number for cut in stream.of(AUDIO)} == {0, 1}


def test_the_time_of_day_is_that_of_the_frame_that_was_least_late():
    stream = Stream(sound=False, shift=0)
    for time in range(0, 1960, 40):  # the GOP that is behind us comes at once
        stream.send(time, VIDEO, key=time == 0, now=NOON + 1.96)
    stream.send(1960, VIDEO, key=False, now=NOON + 1.96)
    stream.send(2000, VIDEO, now=NOON + 2.5)
    (cut,) = stream.cuts
    assert cut.era.anchor == pytest.approx(NOON)


@pytest.mark.parametrize(("pace", "eras"), [(1.0, {0}), (0.98, {0, 1}), (1.02, {0, 1})])
def test_a_clock_that_drifts_away_from_the_time_of_day_begins_an_era(pace, eras):
    stream = Stream(sound=False, gop=50)
    for time in range(0, 600_000, 40):
        stream.send(time, VIDEO, key=time % 2000 == 0, now=NOON + time / 1000 * pace)
    assert {cut.era.number for cut in stream.cuts} == eras


def test_a_hiccup_of_the_network_is_no_drift():
    stream = Stream(sound=False, gop=50)
    for time in range(0, 60_000, 40):
        late = max(0, 38_000 - time) if time > 30_000 else 0  # eight seconds come at once
        stream.send(time, VIDEO, key=time % 2000 == 0, now=NOON + (time + late) / 1000)
    assert {cut.era.number for cut in stream.cuts} == {0}


def test_a_track_of_a_ladder_is_cut_where_the_source_was():
    stream = Stream(sound=False)
    rung = VideoRecord(b"avc1", "avc1.64001e", b"rung", 640, 360)
    late = []
    for time in range(0, 9000, 40):
        stream.send(time, VIDEO, key=time % 1000 == 0)
        if time >= 3000:
            past = time - 3000
            late += stream.segmenter.take_rung("v360", rung, Frame(past, 80, past % 1000 == 0, b"x"))
    assert [(cut.track, cut.record, cut.begins, cut.duration) for cut in late + stream.of("v360")] == [
        ("v360", rung, 80, 2000),
        ("v360", rung, 2080, 2000),
    ]
