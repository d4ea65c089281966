import random

import pytest

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp import control
from marchproxy.wire.rtmp.chunking import ChunkWriter, basic, encode
from marchproxy.wire.rtmp.chunks import ChunkReader
from marchproxy.wire.rtmp.commands import Command
from marchproxy.wire.rtmp.media import FIRST, is_keyframe, is_lasting
from marchproxy.wire.rtmp.message import AUDIO, VIDEO, Message, elapsed
from marchproxy.wire.rtmp.skimmer import Began, Skimmer
from tests.unit.wire.rtmp.crafted import (
    CONFIG,
    INTER,
    KEY,
    SOUND,
    Lavish,
    pieces,
    read_strictly,
    some_messages,
)

SEEDS = range(60)
MEDIA = {AUDIO, VIDEO}


def is_frame(message):
    return message.type in MEDIA and not is_lasting(message.type, message.payload[:FIRST])


def crafted(seed):
    chance = random.Random(seed)
    data = Lavish(chance).write(some_messages(chance, 60))
    return chance, data, read_strictly(data)[0]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_reader_reads_what_the_specification_says(seed):
    chance, data, messages = crafted(seed)
    reader = ChunkReader()
    assert [message for piece in pieces(chance, data) for message in reader.feed(piece)] == messages
    assert ChunkReader().feed(data) == messages


