"""A client's connection: who is asked what becomes of it, and how it ends."""

import pytest

from marchproxy.kit.settings import HostPort
from marchproxy.modules.reception.client import Arrival
from marchproxy.modules.rtmp.plan import RoutePlan
from marchproxy.modules.rtmp.session.connection import Connection
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp import answers, control
from marchproxy.wire.rtmp.answers import Code
from marchproxy.wire.rtmp.handshake import BLOCK, NOISE, ClientHandshake
from tests.unit.modules.rtmp.session.crafted import (
    PLAYER,
    PUBLISHER,
    FakeTransport,
    Speaker,
    connect,
    key,
    play,
    publish,
    statuses,
)
from tests.unit.modules.rtmp.streams.crafted import plan

ROUTE: RoutePlan = plan()


class Office:
    def __init__(self):
        self.wishes, self.reasons = [], []

    def wished(self, connection):
        self.wishes.append(connection.wish)

    def left(self, connection, reason):
        self.reasons.append(reason)


class FakeRole:
    def __init__(self, *, raw=False, fault=None, closes=False):
        self.raw, self.fault, self.closes, self.seen, self.client = raw, fault, closes, [], None

    def begin(self, client):
        self.client = client
        self.seen.append(("begin", len(client.recorded)))
        if self.raw:
            client.want_raw()
        if self.closes:
            client.close("done")

    def messages(self, messages):
        if self.fault:
            raise ProtocolFault(self.fault)
        self.seen += [message.type for message in messages]

    def received(self, data):
        self.seen.append(data)

    def full(self):
        self.seen.append("full")

    def drained(self):
        self.seen.append("drained")

    def gone(self, reason):
        self.seen.append(("gone", reason))


class Rig:
    """A client; `recorded`: what another worker has heard of it."""

    def __init__(self, recorded=None, *, half_close=True):
        self.office, self.speaker = Office(), Speaker()
        self.connection = Connection(Arrival(HostPort("192.0.2.1", 5), 1935), self.office, now=0.0)
        if recorded is not None:
            self.connection.take_over(recorded)
        self.transport = FakeTransport(self.connection, half_close=half_close)

    def shake(self):
        handshake = ClientHandshake(bytes(NOISE))
        self.connection.data_received(handshake.begin())
        self.connection.data_received(handshake.feed(self.transport.written))
        assert self.connection.has_shaken
        self.transport.written = b""
        return self

    def says(self, *parts):
        self.connection.data_received(self.speaker.says(*parts))
        return self

    def hears(self):
        said, self.transport.written = self.transport.written, b""
        return self.speaker.hears(said)


async def test_whoever_serves_gets_what_follows_the_wish():
    rig, role = Rig().shake(), FakeRole()
    rig.says(*PUBLISHER, key(1))
    assert not rig.transport.reading
    rig.says(key(2))  # what was read already
    assert len(rig.office.wishes) == 1
    rig.connection.serve(ROUTE, role)
    assert rig.transport.reading
    assert role.seen[0][1] > 200
    assert role.seen[1:] == [9, 9]
    assert rig.connection.recorded == b""
    rig.says(key(3))
    assert role.seen[3:] == [9]
    rig.transport.lose()
    assert role.seen[4:] == [("gone", "client")]
    assert rig.office.reasons == ["client"]


async def test_a_role_may_read_by_itself():
    rig, role = Rig().shake(), FakeRole(raw=True)
    rig.says(*PUBLISHER, key(1))
    rig.connection.serve(ROUTE, role)
    rig.connection.data_received(b"anything")
    assert role.seen[1:] == [b"anything"]
    rig.transport.lose(ConnectionResetError())
    assert rig.office.reasons == ["reset"]


async def test_everything_may_come_at_once():
    rig = Rig()
    handshake = ClientHandshake(bytes(NOISE))
    rig.connection.data_received(handshake.begin() + bytes(BLOCK) + rig.speaker.says(*PLAYER))
    assert [wish.key.name for wish in rig.office.wishes] == ["a"]


@pytest.mark.parametrize(
    ("first", "said", "reason"),
    [
        (b"\x06", [], "protocol:handshake"),
        (b"GET / HTTP/1.1\r\n\r\n", [], "protocol:handshake"),
        (None, [publish()], "protocol:commands"),
    ],
)
async def test_what_no_client_says_ends_it(first, said, reason):
    rig = Rig()
    if first is None:
        rig.shake().says(*said)
    else:
        rig.connection.data_received(first)
    assert rig.transport.did == ["eof"]
    rig.connection.data_received(b"more of it")
    rig.transport.lose()
    assert rig.office.reasons == [reason]


async def test_what_no_publisher_says_ends_it():
    rig, role = Rig().shake().says(*PUBLISHER), FakeRole(fault="no video at all")
    rig.connection.serve(ROUTE, role)
    rig.says(key())
    rig.transport.lose()
    assert rig.office.reasons == ["protocol:publish"]
    assert role.seen[1:] == [("gone", "protocol:publish")]


