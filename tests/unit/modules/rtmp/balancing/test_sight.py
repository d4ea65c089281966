"""What shows of a stream that is skimmed."""

from marchproxy.modules.rtmp.balancing.sight import Sight
from marchproxy.wire.rtmp.message import AUDIO, VIDEO
from marchproxy.wire.rtmp.skimmer import Began
from tests.unit.modules.rtmp.streams.crafted import audio_config, metadata, video_config

KEY, INTER, SOUND = b"\x17\x01\0\0\0", b"\x27\x01\0\0\0", b"\xaf\x01"


def began(kind, time, first):
    return Began(kind, 1, time, 100, first, 4)


def test_frames():
    sight = Sight()
    for time in (0, 40, 1000, 1040):
        assert sight.began(began(VIDEO, time, INTER if time % 1000 else KEY))
    assert sight.began(began(AUDIO, 1042, SOUND))
    assert not sight.began(began(18, 1043, b""))
    assert (sight.frames, sight.gop, sight.latest) == (4, 1000, 1042)
    assert (sight.video, sight.audio) == (KEY, SOUND)


def test_an_encoder_that_starts_anew_has_no_gop_of_negative_length():
    sight = Sight()
    for time in (5000, 0):
        sight.began(began(VIDEO, time, KEY))
    assert sight.gop == 0


def test_another_origin_is_told_what_the_publisher_said():
    sight = Sight()
    for message in (metadata(width=64.0), video_config(), audio_config()):
        sight.note(message)
    sight.began(began(VIDEO, 1000, KEY))
    told = list(sight.restart())
    assert told[0] == metadata(width=64.0)
    assert told[1:] == [video_config(1000), audio_config(1000)]