@pytest.mark.parametrize("seed", SEEDS)
def test_the_writer_writes_what_the_specification_says(seed):
    _, _, messages = crafted(seed)
    writer = ChunkWriter()
    assert read_strictly(b"".join(writer.write(message, message.csid) for message in messages)) == (
        messages,
        [],
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_what_passes_is_told_and_goes_on_as_it_is(seed):
    chance, data, messages = crafted(seed)
    skimmer, passed = Skimmer(), []
    for piece in pieces(chance, data):
        passed += skimmer.feed(piece)
        assert skimmer.forward is piece
    began = [event for event in passed if isinstance(event, Began)]
    expected = [
        Began(
            message.type,
            message.stream_id,
            message.timestamp,
            len(message.payload),
            message.payload[:FIRST],
            message.csid,
        )
        for message in messages
        if message.type in MEDIA
    ]
    assert sorted(began) == sorted(expected)
    assert [event for event in passed if isinstance(event, Message)] == [
        message for message in messages if not is_frame(message)
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_reader_that_has_had_nothing_gets_all(seed):
    """As nothing was before, only heads by which a chunk stream begins without saying all are written anew."""
    chance, data, messages = crafted(seed)
    skimmer = Skimmer(rewrites=True)
    out = b"".join(forwarded(skimmer, pieces(chance, data)))
    assert read_strictly(out) == (messages, [])


def forwarded(skimmer, parts):
    for part in parts:
        skimmer.feed(part)
        yield skimmer.forward


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("stream_id", [0, 7])
def test_a_new_reader_begins_with_a_keyframe(seed, stream_id):
    chance, data, messages = crafted(seed)
    cut = chance.randrange(len(data))
    skimmer = Skimmer(rewrites=chance.random() < 0.5)
    before = [event for piece in pieces(chance, data[:cut]) for event in skimmer.feed(piece)]
    skimmer.restart(stream_id=stream_id)
    chunk_size = skimmer.chunk_size
    begun, parts = [], []
    for piece in pieces(chance, data[cut:]):
        begun += skimmer.feed(piece)
        parts.append(skimmer.forward)
    found, under_way = read_strictly(b"".join(parts), chunk_size)
    assert not under_way
    # what is no frame goes on, from where it was cut
    read_before = {event for event in before if isinstance(event, Message)}
    rest = [message for message in messages if not is_frame(message) and message not in read_before]
    assert [message for message in found if not is_frame(message)] == [
        renamed(message, stream_id) for message in rest
    ]
    # and of the frames that begin later, those from the first keyframe on
    frames = [event for event in begun if isinstance(event, Began) and event.type in MEDIA]
    keys = [index for index, frame in enumerate(frames) if is_keyframe(frame.type, frame.first)]
    first = keys[0] if keys else len(frames)
    goes_on = [frame for frame in frames[first:] if not is_lasting(frame.type, frame.first)]
    assert skimmer.waiting is not bool(keys)
    assert sorted(map(heading, filter(is_frame, found))) == sorted(
        heading(renamed(frame, stream_id)) for frame in goes_on
    )
    expected = {message[:4] for message in messages}
    assert all(renamed(message, 1)[:4] in expected for message in found if message.stream_id)


def renamed(message, stream_id):
    return message._replace(stream_id=stream_id) if stream_id and message.stream_id else message


def heading(event):
    if isinstance(event, Began):
        return event
    kind, stream, time, payload, csid = event
    return Began(kind, stream, time, len(payload), payload[:FIRST], csid)


@pytest.mark.parametrize("seed", SEEDS)
def test_messages_of_ours_go_between(seed):
    chance, data, messages = crafted(seed)
    skimmer, out, ours = Skimmer(rewrites=chance.random() < 0.5), b"", []
    for piece in pieces(chance, data):
        skimmer.feed(piece)
        out += skimmer.forward
        if chance.random() < 0.2:
            ours.append(control.user_control(control.Event.PING, len(ours)))
            out += skimmer.inject(ours[-1])
    found, under_way = read_strictly(out + skimmer.inject(ours_last := control.ack(5)))
    assert not under_way
    assert [message for message in found if message.csid != 31] == messages
    assert [message._replace(csid=0) for message in found if message.csid == 31] == [*ours, ours_last]


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_under_way_can_be_ended(seed):
    chance, data, messages = crafted(seed)
    skimmer = Skimmer(rewrites=True)
    out = b"".join(forwarded(skimmer, pieces(chance, data[: chance.randrange(len(data))])))
    out += skimmer.finish()
    found, under_way = read_strictly(out)
    assert not under_way
    for csid in {message.csid for message in messages}:
        ours = [message for message in found if message.csid == csid]
        theirs = [message for message in messages if message.csid == csid][: len(ours)]
        assert ours[:-1] == theirs[:-1]
        if ours:
            body = ours[-1].payload.rstrip(b"\0")
            assert theirs[-1].payload.startswith(body)
            assert ours[-1]._replace(payload=theirs[-1].payload) == theirs[-1]


@pytest.mark.parametrize("seed", SEEDS)
def test_commands_are_replaced(seed):
    """Whatever becomes of their length, all behind them is read as it was."""
    chance, data, messages = crafted(seed)
    fates = [
        lambda message: message,
        lambda _: None,
        lambda message: message._replace(payload=b"\x02\0\x01x" * 100),
    ]
    fate = chance.choice(fates)
    skimmer = Skimmer(rewrites=True, replace=fate)
    out = b"".join(forwarded(skimmer, pieces(chance, data)))
    expected = [fate(message) if message.type in {18, 20} else message for message in messages]
    assert read_strictly(out) == ([message for message in expected if message is not None], [])


def video(time, body=b"", kind=INTER):
    return Message(VIDEO, 1, time, kind + body)


def test_frames_that_were_shown_already_are_left_out():
    """Another origin may send its last keyframe first."""
    writer, skimmer = ChunkWriter(), Skimmer(rewrites=True)
    sent = [video(time, kind=KEY if time % 100 == 0 else INTER) for time in range(0, 320, 20)]
    skimmer.restart(after=150)
    skimmer.feed(b"".join(map(writer.write, sent)))
    times = [message.timestamp for message in read_strictly(skimmer.forward)[0]]
    assert times == list(range(200, 320, 20))


def test_a_stream_without_video_goes_on_with_any_frame():
    writer, skimmer = ChunkWriter(), Skimmer()
    sent = [Message(AUDIO, 1, time, SOUND) for time in range(0, 100, 20)]
    skimmer.feed(writer.write(sent[0]))
    skimmer.restart(video=False)
    assert skimmer.waiting
    skimmer.feed(b"".join(map(writer.write, sent[1:])))
    assert not skimmer.waiting
    assert [message._replace(csid=0) for message in read_strictly(skimmer.forward)[0]] == sent[1:]


@pytest.mark.parametrize("time", [0xFFFFF0, 0x7FFFFFF0, 0xFFFFFF00])
def test_a_new_reader_is_told_long_times(time):
    """Heads by which a message goes on say its time if, and only if, the head does by which it began."""
    writer, skimmer = ChunkWriter(), Skimmer()
    sent = [video((time + 40 * index) & 0xFFFFFFFF, bytes(range(250)) * 2, KEY) for index in range(20)]
    skimmer.feed(writer.write(sent[0]))
    skimmer.restart()
    out = b"".join(forwarded(skimmer, map(writer.write, sent[1:])))
    found, _ = read_strictly(out)
    assert [message._replace(csid=0) for message in found] == sent[1:]
    assert elapsed(found[0].timestamp, found[-1].timestamp) == 40 * 18


@pytest.mark.parametrize("time", [0x40, 0x1000000])
def test_a_new_reader_is_not_told_long_leaps(time):
    """Over the wrap, to a time that is short, or long by itself."""
    leap, body = (time - 0xFF000000) & 0xFFFFFFFF, KEY + bytes(range(250))
    skimmer = Skimmer()
    skimmer.feed(encode(video(0xFF000000)))
    skimmer.restart()
    head = basic(1, 6) + b"\xff\xff\xff" + len(body).to_bytes(3) + b"\x09" + leap.to_bytes(4)
    skimmer.feed(head + body[:128] + basic(3, 6) + leap.to_bytes(4) + body[128:])
    assert read_strictly(skimmer.forward) == ([Message(VIDEO, 1, time, body, 6)], [])


def test_a_keyframe_whose_head_has_come_is_one_to_begin_with():
    skimmer, key = Skimmer(), video(40, bytes(300), KEY)
    data = encode(key)
    assert skimmer.feed(encode(video(0)) + data[:20])[1:] == []
    assert skimmer.forward.endswith(data[:20])
    skimmer.restart()
    skimmer.feed(data[20:])
    assert read_strictly(skimmer.forward) == ([key._replace(csid=6)], [])


def test_a_command_of_which_half_a_head_has_gone_on_is_not_replaced():
    skimmer, said = Skimmer(), Command("x").message()
    data = encode(said)
    skimmer.feed(data[:8])
    out = skimmer.forward
    skimmer.replace = lambda _: None
    out += skimmer.inject(control.ack(1))
    skimmer.feed(data[8:] + data)
    found, _ = read_strictly(out + skimmer.forward)
    assert [message.type for message in found] == [20, 3]


def test_a_configuration_under_way_is_not_lost():
    writer, skimmer = ChunkWriter(), Skimmer()
    config = video(5, bytes(200), CONFIG)
    data = writer.write(config)
    skimmer.feed(data[:150])
    skimmer.restart()
    assert skimmer.feed(data[150:]) == [config._replace(csid=6)]
    assert read_strictly(skimmer.forward) == ([config._replace(csid=6)], [])


def test_abort():
    skimmer = Skimmer(rewrites=True)
    big = encode(Message(VIDEO, 1, 0, KEY + bytes(300)))
    data = big[: 12 + 128] + encode(control.abort(6)) + encode(video(40))
    skimmer.feed(data)
    assert read_strictly(skimmer.forward)[0][1:] == [video(40)._replace(csid=6)]
    assert skimmer.finish() == b""


def test_what_went_on_as_it_came_cannot_be_ended():
    skimmer = Skimmer()
    skimmer.feed(encode(video(0))[:5])
    with pytest.raises(ValueError, match="half a head"):
        skimmer.finish()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (encode(Message(20, 0, 0, bytes(70_000)))[:40], "a command of 70000 bytes; 65536"),
        (encode(control.set_chunk_size(5)), "chunks of 5 bytes"),
        (basic(3, 4) + b"x", "says nothing"),
    ],
)
def test_what_breaks_the_protocol_is_a_fault(data, why):
    with pytest.raises(ProtocolFault, match=why):
        Skimmer().feed(data)


def test_what_is_kept_is_bounded():
    skimmer = Skimmer()
    skimmer.feed(encode(control.set_chunk_size(200_000)))
    said = Command("x", 0, None, ("y" * 60_000,)).message()._replace(type=18)
    long = said._replace(payload=said.payload * 4)
    with pytest.raises(ProtocolFault, match="under way"):
        list(forwarded(skimmer, (encode(long, 200_000, csid)[:200_012] for csid in range(3, 60))))


def test_metadata_that_are_too_long_only_pass():
    skimmer = Skimmer()
    events = skimmer.feed(encode(Message(18, 1, 0, bytes(300_000))) + encode(video(0)))
    assert [(type(event), event.type) for event in events] == [(Began, 18), (Began, 9)]
