"""What real clients send."""

from itertools import pairwise
from pathlib import Path

import pytest

from marchproxy.wire.rtmp.chunks import ChunkReader
from marchproxy.wire.rtmp.commands import read_command, read_metadata
from marchproxy.wire.rtmp.connect import read_connect
from marchproxy.wire.rtmp.handshake import NOISE, ServerHandshake
from marchproxy.wire.rtmp.media import Packet
from marchproxy.wire.rtmp.message import AUDIO, COMMAND_TYPES, DATA_TYPES, VIDEO, elapsed
from marchproxy.wire.rtmp.preface import Preface
from marchproxy.wire.rtmp.requests import read_play, read_publish
from marchproxy.wire.rtmp.skimmer import Skimmer
from marchproxy.wire.rtmp.tracks import split
from tests.unit.wire.rtmp.crafted import read_strictly

CAPTURES = Path(__file__).parent / "captures"
PUBLISHED = [
    "connect",
    "releaseStream",
    "FCPublish",
    "createStream",
    "publish",
    "FCUnpublish",
    "deleteStream",
]
#: By capture: the codecs of its tracks, its first and last time of a frame, and how many keyframes it has.
PUBLISHERS = {
    "ffmpeg-5-h264-aac-24-bits": ({"avc1": [0], "mp4a": [0]}, 16_776_600, 16_777_984, 3),
    "ffmpeg-5-h264-aac-31-bits": ({"avc1": [0], "mp4a": [0]}, 2_147_483_000, 636, 3),
    "librtmp-h264-aac-24-bits": ({"avc1": [0], "mp4a": [0]}, 16_776_600, 16_777_984, 3),
    "ffmpeg-9-hevc-opus": ({"hvc1": [0], "Opus": [0]}, 0, 1394, 3),
    "ffmpeg-9-many-tracks": ({"avc1": [0], "av01": [1], "mp4a": [0], "Opus": [1]}, 0, 817, 4),
}


def captured(name):
    """Whether it brought a digest, and the bytes behind the handshake."""
    handshake = ServerHandshake(bytes(NOISE))
    handshake.feed((CAPTURES / f"{name}.bin").read_bytes())
    assert handshake.done
    return handshake.digest, handshake.leftover


def commands(messages):
    return [read_command(message) for message in messages if message.type in COMMAND_TYPES]


def frames(messages):
    """Each track's part of each message that has frames."""
    for message in messages:
        if message.type in {AUDIO, VIDEO}:
            for track in split(message):
                if track.packet is Packet.FRAMES:
                    yield message, track


@pytest.mark.parametrize("name", [*PUBLISHERS, "ffmpeg-5-play", "ffmpeg-9-play", "librtmp-play"])
@pytest.mark.parametrize("size", [1, 7, 100, 1448, 65_536])
def test_messages_are_those_of_the_specification(name, size):
    _, data = captured(name)
    reader = ChunkReader()
    found = [message for at in range(0, len(data), size) for message in reader.feed(data[at : at + size])]
    assert (found, []) == read_strictly(data)
    assert reader.between


@pytest.mark.parametrize("name", PUBLISHERS)
def test_publishers(name):
    digest, data = captured(name)
    assert digest is name.startswith("ffmpeg")
    codecs, first, last, keyframes = PUBLISHERS[name]
    messages = ChunkReader().feed(data)
    said = commands(messages)
    assert [command.name for command in said] == PUBLISHED
    assert read_connect(said[0]).app == "live"
    assert read_connect(said[0]).vhost == "127.0.0.1"
    assert (read_publish(said[4]).name, read_publish(said[4]).kind) == ("key", "live")
    assert all(read_metadata(message)["encoder"] for message in messages if message.type in DATA_TYPES)
    found = list(frames(messages))
    tracks = {(track.codec, track.number) for _, track in found}
    assert tracks == {(codec, number) for codec, numbers in codecs.items() for number in numbers}
    times = [message.timestamp for message, _ in found]
    assert (times[0], times[-1]) == (first, last)
    assert all(0 <= elapsed(*pair) < 300 for pair in pairwise(times))
    assert sum(track.keyframe for _, track in found) == keyframes


@pytest.mark.parametrize("name", PUBLISHERS)
def test_frames_are_whole(name):
    """The units of H.264 and HEVC in a frame have lengths, which lead to its very end."""
    _, data = captured(name)
    found = [pair for pair in frames(ChunkReader().feed(data)) if pair[1].codec in {"avc1", "hvc1"}]
    assert found
    for message, track in found:
        at = track.start
        while at < track.end:
            at += 4 + int.from_bytes(message.payload[at : at + 4])
        assert at == track.end


def test_frames_have_composition_times():
    _, data = captured("ffmpeg-5-h264-aac-24-bits")
    assert {track.composition for _, track in frames(ChunkReader().feed(data))} == {0, 100, 200}


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("ffmpeg-5-h264-aac-24-bits", [18, 9, 8]),
        ("ffmpeg-9-hevc-opus", [18, 9, 9, 8, 8]),
        ("ffmpeg-9-many-tracks", [18, 9, 9, 9, 8, 8, 8]),
    ],
)
def test_what_joiners_are_told(name, kinds):
    _, data = captured(name)
    messages, preface = ChunkReader().feed(data), Preface()
    noted = [message for message in messages if preface.note(message)]
    assert [message.type for message in preface.messages(5)] == kinds
    last = {message.payload[:7]: message.payload for message in noted if message.type != 18}  # of each track
    assert {message.payload for message in preface.messages(5)} >= set(last.values())


@pytest.mark.parametrize("name", PUBLISHERS)
@pytest.mark.parametrize("size", [1, 100, 1448])
def test_a_stream_goes_on_elsewhere(name, size):
    """From each keyframe on, to a reader that knows nothing but what joiners are told."""
    _, data = captured(name)
    messages = read_strictly(data)[0]
    for cut in range(1, len(data), 997):
        skimmer = Skimmer()
        for at in range(0, cut, size):
            skimmer.feed(data[at : min(at + size, cut)])
        skimmer.restart()
        chunk_size, out = skimmer.chunk_size, b""
        for at in range(cut, len(data), size):
            skimmer.feed(data[at : at + size])
            out += skimmer.forward
        found, under_way = read_strictly(out, chunk_size)
        assert not under_way
        begun = [message for message, track in frames(found) if track.keyframe]
        if begun:
            assert frames_of(found) == frames_of(messages[messages.index(begun[0]) :])
        else:
            assert not frames_of(found)


def frames_of(messages):
    return [message for message, _ in frames(messages)]


@pytest.mark.parametrize(
    ("name", "said", "codecs", "start"),
    [
        ("ffmpeg-5-play", ["connect", "createStream", "getStreamLength", "play"], (), -2000),
        (
            "ffmpeg-9-play",
            ["connect", "createStream", "getStreamLength", "play"],
            ("hvc1", "av01", "Opus"),
            -2000,
        ),
        ("librtmp-play", ["connect", "createStream", "FCSubscribe", "play", "deleteStream"], (), -1000),
    ],
)
def test_players(name, said, codecs, start):
    _, data = captured(name)
    found = commands(ChunkReader().feed(data))
    assert [command.name for command in found] == said
    assert read_connect(found[0]).abilities.four_ccs == codecs
    assert (read_play(found[3]).name, read_play(found[3]).start) == ("key", start)
