import pytest

from marchproxy.modules.rtmp.packaging.frames import AUDIO, VIDEO, Frame
from marchproxy.modules.rtmp.packaging.intake import Intake
from marchproxy.wire.rtmp import message
from marchproxy.wire.rtmp.message import Message

AVC = bytes.fromhex("0142c00dffe1001a6742c00dd901519e2223011000000300100000030320f142a48001000568cb83cb20")
VP9 = bytes.fromhex("000b820202020000")
VP9_KEY = bytes.fromhex("824983420014100b160c38241c184a0006")
AV1 = bytes.fromhex("81000c000a0b000000043d06c4daf90040")
OPUS = bytes.fromhex("4f707573486561640102380180bb0000000000")
MP3 = bytes.fromhex("fffb9464")


def video(payload, time=0):
    return Message(message.VIDEO, 1, time, payload)


def audio(payload, time=0):
    return Message(message.AUDIO, 1, time, payload)


def avc_frame(data, *, key=True, shift=0, time=0):
    return video(bytes((0x17 if key else 0x27, 1)) + shift.to_bytes(3, signed=True) + data, time)


CONFIG = video(b"\x17\0\0\0\0" + AVC)


@pytest.mark.parametrize(
    ("messages", "codec", "frame"),
    [
        ([CONFIG, avc_frame(b"key", shift=80, time=40)], "avc1.42c00d", Frame(40, 80, True, b"key")),
        ([CONFIG, avc_frame(b"p", key=False, shift=-40)], "avc1.42c00d", Frame(0, -40, False, b"p")),
        (
            [video(b"\x90avc1" + AVC), video(b"\xa1avc1\0\0\x50p", 7)],
            "avc1.42c00d",
            Frame(7, 80, False, b"p"),
        ),
        ([video(b"\x90avc1" + AVC), video(b"\x93avc1key")], "avc1.42c00d", Frame(0, 0, True, b"key")),
        ([video(b"\x90av01" + AV1), video(b"\x91av01key")], "av01.0.00M.08", Frame(0, 0, True, b"key")),
        (
            [video(b"\x90vp09" + VP9), video(b"\x91vp09" + VP9_KEY)],
            "vp09.00.11.08",
            Frame(0, 0, True, VP9_KEY),
        ),
        ([audio(b"\xaf\0\x12\x08"), audio(b"\xaf\1raw", 23)], "mp4a.40.2", Frame(23, 0, True, b"raw")),
        ([audio(b"\x90Opus" + OPUS), audio(b"\x91Opusraw")], "opus", Frame(0, 0, True, b"raw")),
        ([audio(b"\x2f" + MP3)], "mp4a.6b", Frame(0, 0, True, MP3)),
        ([audio(b"\x91.mp3" + MP3)], "mp4a.6b", Frame(0, 0, True, MP3)),
    ],
)
def test_messages_become_frames(messages, codec, frame):
    intake = Intake()
    *before, last = [intake.take(one) for one in messages]
    assert [taken.frame for taken in before] == [None] * len(before)
    assert (last.record.codec, last.frame) == (codec, frame)
    assert intake.unfit == {}


def test_a_sequence_header_is_told_of_at_once():
    taken = Intake().take(CONFIG)
    assert (taken.track, taken.record.codec, taken.frame) == (VIDEO, "avc1.42c00d", None)


def test_the_size_of_vp9_comes_with_its_keyframe_and_stays():
    intake = Intake()
    intake.take(video(b"\x90vp09" + VP9))
    first = intake.take(video(b"\x91vp09" + VP9_KEY)).record
    intake.take(video(b"\x90vp09" + VP9))
    second = intake.take(video(b"\xa1vp09other")).record
    assert first == second
    assert (first.width, first.height) == (322, 178)


@pytest.mark.parametrize(
    ("messages", "track", "words"),
    [
        ([avc_frame(b"key")], VIDEO, "avc1 came without a sequence header"),
        (
            [video(b"\x17\0\0\0\0\1\2")],
            VIDEO,
            "the H.264 sequence header is no decoder configuration record with an SPS",
        ),
        ([video(b"\x12sorenson")], VIDEO, "flv1 has no place in MP4"),
        ([video(b"\x91wxyzkey")], VIDEO, "wxyz has no place in MP4"),
        ([audio(b"\xaf\1raw")], AUDIO, "mp4a came without a sequence header"),
        ([audio(b"\xb6speex")], AUDIO, "spex has no place in MP4"),
        ([audio(b"\x2fnone")], AUDIO, "an MP3 frame does not begin with its sync word"),
        ([audio(b"\x95\x11Opus\0\0\xff\xff!")], AUDIO, "a track reaches over the end of its message"),
    ],
)
def test_what_cannot_be_packaged_is_told_of_and_left_out(messages, track, words):
    intake = Intake()
    assert [intake.take(one) for one in messages] == [None] * len(messages)
    assert intake.unfit == {track: words}


def test_a_sound_sequence_header_makes_good():
    intake = Intake()
    intake.take(avc_frame(b"key"))
    intake.take(CONFIG)
    assert intake.take(avc_frame(b"key")) is not None
    assert intake.unfit == {}


def test_a_bad_sequence_header_ends_what_there_was():
    intake = Intake()
    intake.take(CONFIG)
    intake.take(video(b"\x17\0\0\0\0\1\2"))
    assert intake.take(avc_frame(b"key")) is None


@pytest.mark.parametrize("payload", [b"", b"\x17", b"\x17\1", b"\xaf", b"\x90", b"\x57\1", b"\x17\2\0\0\0"])
def test_what_says_nothing_is_no_frame(payload):
    intake = Intake()
    intake.take(CONFIG)
    assert intake.take(video(payload)) is None
    assert intake.take(audio(payload)) is None


def test_other_messages_are_not_for_us():
    assert Intake().take(Message(18, 1, 0, b"\x02\0\x0aonMetaData")) is None


@pytest.mark.parametrize(
    ("stamps", "times"),
    [
        ([0, 40, 80], [0, 40, 80]),
        ([0xFFFFFFD8, 0, 40], [0xFFFFFFD8, 0x100000000, 0x100000028]),
        ([0xFFFFFFD8, 0, 0xFFFFFFEC, 40], [0xFFFFFFD8, 0x100000000, 0xFFFFFFEC, 0x100000028]),
        ([5000, 0, 40], [5000, 0, 40]),
        ([10, 0xFFFFFFF0, 40], [10, 0xFFFFFFF0, 0x100000028]),  # before its own beginning: the clock jumps
    ],
)
def test_the_clock_does_not_wrap(stamps, times):
    intake = Intake()
    intake.take(CONFIG)
    assert [intake.take(avc_frame(b"x", time=stamp)).frame.time for stamp in stamps] == times


def test_the_first_of_several_tracks_is_taken():
    tracks = b"\0\0\0\4zero" + b"\1\0\0\3one"
    intake = Intake()
    intake.take(video(b"\x90av01" + AV1))
    taken = intake.take(video(b"\x96\x11av01" + tracks))
    assert taken.frame.data == b"zero"
    assert intake.take(video(b"\x96\x01av01\1one")) is None
