import pytest

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp.commands import metadata
from marchproxy.wire.rtmp.media import LASTING, NOTHING, Media, Packet, Tracks, is_keyframe, is_lasting, look
from marchproxy.wire.rtmp.message import AUDIO, VIDEO, Message
from marchproxy.wire.rtmp.preface import Preface
from marchproxy.wire.rtmp.tracks import Track, split

CONFIG, FRAMES, END = Packet.CONFIG, Packet.FRAMES, Packet.END


def media(packet, codec, key, composition, body, *rest, **named):
    return Media(packet, codec, key, composition, body, *rest, **named)


@pytest.mark.parametrize(
    ("kind", "data", "found"),
    [
        # as ever
        (VIDEO, "17 00 000000 0142", media(CONFIG, "avc1", False, 0, 5)),
        (VIDEO, "17 01 000050 0000", media(FRAMES, "avc1", True, 80, 5)),
        (VIDEO, "27 01 ffffd8 0000", media(FRAMES, "avc1", False, -40, 5)),
        (VIDEO, "17 02 000000", media(END, "avc1", False, 0, 5)),
        (VIDEO, "1c 00 000000 01", media(CONFIG, "hvc1", False, 0, 5)),
        (VIDEO, "12 00", media(FRAMES, "flv1", True, 0, 1)),
        (VIDEO, "24 00", media(FRAMES, "vp6f", False, 0, 1)),
        (AUDIO, "af 00 1210", media(CONFIG, "mp4a", False, 0, 2)),
        (AUDIO, "af 01 21", media(FRAMES, "mp4a", False, 0, 2)),
        (AUDIO, "2f ff", media(FRAMES, ".mp3", False, 0, 1)),
        # by FourCC
        (VIDEO, "90 68766331 01", media(CONFIG, "hvc1", False, 0, 5)),
        (VIDEO, "91 68766331 000028 00", media(FRAMES, "hvc1", True, 40, 8, composed=True)),
        (VIDEO, "91 61763031 12", media(FRAMES, "av01", True, 0, 5, composed=True)),
        (VIDEO, "93 68766331 00", media(FRAMES, "hvc1", True, 0, 5)),
        (VIDEO, "a3 76703039 00", media(FRAMES, "vp09", False, 0, 5)),
        (VIDEO, "92 68766331", media(END, "hvc1", False, 0, 5)),
        (VIDEO, "d4 68766331 02", media(Packet.METADATA, "hvc1", False, 0, 5)),
        (VIDEO, "95 61763031 00", media(CONFIG, "av01", False, 0, 5)),
        (AUDIO, "90 4f707573 4f70", media(CONFIG, "Opus", False, 0, 5)),
        (AUDIO, "91 61632d33 0b77", media(FRAMES, "ac-3", False, 0, 5)),
        (AUDIO, "94 4f707573 01", media(Packet.METADATA, "Opus", False, 0, 5)),
        # modified: a nanosecond offset, then one more
        (VIDEO, "97 02 000001 01 61763031 00", media(FRAMES, "av01", True, 0, 10, composed=True)),
        (VIDEO, "97 00 aa 07 00 bb 03 61763031 00", media(FRAMES, "av01", True, 0, 11)),
        # many tracks
        (VIDEO, "96 01 61763031 05 00", media(FRAMES, "av01", True, 0, 7, Tracks.ONE, 5, True)),
        (VIDEO, "96 01 61766331 05 00000a 00", media(FRAMES, "avc1", True, 10, 10, Tracks.ONE, 5, True)),
        (VIDEO, "96 10 61763031 00 000001 00", media(CONFIG, "av01", False, 0, 6, Tracks.MANY)),
        (AUDIO, "95 21 4f707573 00 000001 00", media(FRAMES, "", False, 0, 2, Tracks.MANY_CODECS)),
        # not to be understood
        (VIDEO, "", NOTHING),
        (VIDEO, "57 00", NOTHING._replace(codec="avc1")),
        (VIDEO, "17 01 00", NOTHING._replace(codec="avc1")),
        (VIDEO, "17 09 000000", NOTHING._replace(codec="avc1")),
        (VIDEO, "d1 68766331 00", NOTHING),
        (VIDEO, "9f 68766331 00", NOTHING),
        (VIDEO, "90 6876", NOTHING),
        (VIDEO, "97", NOTHING),
        (VIDEO, "97 ff", NOTHING),
        (VIDEO, "97 ff ffff 00", NOTHING),
        (VIDEO, "97" + "00aa07" * 20 + "0061763031", NOTHING),
        (VIDEO, "96", NOTHING),
        (VIDEO, "96 31 61763031 00", NOTHING),
        (AUDIO, "df 00", NOTHING),
        (AUDIO, "af", NOTHING._replace(codec="mp4a")),
        (AUDIO, "af 05", NOTHING._replace(codec="mp4a")),
        (18, "17 00 000000", NOTHING),
    ],
)
def test_what_first_bytes_say(kind, data, found):
    data = bytes.fromhex(data)
    assert look(kind, data) == found
    assert is_keyframe(kind, data) is found.keyframe
    assert is_lasting(kind, data) is (found.packet in LASTING)


