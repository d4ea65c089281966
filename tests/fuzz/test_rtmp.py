"""RTMP's bytes in any pieces, and any bytes at all: values or a fault, and no memory without bound."""

import contextlib
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.flv import FlvReader, header, tag
from marchproxy.wire.rtmp import amf0
from marchproxy.wire.rtmp.answers import read_status
from marchproxy.wire.rtmp.chunking import ChunkWriter, encode
from marchproxy.wire.rtmp.chunks import ChunkReader
from marchproxy.wire.rtmp.commands import bare_metadata, read_command, read_metadata
from marchproxy.wire.rtmp.connect import read_connect
from marchproxy.wire.rtmp.control import read_number, read_user_control
from marchproxy.wire.rtmp.handshake import BLOCK, NOISE, ClientHandshake, ServerHandshake
from marchproxy.wire.rtmp.media import FIRST, is_keyframe, is_lasting, look
from marchproxy.wire.rtmp.message import AUDIO, VIDEO, Message
from marchproxy.wire.rtmp.preface import Preface
from marchproxy.wire.rtmp.requests import read_play, read_publish
from marchproxy.wire.rtmp.skimmer import Skimmer
from marchproxy.wire.rtmp.tracks import split
from tests.unit.wire.rtmp.crafted import Lavish, pieces, read_strictly, some_messages

CAPTURES = sorted((Path(__file__).parents[1] / "unit/wire/rtmp/captures").glob("*.bin"))
CHUNKS = [path.read_bytes()[1 + 2 * BLOCK :][:6000] for path in CAPTURES]
numbers32 = st.integers(0, 0xFFFFFFFF)
kinds = st.sampled_from([3, 4, 5, 8, 9, 15, 17, 18, 20])
messages = st.builds(
    Message,
    kinds,
    st.integers(0, 3),
    numbers32,
    st.binary(max_size=600),
    st.sampled_from([3, 4, 63, 64, 319, 320, 9999]),
)
seeds = st.integers(0, 1 << 32)


def spoiled(draw):
    """A capture in which some bytes are others, or away, or there twice."""
    data = bytearray(draw(st.sampled_from(CHUNKS)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data) - 1))
        match draw(st.integers(0, 2)):
            case 0:
                data[at] = draw(st.integers(0, 255))
            case 1:
                del data[at : at + draw(st.integers(1, 40))]
            case 2:
                data[at:at] = data[at : at + draw(st.integers(1, 40))]
        data = data or bytearray(1)
    return bytes(data)


anything = st.one_of(st.binary(max_size=600), st.composite(spoiled)())


@given(st.lists(messages, max_size=8), seeds)
def test_what_is_written_is_read(sent, seed):
    chance, writer = random.Random(seed), ChunkWriter(chunk_size=128)
    data = b"".join(writer.write(message, message.csid) for message in sent)
    reader = ChunkReader()
    assert [message for piece in pieces(chance, data) for message in reader.feed(piece)] == sent
    by_themselves = b"".join(encode(message, csid=message.csid) for message in sent)
    assert ChunkReader().feed(by_themselves) == sent


@given(seeds)
def test_whichever_way_chunks_are_written(seed):
    """Reader and skimmer say what the specification says."""
    chance = random.Random(seed)
    data = Lavish(chance).write(some_messages(chance, 40))
    found, _ = read_strictly(data)
    reader, skimmer, out = ChunkReader(), Skimmer(rewrites=True), b""
    read = []
    for piece in pieces(chance, data):
        read += reader.feed(piece)
        skimmer.feed(piece)
        out += skimmer.forward
    assert read == found
    assert read_strictly(out)[0] == found


