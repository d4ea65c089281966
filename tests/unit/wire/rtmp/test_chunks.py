from itertools import pairwise

import pytest

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp import control
from marchproxy.wire.rtmp.chunking import ChunkWriter, basic, encode
from marchproxy.wire.rtmp.chunks import ChunkReader
from marchproxy.wire.rtmp.message import Message, Type, elapsed

BODY = bytes(range(256)) * 4


def full(csid, time, length, kind=9, stream=1):
    """A head of all fields."""
    short = min(time, 0xFFFFFF)
    head = (
        basic(0, csid)
        + short.to_bytes(3)
        + length.to_bytes(3)
        + bytes((kind,))
        + stream.to_bytes(4, "little")
    )
    return head + (time.to_bytes(4) if short == 0xFFFFFF else b"")


def read(*parts, **options):
    return ChunkReader(**options).feed(b"".join(parts))


def feed_each(reader, pieces):
    for piece in pieces:
        reader.feed(piece)


def read_everywhere(data, **options):
    """Whole, and cut in any one place, and byte by byte: the same messages each time."""
    found = read(data, **options)
    for cut in range(1, len(data)):
        reader = ChunkReader(**options)
        assert reader.feed(data[:cut]) + reader.feed(data[cut:]) == found, cut
    reader = ChunkReader(**options)
    assert [message for byte in data for message in reader.feed(bytes((byte,)))] == found
    assert reader.between
    return found


def test_all_four_heads():
    data = [
        full(4, 1000, 2), b"ab",
        basic(1, 4), b"\0\0\x14\0\0\x03\x08", b"cde",
        basic(2, 4), b"\0\0\x15", b"fgh",
        basic(3, 4), b"ijk",
        basic(3, 4), b"lmn",
    ]  # fmt: skip
    assert read_everywhere(b"".join(data)) == [
        Message(9, 1, 1000, b"ab", 4),
        Message(8, 1, 1020, b"cde", 4),
        Message(8, 1, 1041, b"fgh", 4),
        Message(8, 1, 1062, b"ijk", 4),  # a message that says nothing repeats the delta
        Message(8, 1, 1083, b"lmn", 4),
    ]


def test_after_an_absolute_time_the_time_is_the_delta():
    times = [
        message.timestamp for message in read(full(4, 40, 1), b"a", basic(3, 4), b"b", basic(3, 4), b"c")
    ]
    assert times == [40, 80, 120]


@pytest.mark.parametrize(
    ("csid", "written"),
    [(2, "02"), (63, "3f"), (64, "0000"), (319, "00ff"), (320, "010001"), (66, "0002"), (65_599, "01ffff")],
)
def test_ids_of_one_two_and_three_bytes(csid, written):
    assert basic(0, csid) == bytes.fromhex(written)
    data = full(csid, 5, 130) + BODY[:128] + basic(3, csid) + BODY[128:130]
    assert read_everywhere(data) == [Message(9, 1, 5, BODY[:130], csid)]
    # a short id may be written long
    if csid == 66:
        assert read(b"\x01\x02\x00" + full(66, 5, 1)[2:] + b"x") == [Message(9, 1, 5, b"x", 66)]


def test_messages_that_interleave():
    data = [
        full(6, 10, 300), BODY[:128],
        full(4, 11, 130, 8), BODY[:128],
        basic(3, 6), BODY[128:256],
        basic(3, 4), BODY[128:130],
        basic(3, 6), BODY[256:300],
    ]  # fmt: skip
    assert read_everywhere(b"".join(data)) == [
        Message(8, 1, 11, BODY[:130], 4),
        Message(9, 1, 10, BODY[:300], 6),
    ]


def test_the_size_of_chunks_may_change_within_a_message():
    data = [
        full(6, 10, 600), BODY[:128],
        encode(control.set_chunk_size(400)),
        basic(3, 6), BODY[128:528],
        encode(control.set_chunk_size(128)),
        basic(3, 6), BODY[528:600],
    ]  # fmt: skip
    messages = read_everywhere(b"".join(data))
    assert [message.type for message in messages] == [1, 1, 9]
    assert messages[-1].payload == BODY[:600]