@pytest.mark.parametrize(
    ("kind", "data", "found"),
    [
        (VIDEO, "17 01 000050 aabb", [Track(0, "avc1", FRAMES, True, 80, 5, 7)]),
        (VIDEO, "96 01 61766331 05 00000a aa", [Track(5, "avc1", FRAMES, True, 10, 10, 11)]),
        (
            VIDEO,
            "96 11 61766331 00 000004 000001aa 01 000005 000002bbcc",
            [Track(0, "avc1", FRAMES, True, 1, 13, 14), Track(1, "avc1", FRAMES, True, 2, 21, 23)],
        ),
        (
            VIDEO,
            "96 21 61766331 00 000004 000001aa 76703039 01 000002 bbcc",
            [Track(0, "avc1", FRAMES, True, 1, 13, 14), Track(1, "vp09", FRAMES, True, 0, 22, 24)],
        ),
        (VIDEO, "96 13 61766331 00 000004 aabbccdd", [Track(0, "avc1", FRAMES, True, 0, 10, 14)]),
        (AUDIO, "95 10 4f707573 00 000001 aa", [Track(0, "Opus", CONFIG, False, 0, 10, 11)]),
        (VIDEO, "17 01", []),
        (VIDEO, "", []),
    ],
)
def test_tracks(kind, data, found):
    assert split(Message(kind, 1, 0, bytes.fromhex(data))) == found


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("96 11 61766331 00 0000ff aa", "over the end"),
        ("96 21 6176", "over the end"),
        ("96 13 61763031" + "00000000" * 65, "more than 64 tracks"),
    ],
)
def test_tracks_that_do_not_fit(data, why):
    with pytest.raises(ProtocolFault, match=why):
        split(Message(VIDEO, 1, 0, bytes.fromhex(data)))


def test_preface():
    preface = Preface()
    assert not list(preface.messages(0))
    configs = [
        bytes.fromhex(data) for data in ("1700000000aa", "af001210", "9000000000", "960061763031 02 aa")
    ]
    video, audio, _, second = configs
    noted = [
        metadata({"width": 1.0}, keep=True),
        Message(AUDIO, 1, 5, audio),
        Message(VIDEO, 1, 5, video),
        Message(VIDEO, 1, 5, second),
        Message(VIDEO, 1, 9, video + b"new"),
    ]
    assert all([preface.note(message) for message in noted])  # noqa: C419 - each is noted
    assert not preface.note(Message(VIDEO, 1, 9, bytes.fromhex("1701000000")))
    assert not preface.note(Message(18, 1, 9, b"\x02\0\x01x"))
    told = list(preface.messages(77))
    assert [message.payload for message in told] == [
        metadata({"width": 1.0}).payload,
        video + b"new",
        second,
        audio,
    ]
    assert {message.timestamp for message in told} == {77}
    assert preface.config(VIDEO) == noted[4]
    assert preface.config(AUDIO) == noted[1]


def test_a_preface_is_bounded():
    preface = Preface()
    for track in range(256):
        for packet in (b"\x96\x00", b"\x96\x04"):
            preface.note(Message(VIDEO, 1, 0, packet + b"av01" + bytes((track,))))
    assert len(list(preface.messages(0))) == 128