@given(anything, seeds)
def test_chunks_of_any_bytes(data, seed):
    """Reader and skimmer agree on what is a fault, whatever the pieces, but for what only the skimmer reads whole."""
    chance = random.Random(seed)
    reader, whole, held = ChunkReader(longest=5000), ChunkReader(longest=5000), 0
    fault = found = None
    with contextlib.suppress(ProtocolFault):
        found = whole.feed(data)
    read = []
    try:
        for piece in pieces(chance, data):
            read += reader.feed(piece)
            held = max(held, reader.pending)
    except ProtocolFault as error:
        fault = error
    assert (fault is None) is (found is not None)
    assert held <= 2 * 5000 + len(data)
    if found is not None:
        assert read == found
        skimmer = Skimmer(longest=5000)
        for piece in pieces(chance, data):
            skimmer.feed(piece)
            assert skimmer.forward is piece
    for message in read:
        understand(message)


@given(anything, seeds)
def test_a_skimmer_of_any_bytes(data, seed):
    chance = random.Random(seed)
    skimmer = Skimmer(longest=5000, rewrites=chance.random() < 0.5, replace=lambda message: message)
    with contextlib.suppress(ProtocolFault):
        for piece in pieces(chance, data):
            skimmer.feed(piece)
            assert len(skimmer.forward) <= 4 * len(data) + 5000
            if chance.random() < 0.2:
                skimmer.restart(video=chance.random() < 0.5, stream_id=chance.choice([0, 5]))
            if chance.random() < 0.2:
                skimmer.inject(Message(3, 0, 0, bytes(4)))


def understand(message):
    """All that may be made of a message."""
    for reads in (read_command, read_metadata, split, read_user_control, read_number):
        with contextlib.suppress(ProtocolFault):
            reads(message)
    with contextlib.suppress(ProtocolFault):
        command = read_command(message)
        read_status(command)
        read_publish(command)
        read_play(command)
        assert read_command(command.message()) is not None
        read_connect(command).command().message()
    bare_metadata(message)
    Preface().note(message)


@given(st.sampled_from([AUDIO, VIDEO]), st.binary(max_size=40))
def test_media_of_any_bytes(kind, data):
    found = look(kind, data)
    assert 0 <= found.body <= len(data) + 4
    is_keyframe(kind, data)
    is_lasting(kind, data)
    with contextlib.suppress(ProtocolFault):
        for track in split(Message(kind, 1, 0, data)):
            assert 0 <= track.start <= track.end <= max(len(data), track.start)
    if data[:1] and data[0] & 0xF != 7:  # no modifiers
        assert look(kind, data[:FIRST])._replace(tracks=found.tracks) == found


@given(st.binary(max_size=300))
def test_amf0_of_any_bytes(data):
    try:
        values = amf0.decode(data)
    except ProtocolFault:
        return
    again = amf0.encode(*values)
    assert amf0.encode(*amf0.decode(again)) == again


@given(st.binary(max_size=4000), st.booleans(), seeds)
def test_handshakes_of_any_bytes(data, begins_well, seed):
    chance = random.Random(seed)
    for side in (ServerHandshake, ClientHandshake):
        handshake = side(bytes(NOISE))
        with contextlib.suppress(ProtocolFault):
            for piece in pieces(chance, b"\x03" * begins_well + data):
                if not handshake.done:
                    assert len(handshake.feed(piece)) in {0, BLOCK, 1 + 2 * BLOCK}


@given(st.one_of(st.binary(max_size=400), st.binary(max_size=400).map(lambda data: header() + data)), seeds)
def test_flv_of_any_bytes(data, seed):
    chance, reader = random.Random(seed), FlvReader(longest=1000)
    with contextlib.suppress(ProtocolFault):
        for piece in pieces(chance, data):
            reader.feed(piece)


@given(
    st.lists(messages.map(lambda message: message._replace(type=9, stream_id=1, csid=0)), max_size=5), seeds
)
def test_flv_is_read_as_written(sent, seed):
    reader = FlvReader()
    data = header() + b"".join(map(tag, sent))
    assert [message for piece in pieces(random.Random(seed), data) for message in reader.feed(piece)] == sent


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_captures_that_are_cut_off(path):
    data = path.read_bytes()[1 + 2 * BLOCK :]
    for cut in range(0, len(data), 501):
        reader = ChunkReader()
        reader.feed(data[:cut])
        assert reader.pending <= cut
