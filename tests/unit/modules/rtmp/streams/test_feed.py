import pytest

from marchproxy.modules.rtmp.streams.batch import NO_ENTRY, Batch, of_stream, read_chunks
from marchproxy.modules.rtmp.streams.feed import PATIENCE, Feed
from marchproxy.wire import flv
from marchproxy.wire.rtmp.commands import METADATA, SET_DATA_FRAME, read_metadata
from marchproxy.wire.rtmp.message import AUDIO, VIDEO, Message, Type
from tests.unit.modules.rtmp.streams.crafted import (
    AAC_CONFIG,
    AVC_CONFIG,
    BEGINNING,
    audio_config,
    inter,
    key,
    media,
    metadata,
    sound,
    video_config,
)


def _take(feed: Feed, *messages: Message, now: float = 0.0) -> Batch:
    batch = feed.take(messages, now)
    assert batch is not None
    assert [one._replace(csid=0) for one in read_chunks(batch.data)] == [
        one._replace(csid=0) for one in batch.messages
    ]
    return batch


def test_players_get_what_was_published() -> None:
    messages = [*BEGINNING, key(0), sound(0), sound(23), inter(40)]
    batch = _take(Feed(), *messages)
    assert media(batch.messages) == media(messages)
    told = batch.messages[0]
    assert read_metadata(told) == {"width": 64.0}
    assert SET_DATA_FRAME.encode() not in told.payload
    assert METADATA.encode() in told.payload


@pytest.mark.parametrize(
    ("messages", "begins_with"),
    [
        ([*BEGINNING, key(0), inter(40)], [key(0), inter(40)]),
        # nothing of the very beginning is lost
        ([*BEGINNING, sound(0), key(0), inter(40)], [sound(0), key(0), inter(40)]),
        # but what stands before a keyframe, which nobody can show
        ([*BEGINNING, inter(0), sound(0), key(40)], [key(40)]),
        ([audio_config(), sound(0), sound(23)], [sound(0), sound(23)]),
        (BEGINNING, []),
    ],
)
def test_where_players_begin(messages: list[Message], begins_with: list[Message]) -> None:
    batch = _take(Feed(), *messages)
    if not begins_with:
        assert batch.entry == NO_ENTRY
        return
    assert media(read_chunks(batch.tail)) == media(begins_with)
    assert list(batch.messages[batch.entry :]) == begins_with
    assert batch.time == begins_with[0].timestamp


def test_later_players_begin_at_the_last_keyframe_of_a_read() -> None:
    feed = Feed()
    assert _take(feed, *BEGINNING, key(0), sound(0)).entry == 3
    assert _take(feed, sound(23), inter(40)).entry == NO_ENTRY
    batch = _take(feed, sound(46), key(80), inter(120), key(160), sound(69))
    assert (batch.entry, batch.time) == (3, 160)
    assert feed.gop == 80


def test_without_video_players_begin_anywhere() -> None:
    feed = Feed()
    assert _take(feed, audio_config(), sound(0)).entry == 1
    assert _take(feed, sound(23), sound(46)).entry == 0


def test_keyframes_of_other_tracks_are_no_beginning() -> None:
    feed = Feed()
    _take(feed, *BEGINNING, key(0))
    other = b"\x96\x01avc1\x01" + b"\0\0\0body"  # key, multitrack, one track: frames of track 1
    first = b"\x96\x01avc1\x00" + b"\0\0\0body"
    assert _take(feed, Message(VIDEO, 1, 40, other)).entry == NO_ENTRY
    assert _take(feed, Message(VIDEO, 1, 80, first)).entry == 0


def test_a_publisher_without_keyframes_is_shown_after_a_while() -> None:
    feed = Feed()
    assert feed.take([inter(0)], 0.0) is None
    assert feed.take([inter(PATIENCE)], 30.0) is None
    assert feed.keyless == 0
    batch = _take(feed, sound(PATIENCE), inter(PATIENCE + 40), now=30.0)
    assert media(batch.messages)[-1] == media([inter(PATIENCE + 40)])[0]
    assert batch.entry != NO_ENTRY
    assert feed.keyless == 1
    assert _take(feed, inter(PATIENCE + 80), now=30.0).entry == 0
    assert feed.keyless == 1
    _take(feed, key(PATIENCE + 120))
    assert _take(feed, inter(PATIENCE + 160)).entry == NO_ENTRY


def test_what_players_must_be_told_first() -> None:
    feed = Feed()
    changed = []
    for message in (*BEGINNING, key(0), inter(40), video_config(40)):
        before = feed.preface
        feed.take([message], 0.0)
        changed.append(feed.preface is not before)
    assert changed == [True, True, True, False, False, True]
    assert [one.payload for one in feed.preface.messages(80)][1:] == [AVC_CONFIG, AAC_CONFIG]


def test_configurations_that_come_later_are_of_now() -> None:
    feed = Feed()
    _take(feed, *BEGINNING, key(20_000_000))
    batch = _take(feed, video_config(0), metadata(), key(20_000_040))
    assert [one.timestamp for one in batch.messages] == [20_000_000, 20_000_000, 20_000_040]


def test_the_next_publisher_goes_on() -> None:
    feed = Feed()
    _take(feed, *BEGINNING, key(0), sound(5), inter(40), now=1.0)
    feed.restart()
    assert list(feed.preface.messages(0)) == []
    batch = _take(feed, *BEGINNING, key(7000), inter(7040), now=3.0)
    assert [one.timestamp for one in batch.messages] == [40, 40, 40, 2040, 2080]
    assert feed.frames == 4


def test_aggregates_are_taken_apart() -> None:
    parts = [sound(0), key(0), inter(40)]
    whole = Message(Type.AGGREGATE, 1, 500, b"".join(map(flv.tag, parts)))
    batch = _take(Feed(), *BEGINNING, whole, sound(563))
    assert media(batch.messages)[2:] == media([sound(500), key(500), inter(540), sound(563)])


@pytest.mark.parametrize(
    "message",
    [
        Message(VIDEO, 1, 0, b""),
        Message(AUDIO, 1, 0, b""),
        Message(Type.COMMAND, 1, 0, b"\x02"),
        Message(Type.SHARED_OBJECT, 1, 0, b"x"),
    ],
)
def test_what_is_no_media_is_not_sent_on(message: Message) -> None:
    assert Feed().take([message], 0.0) is None


@pytest.mark.parametrize("payload", [b"\x17", b"\x27\x01", b"\xff", b"\x90", b"\xaf", b"\x52"])
def test_what_is_cut_off_harms_nobody(payload: bytes) -> None:
    for kind in (VIDEO, AUDIO):
        Feed().take([*BEGINNING, key(0), Message(kind, 1, 40, payload)], 0.0)


def test_frames_larger_than_a_chunk_and_other_streams() -> None:
    large = key(0, bytes(200_000))
    batch = _take(Feed(), *BEGINNING, large)
    again = read_chunks(of_stream(batch.data, 7))
    assert [one.stream_id for one in again] == [7, 7, 7, 7]
    assert again[-1].payload == large.payload
    assert of_stream(batch.data, 1) is batch.data


def test_messages_of_another_stream_of_the_publisher_are_of_ours() -> None:
    batch = _take(Feed(), *(one._replace(stream_id=4) for one in (*BEGINNING, key(0))))
    assert {one.stream_id for one in batch.messages} == {1}