@pytest.mark.parametrize("time", [0xFFFFFE, 0xFFFFFF, 0x1000000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
@pytest.mark.parametrize("length", [1, 127, 128, 129, 130, 256, 257, 300])
@pytest.mark.parametrize("repeats", [True, False])
def test_long_times(time, length, repeats):
    """Where a message goes on, the time is repeated, or left out as by rtmpdump."""
    again = basic(3, 6) + (time.to_bytes(4) if repeats and time >= 0xFFFFFF else b"")
    bodies = [BODY[at : min(at + 128, length)] for at in range(0, length, 128)]
    data = full(6, time, length) + again.join(bodies) + full(6, 7, 2) + b"ok"
    assert read_everywhere(data) == [Message(9, 1, time, BODY[:length], 6), Message(9, 1, 7, b"ok", 6)]


def test_a_long_delta():
    delta = 0x1000001
    data = [
        full(6, 5, 1), b"a",
        basic(1, 6), b"\xff\xff\xff\0\0\x82\x09", delta.to_bytes(4), BODY[:128],
        basic(3, 6), delta.to_bytes(4), BODY[128:130],
        basic(3, 6), delta.to_bytes(4), BODY[:128],
        basic(3, 6), delta.to_bytes(4), BODY[128:130],
    ]  # fmt: skip
    times = [message.timestamp for message in read_everywhere(b"".join(data))]
    assert times == [5, 5 + delta, 5 + 2 * delta]


def test_a_head_that_says_nothing_may_say_another_long_delta():
    """ffmpeg compares only the three bytes."""
    data = [
        full(6, 5, 1), b"a",
        basic(2, 6), b"\xff\xff\xff", (0x1000000).to_bytes(4), b"b",
        basic(3, 6), (0x2000000).to_bytes(4), b"c",
    ]  # fmt: skip
    assert [message.timestamp for message in read_everywhere(b"".join(data))] == [5, 0x1000005, 0x3000005]


def test_times_wrap():
    data = [full(6, 0xFFFFFFF0, 1), b"a", basic(2, 6), b"\0\0\x20", b"b", basic(3, 6), b"c"]
    times = [message.timestamp for message in read(*data)]
    assert times == [0xFFFFFFF0, 0x10, 0x30]
    assert [elapsed(*pair) for pair in pairwise(times)] == [0x20, 0x20]
    assert elapsed(0x10, 0xFFFFFFF0) == -0x20
    assert elapsed(0x7FFFFFF0, 0x80000010) == 0x20
    assert elapsed(0x7FFFFFF0, 0x10) == 0x20
    assert elapsed(0x10, 0x7FFFFFF0) == -0x20


def test_a_stream_may_begin_with_a_delta():
    """librtmp's pong."""
    pong = basic(1, 2) + b"\0\0\0\0\0\x06\x04" + b"\0\x07\0\0\0\x01"
    assert read_everywhere(pong) == [Message(4, 0, 0, b"\0\x07\0\0\0\x01", 2)]


def test_abort_forgets_what_is_under_way():
    data = [
        full(6, 10, 300),
        BODY[:128],
        encode(control.abort(6)),
        encode(control.abort(9)),
        full(6, 20, 2),
        b"ok",
    ]
    messages = read_everywhere(b"".join(data))
    assert [message.type for message in messages] == [Type.ABORT, Type.ABORT, 9]
    assert messages[-1] == Message(9, 1, 20, b"ok", 6)


def test_a_message_may_be_empty():
    assert read_everywhere(full(6, 10, 0) + full(6, 20, 1) + b"a") == [
        Message(9, 1, 10, b"", 6),
        Message(9, 1, 20, b"a", 6),
    ]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (basic(3, 4) + b"a", "says nothing"),
        (basic(2, 4) + b"\0\0\0a", "does not say what comes"),
        (full(4, 0, 300) + BODY[:128] + full(4, 0, 1), "before the last one has ended"),
        (full(4, 0, 8 * 1024 * 1024 + 1), "8388609 bytes"),
        (full(2, 0, 4, 1, 0) + b"\0\0\0\0", "chunks of 0 bytes"),
        (full(2, 0, 4, 1, 0) + b"\0\0\0\x7f", "chunks of 127 bytes"),
        (full(2, 0, 4, 1, 0) + b"\x80\0\0\0", "chunks of 2147483648 bytes"),
        (full(2, 0, 2, 1, 0) + b"\x10\0", "chunks of 0 bytes"),
        (b"".join(full(csid, 0, 0) for csid in range(2, 67)), "more than 64 chunk streams"),
    ],
)
def test_what_breaks_the_protocol_is_a_fault(data, why):
    with pytest.raises(ProtocolFault, match=why):
        read(data)
    with pytest.raises(ProtocolFault, match=why):
        feed_each(ChunkReader(), (bytes((byte,)) for byte in data))


