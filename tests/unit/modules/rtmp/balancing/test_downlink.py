"""What an origin sends to a player goes to him from where he can begin."""

import pytest

from marchproxy.model.rtmp import RtmpPool
from marchproxy.modules.rtmp.balancing.asking import Asking
from marchproxy.modules.rtmp.balancing.downlink import Downlink, Progress
from marchproxy.modules.rtmp.session.roles import Action
from marchproxy.wire.rtmp import answers, control
from marchproxy.wire.rtmp.answers import Code
from marchproxy.wire.rtmp.chunking import ChunkWriter
from marchproxy.wire.rtmp.chunks import ChunkReader
from marchproxy.wire.rtmp.commands import read_command
from marchproxy.wire.rtmp.control import Event
from marchproxy.wire.rtmp.handshake import NOISE, ServerHandshake
from marchproxy.wire.rtmp.message import AUDIO, COMMAND_TYPES, VIDEO, Message, Type
from tests.unit.modules.rtmp.balancing.test_asking import wish
from tests.unit.modules.rtmp.session.crafted import FakeTransport
from tests.unit.modules.rtmp.streams.crafted import (
    AAC_CONFIG,
    AVC_CONFIG,
    audio_config,
    inter,
    key,
    metadata,
    sound,
    video_config,
)

CONFIGS = [AVC_CONFIG, AAC_CONFIG]


class Sink:
    """A player, and what he has got."""

    def __init__(self, *, latest=None, stream_id=1):
        self.progress = Progress()
        self.progress.latest, self.progress.has_video = latest, latest is not None
        self.stream_id, self.is_kept = stream_id, True
        self.written, self.happened = b"", []

    def opened(self, link, data):
        self.happened.append("opened")
        self.written += data

    def passed(self, data):
        self.written += data

    def finished(self, link):
        self.happened.append("finished")

    def said(self, link, command):
        self.happened.append(answers.read_status(command).code)

    def lost(self, link):
        self.happened.append(link.fault)

    @property
    def messages(self):
        return ChunkReader().feed(self.written)

    @property
    def times(self):
        found = [one for one in self.messages if one.type in {AUDIO, VIDEO} and one.payload not in CONFIGS]
        return [one.timestamp for one in found]


class Played:
    """An origin that has let a player in."""

    def __init__(self, sink):
        self.sink, self.writer = sink, ChunkWriter()
        self.link = Downlink("origin:1935", Asking(wish(Action.PLAY), RtmpPool()), sink)
        self.transport = FakeTransport(self.link)
        self.link.begin()
        handshake = ServerHandshake(bytes(NOISE))
        self.link.data_received(handshake.feed(self.transport.written))
        self.says(control.window_ack(5_000_000), answers.connected(1, answers.Abilities()))
        self.says(control.set_chunk_size(4096), answers.result(4, 1.0))
        self.says(answers.status(Code.PLAY_START, "go").message(1))
        assert self.link.is_live

    def chunks(self, *parts):
        messages = [part.message() if isinstance(part, answers.Command) else part for part in parts]
        return b"".join(map(self.writer.write, messages))

    def says(self, *parts):
        self.link.data_received(self.chunks(*parts))


@pytest.mark.parametrize("step", [1, 13, 100, 100_000])
@pytest.mark.parametrize("stream_id", [1, 7])
async def test_a_player_begins_with_any_frame(step, stream_id):
    sink = Sink(stream_id=stream_id)
    origin = Played(sink)
    said = origin.chunks(
        metadata(width=64.0),
        *(video_config(), audio_config(), sound(5), inter(40, b"x" * 9000), key(80)),
    )
    for at in range(0, len(said), step):
        origin.link.data_received(said[at : at + step])
    assert sink.happened == ["opened"]
    assert sink.times == [5, 40, 80]
    payloads = [one.payload for one in sink.messages]
    assert payloads.index(AVC_CONFIG) < payloads.index(AAC_CONFIG) < payloads.index(sound(5).payload)
    assert {one.stream_id for one in sink.messages if one.type in {AUDIO, VIDEO}} == {stream_id}