@pytest.mark.parametrize(
    ("wish", "code"), [(publish("a\0"), Code.PUBLISH_BAD_NAME), (play(""), Code.PLAY_NOT_FOUND)]
)
async def test_a_name_that_cannot_be_is_refused(wish, code):
    rig = Rig().shake().says(connect(), wish)
    assert statuses(rig.hears()) == [(1, code)]
    assert rig.office.wishes == []
    rig.transport.lose()
    assert rig.office.reasons == ["bad_name"]


@pytest.mark.parametrize(("half_close", "did"), [(True, ["eof"]), (False, ["close"])])
async def test_who_is_refused_hears_why(half_close, did):
    rig = Rig(half_close=half_close).shake().says(*PUBLISHER)
    rig.connection.refuse("busy", Code.PUBLISH_BAD_NAME, "it is published")
    assert statuses(rig.hears()) == [(1, Code.PUBLISH_BAD_NAME)]
    assert rig.transport.did == did
    assert rig.transport.reading  # or its end would not be seen
    rig.connection.write(b"too late")
    rig.connection.close("another reason")
    rig.connection.send(control.ack(1))
    rig.transport.lose()
    assert rig.office.reasons == ["busy"]


async def test_a_role_may_end_it_as_it_begins():
    rig, role = Rig().shake().says(*PUBLISHER, key()), FakeRole(closes=True)
    rig.connection.serve(ROUTE, role)
    assert len(role.seen) == 1
    rig.transport.lose()
    assert rig.office.reasons == ["done"]


async def test_nobody_serves_who_is_gone():
    rig, role = Rig().shake().says(*PUBLISHER), FakeRole()
    rig.transport.lose()
    rig.connection.serve(ROUTE, role)
    rig.connection.refuse("busy", Code.PUBLISH_BAD_NAME, "it is published")
    assert (role.seen, rig.office.reasons) == ([], ["client"])


async def test_a_slow_reader_is_told_of():
    rig, role = Rig().shake().says(*PLAYER), FakeRole()
    rig.connection.serve(ROUTE, role)
    rig.connection.pause_writing()
    rig.connection.resume_writing()
    assert role.seen[1:] == ["full", "drained"]


async def test_who_reads_nothing_is_not_answered_for_ever():
    rig, role = Rig().shake().says(*PLAYER), FakeRole()
    rig.connection.serve(ROUTE, role)
    ping = control.user_control(control.Event.PING, 1)
    rig.says(*[ping] * 10_000)  # it reads: all are answered
    assert not rig.transport.did
    rig.connection.pause_writing()
    rig.says(*[ping] * 1_000)
    assert not rig.transport.did
    rig.says(*[ping] * 10_000)
    assert rig.transport.did == ["eof"]
    rig.transport.lose()
    assert rig.office.reasons == ["protocol:play"]


@pytest.mark.parametrize(("caps", "asked"), [({"capsEx": 1.0}, True), ({"capsEx": 6.0}, False), ({}, False)])
async def test_who_can_is_asked_to_come_again(caps, asked):
    rig, role = Rig().shake().says(connect(**caps), *PLAYER[1:]), FakeRole()
    rig.hears()
    rig.connection.serve(ROUTE, role)
    assert rig.connection.ask_to_reconnect("we are leaving", "rtmp://other/live") is asked
    assert statuses(rig.hears()) == ([(0, Code.RECONNECT)] if asked else [])


async def test_what_a_role_says_fits_to_what_it_wrote():
    rig, role = Rig().shake().says(*PLAYER), FakeRole()
    rig.connection.serve(ROUTE, role)
    rig.hears()
    elsewhere = Speaker()
    rig.connection.write(elsewhere.says(answers.status(Code.PLAY_START, "by another writer")))
    rig.connection.send(answers.status(Code.PLAY_STOP, "by ours"))
    assert [code for _, code in statuses(rig.hears())] == [Code.PLAY_START, Code.PLAY_STOP]


async def test_a_client_that_another_worker_has_heard_so_far():
    """It is told nothing twice, and what follows fits to what the other one told it."""
    there = Rig().shake().says(*PUBLISHER)
    recorded = there.connection.recorded
    assert there.connection.part("handed over") is there.transport
    assert there.office.reasons == ["handed over"]
    there.transport.lose()
    assert there.office.reasons == ["handed over"]
    here = Rig(recorded)
    here.speaker = there.speaker
    there.hears()
    assert here.transport.written == b""
    assert [wish.key.name for wish in here.office.wishes] == ["a"]
    assert here.connection.was_handed
    role = FakeRole()
    here.connection.serve(ROUTE, role)
    here.connection.send(answers.status(Code.PUBLISH_START, "it begins").message(1))
    assert statuses(here.hears()) == [(1, Code.PUBLISH_START)]
    here.says(key())
    assert role.seen[1:] == [9]


@pytest.mark.parametrize("recorded", [b"", b"\xff" * 100])
async def test_what_no_worker_hands_over_is_closed(recorded):
    rig = Rig(recorded)
    assert rig.transport.did == ["eof"]
    assert rig.office.wishes == []