def test_messages_that_never_end_are_bounded():
    reader, larger = ChunkReader(longest=10_000), encode(control.set_chunk_size(9999))
    with pytest.raises(ProtocolFault, match="do not end"):
        feed_each(reader, (larger + full(csid, 0, 10_000) + bytes(9999) for csid in range(3, 64)))
    assert reader.pending <= 30_000


def test_the_longest_message_may_be_set_later():
    reader = ChunkReader(longest=1000)
    reader.longest = 2000
    assert reader.feed(encode(Message(9, 1, 0, bytes(1500)), csid=6)) == [Message(9, 1, 0, bytes(1500), 6)]
    assert reader.longest == 2000


def test_the_largest_chunks_hold_any_message():
    reader = ChunkReader()
    reader.feed(encode(control.set_chunk_size(0x7FFFFFFF)))
    assert reader.chunk_size == 0xFFFFFF


@pytest.mark.parametrize("length", [0, 1, 127, 128, 129, 1000])
@pytest.mark.parametrize("time", [0, 0xFFFFFE, 0xFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("csid", [0, 40, 100, 5000])
def test_what_is_encoded_by_itself_is_read(length, time, csid):
    message = Message(9, 7, time, BODY[:length])
    assert read_everywhere(encode(message, csid=csid)) == [message._replace(csid=csid or 6)]


def test_the_writer_says_no_more_than_it_must():
    writer, size = ChunkWriter(), []
    sent = [
        Message(9, 1, 1000, b"ab"),  # all
        Message(9, 1, 1040, b"ab"),  # the time
        Message(9, 1, 1080, b"cd"),  # nothing
        Message(9, 1, 1080, b"cd"),  # the time
        Message(9, 1, 1120, b"efg"),  # time and length
        Message(9, 1, 1100, b"hij"),  # all: it goes back
        Message(9, 2, 1140, b"hij"),  # all: another stream
        Message(9, 2, 0x2000000, b"hij"),  # all: a leap
        Message(9, 2, 0x2000001, b"hij"),
        Message(8, 2, 0, b"hij"),
    ]
    data = b""
    for message in sent:
        written = writer.write(message)
        size.append(len(written) - len(message.payload))
        data += written
    assert size == [12, 4, 1, 4, 8, 12, 12, 16, 4, 12]
    assert [message._replace(csid=0) for message in read_everywhere(data)] == sent


def test_the_writer_follows_its_own_chunk_size():
    writer = ChunkWriter()
    sent = [control.set_chunk_size(1000), Message(9, 1, 0, BODY), Message(9, 1, 40, BODY)]
    written = [writer.write(message) for message in sent]
    assert [len(data) for data in written] == [16, 12 + 1024 + 1, 4 + 1024 + 1]
    assert [message._replace(csid=0) for message in read(*written)] == sent