@pytest.mark.parametrize("latest", [None, 1000])
async def test_each_configuration_goes_on_once_wherever_it_is_cut(latest):
    long = Message(VIDEO, 1, 0, AVC_CONFIG + bytes(200))
    told = [metadata(width=64.0), long, audio_config(), key(2000), inter(2040)]
    for cut in range(1, len(Played(Sink()).chunks(*told))):
        sink = Sink(latest=latest)
        origin = Played(sink)
        said = origin.chunks(*told)
        origin.link.data_received(said[:cut])
        origin.link.data_received(said[cut:])
        found = [one.payload for one in sink.messages if one.type in {AUDIO, VIDEO}]
        assert (cut, found) == (cut, [one.payload for one in told[1:]])


@pytest.mark.parametrize("step", [1, 13, 100, 100_000])
async def test_one_who_comes_from_elsewhere_goes_on_with_a_keyframe_that_is_new(step):
    sink = Sink(latest=1000)
    origin = Played(sink)
    said = origin.chunks(
        video_config(), key(1000), sound(1005), inter(1040), key(2000, b"x" * 9000), sound(2001), inter(2040)
    )
    for at in range(0, len(said), step):
        origin.link.data_received(said[at : at + step])
    assert sink.times == [2000, 2001, 2040]
    assert sink.progress.latest == 2040
    assert AVC_CONFIG in [one.payload for one in sink.messages]


async def test_times_that_begin_anew_are_waited_for_but_not_for_ever():
    sink = Sink(latest=100_000)
    origin = Played(sink)
    origin.link.hurry(0.0)
    origin.says(key(0), inter(40))
    for now in (0.0, 10.0, 16.0):
        assert sink.times == []
        origin.link.hurry(now)
    origin.says(key(1000), inter(1040))
    assert sink.times == [1000, 1040]
    assert sink.progress.latest == 1040


async def test_what_the_player_has_half_of_is_ended():
    sink = Sink()
    origin = Played(sink)
    origin.says(key(0))
    whole = origin.chunks(inter(40, b"x" * 10_000))
    origin.link.data_received(whole[:6000])
    origin.transport.lose(ConnectionResetError())
    assert sink.happened == ["opened", "the origin broke the connection"]
    sink.written += origin.link.rest()
    assert sink.times == [0, 40]
    assert len(sink.messages[-1].payload) == len(inter(40, b"x" * 10_000).payload)


async def test_our_own_messages_go_between():
    sink = Sink()
    origin = Played(sink)
    whole = origin.chunks(key(0, b"x" * 10_000))
    origin.link.data_received(whole[:6000])
    pong = control.user_control(Event.PONG, 7)
    assert origin.link.between(pong) == b""
    origin.link.data_received(whole[6000:])
    assert sink.times == [0]
    assert pong.payload in [one.payload for one in sink.messages]
    sink.written += origin.link.between(pong)
    assert sink.messages[-1].payload == pong.payload


@pytest.mark.parametrize("is_kept", [True, False])
async def test_what_the_player_is_not_to_hear(*, is_kept):
    sink = Sink()
    sink.is_kept = is_kept
    origin = Played(sink)
    origin.says(key(0))
    end = control.user_control(Event.STREAM_EOF, 1)
    codes = [Code.PLAY_UNPUBLISHED, Code.PLAY_PUBLISHED, Code.RECONNECT, Code.FAILED]
    origin.says(end, *(answers.status(code, "").message(1) for code in codes))
    assert origin.link.is_finished
    origin.says(inter(40), control.user_control(Event.STREAM_DRY, 1))
    assert not origin.link.is_finished
    assert sink.happened == ["opened", "finished", "finished", *codes]
    messages = sink.messages
    heard = [answers.read_status(read_command(one)).code for one in messages if one.type in COMMAND_TYPES]
    assert heard == ([] if is_kept else [Code.PLAY_UNPUBLISHED]) + [Code.FAILED]
    events = [control.read_user_control(one).event for one in messages if one.type == Type.USER_CONTROL]
    assert events == ([] if is_kept else [Event.STREAM_EOF]) + [Event.STREAM_DRY]
    assert sink.times == [0, 40]


async def test_sound_may_be_ahead_of_the_next_keyframe():
    sink, after = Sink(), Sink()
    Played(sink).says(key(0), inter(40), sound(90))
    after.progress = sink.progress
    Played(after).says(key(40), sound(90), key(80), sound(113), inter(120))
    assert after.times == [80, 113, 120]


async def test_an_origin_that_breaks_the_protocol():
    sink = Sink()
    origin = Played(sink)
    origin.says(key(0))
    origin.link.data_received(b"\xff" * 100)
    assert origin.transport.did == ["abort"]
    origin.transport.lose()
    assert "broke the protocol" in sink.happened[-1]
