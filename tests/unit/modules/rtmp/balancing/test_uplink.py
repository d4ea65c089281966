"""What a publisher sends goes to an origin as it comes, and what we say there goes between."""

from marchproxy.model.rtmp import RtmpPool
from marchproxy.modules.rtmp.balancing.asking import Asking
from marchproxy.modules.rtmp.balancing.uplink import Conveyor, Uplink
from marchproxy.wire.rtmp import answers, control
from marchproxy.wire.rtmp.answers import Code
from marchproxy.wire.rtmp.chunking import ChunkWriter
from marchproxy.wire.rtmp.control import Event
from marchproxy.wire.rtmp.handshake import NOISE, ServerHandshake
from marchproxy.wire.rtmp.message import AUDIO, VIDEO, Type
from tests.unit.modules.rtmp.balancing.test_asking import wish
from tests.unit.modules.rtmp.session.crafted import PUBLISHER, FakeTransport, Speaker
from tests.unit.modules.rtmp.streams.crafted import BEGINNING, inter, key, sound

PONG = control.user_control(Event.PONG, 7)


class Source:
    def __init__(self):
        self.happened = []

    def lost(self, link):
        self.happened.append(link.fault)

    def sent_away(self):
        self.happened.append("sent away")

    def held_up(self):
        self.happened.append("held up")

    def caught_up(self):
        self.happened.append("caught up")


class Served:
    """An origin that serves, with its link."""

    def __init__(self):
        self.source, self.speaker, self.writer = Source(), Speaker(), ChunkWriter()
        self.link = Uplink("origin:1935", Asking(wish(), RtmpPool()), self.source)
        self.transport = FakeTransport(self.link)
        self.link.begin()
        handshake = ServerHandshake(bytes(NOISE))
        self.link.data_received(handshake.feed(self.transport.written))
        sent, self.transport.written = self.transport.written, b""
        handshake.feed(sent[1537:])
        self.hears()
        self.says(answers.connected(1, answers.Abilities()))
        self.says(answers.result(4, 3.0))
        self.says(answers.status(Code.PUBLISH_START, "go"))
        self.hears()
        assert self.link.is_live

    def says(self, *parts):
        messages = [part.message() if isinstance(part, answers.Command) else part for part in parts]
        self.link.data_received(b"".join(map(self.writer.write, messages)))

    def hears(self):
        written, self.transport.written = self.transport.written, b""
        return self.speaker.hears(written)

    def frames(self):
        """Since the last time, with what is no frame as its type."""
        return [one.timestamp if one.type in {AUDIO, VIDEO} else one.type for one in self.hears()]


async def test_what_we_say_goes_between_what_the_publisher_sends():
    origin, publisher, conveyor = Served(), Speaker(), Conveyor()
    conveyor.begin(origin.link)
    conveyor.feed(publisher.says(*PUBLISHER, key(0)))
    assert origin.frames() == [0]
    whole = publisher.says(inter(40, b"x" * 300))
    conveyor.feed(whole[:200])
    origin.says(control.user_control(Event.PING, 7))
    assert origin.frames() == []
    conveyor.feed(whole[200:])
    heard = origin.hears()
    assert PONG in heard
    assert [(one.timestamp, one.stream_id) for one in heard if one.type == VIDEO] == [(40, 3)]
    origin.says(control.user_control(Event.PING, 7))
    assert origin.hears() == [PONG]


async def test_the_next_origin_begins_where_the_one_before_ends():
    for step in (1, 7, 33, 1000, 100_000):
        before, after, publisher, conveyor = Served(), Served(), Speaker(), Conveyor()
        conveyor.begin(before.link)
        conveyor.feed(publisher.says(*PUBLISHER, *BEGINNING, key(0)))
        conveyor.go_on(after.link, BEGINNING, video=True)
        assert conveyor.waiting
        said = publisher.says(inter(40, b"x" * 500), sound(41), sound(42), key(1000, b"y" * 300), sound(1001))
        for at in range(0, len(said), step):
            conveyor.feed(said[at : at + step])
        assert not conveyor.waiting
        assert before.frames()[-4:] == [0, 40, 41, 42]
        assert [one for one in after.frames() if one != Type.SET_CHUNK_SIZE][-2:] == [1000, 1001]
        assert before.transport.did == ["eof"]


async def test_the_one_before_is_lost_while_the_next_waits():
    before, after, publisher, conveyor = Served(), Served(), Speaker(), Conveyor()
    conveyor.begin(before.link)
    conveyor.feed(publisher.says(*PUBLISHER, key(0)))
    conveyor.go_on(after.link, (), video=True)
    before.transport.lose(ConnectionResetError())
    assert before.source.happened == ["the origin broke the connection"]
    assert not conveyor.forget(before.link)
    conveyor.feed(publisher.says(inter(40), key(1000)))
    assert after.frames()[-1:] == [1000]
    after.transport.lose()
    assert conveyor.forget(after.link)


async def test_without_keyframes_it_goes_on_all_the_same():
    before, after, publisher, conveyor = Served(), Served(), Speaker(), Conveyor()
    conveyor.begin(before.link)
    conveyor.feed(publisher.says(*PUBLISHER, key(0)))
    assert conveyor.forget(before.link)
    conveyor.go_on(after.link, (), video=True)
    conveyor.feed(publisher.says(inter(40)))
    assert conveyor.waiting
    conveyor.hurry()
    conveyor.feed(publisher.says(inter(80), inter(120)))
    assert after.frames()[-2:] == [80, 120]


async def test_an_origin_that_reads_slowly():
    origin, conveyor = Served(), Conveyor()
    conveyor.begin(origin.link)
    origin.link.pause_writing()
    assert conveyor.is_full
    origin.says(control.user_control(Event.PING, 7))
    assert origin.hears() == []
    origin.link.resume_writing()
    assert not conveyor.is_full
    assert origin.source.happened == ["held up", "caught up"]


async def test_acknowledgements_are_sent_to_who_asks_for_them():
    origin = Served()
    origin.says(control.window_ack(100))
    origin.says(*[control.user_control(Event.STREAM_BEGIN, 1)] * 10)
    assert {one.type for one in origin.hears()} == {Type.ACK}


async def test_what_origins_say_to_publishers():
    origin = Served()
    origin.says(answers.Command("onBWDone"), answers.reconnect("maintenance"))
    assert origin.source.happened == ["sent away"]
    origin.says(answers.status(Code.UNPUBLISHED, "by an operator"))
    assert origin.transport.did == ["abort"]
    origin.transport.lose()
    assert origin.source.happened[1:] == ["the origin ends it: by an operator"]
