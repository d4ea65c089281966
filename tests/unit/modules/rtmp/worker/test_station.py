"""Two workers in one process: who comes to either finds the stream, whichever has it; and who is turned away hears why."""

import asyncio
import ssl
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from marchproxy.kit.clock import SystemClock, VirtualClock
from marchproxy.kit.settings import HostPort
from marchproxy.kit.tasks import Isolating
from marchproxy.model.http import Authentication, AuthenticationKind
from marchproxy.model.streams import StreamKey
from marchproxy.modules.reception.client import Arrival
from marchproxy.modules.rtmp.handing import giving
from marchproxy.modules.rtmp.ownership import owner_of
from marchproxy.modules.rtmp.plan import RtmpPlan, Way
from marchproxy.modules.rtmp.service import Surroundings
from marchproxy.modules.rtmp.tally import Tallies
from marchproxy.modules.rtmp.worker import station
from marchproxy.modules.rtmp.worker.station import HANDSHAKE_SECONDS, WISH_SECONDS, Station
from marchproxy.wire.rtmp.answers import Code
from marchproxy.wire.rtmp.handshake import NOISE, ClientHandshake
from tests.real.support.certificates import make_certificate
from tests.real.support.waiting import until
from tests.unit.modules.rtmp.session.crafted import (
    FakeTransport,
    Speaker,
    connect,
    create,
    key,
    play,
    publish,
    sound,
    statuses,
)
from tests.unit.modules.rtmp.streams.crafted import plan

#: A stream of each worker.
NAMES = [
    next(f"s{number}" for number in range(100) if owner_of(StreamKey("", "live", f"s{number}"), 2) == worker)
    for worker in range(2)
]


class Worker:
    def __init__(self, folder, index, group, clock):
        self.tallies = Tallies()
        media = folder / "media"
        media.mkdir(exist_ok=True)
        self.around = Surroundings(
            group, clock, self.tallies, worker=index, workers=2, folder=folder, media=media
        )
        self.station = Station(self.around)
        self.port = 0

    @property
    def tally(self):
        return self.tallies.of("live")

    def arrival(self, *, secure=False):
        return Arrival(HostPort("192.0.2.1", 5), 1935, secure=secure)


@asynccontextmanager
async def workers(folder, *, secure=None, clock=None, **options):
    """Two of them that follow one plan, each at a port; `secure`: TLS as a server does it."""
    async with Isolating() as group:
        found = [Worker(folder, index, group, clock or SystemClock()) for index in range(2)]
        servers = []
        for one in found:
            one.station.apply(RtmpPlan((plan(apps=("live",), **options),)))
            server = await asyncio.get_running_loop().create_server(
                lambda one=one: one.station.accept(one.arrival(secure=secure is not None)),
                "127.0.0.1",
                0,
                ssl=secure,
            )
            servers.append(server)
            one.port = server.sockets[0].getsockname()[1]
        try:
            yield found
        finally:
            for one, server in zip(found, servers, strict=True):
                server.close()
                one.station.close()


class Caller:
    """A client that has shaken hands."""

    def __init__(self, reader, writer):
        self.speaker, self.heard = Speaker(), []
        self.reader, self.writer = reader, writer

    @classmethod
    async def at(cls, port, tls=None, first=b""):
        self = cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls))
        handshake = ClientHandshake(bytes(NOISE))
        self.writer.write(first + handshake.begin())
        while not handshake.done:
            self.writer.write(handshake.feed(await self.reader.read(10_000)))
        self.heard += self.speaker.hears(handshake.leftover)
        return self

    def says(self, *parts):
        self.writer.write(self.speaker.says(*parts))

    async def hears(self, *codes, media=()):
        """Wait for these statuses and these media, and nothing else of either."""
        async with asyncio.timeout(20):
            while True:
                found = [code for _, code in statuses(self.heard)]
                got = [message for message in self.heard if message.type in {8, 9}]
                if len(found) >= len(codes) and len(got) >= len(media):
                    break
                data = await self.reader.read(65_536)
                assert data, found
                self.heard += self.speaker.hears(data)
        assert found == list(codes)
        assert got == list(media)
        self.heard = []

    async def ended(self):
        async with asyncio.timeout(20):
            while data := await self.reader.read(65_536):
                self.heard += self.speaker.hears(data)
        self.writer.close()


async def publisher(port, name, tls=None, first=b""):
    one = await Caller.at(port, tls, first)
    one.says(connect(), create())
    one.says(publish(name))
    await one.hears(Code.PUBLISH_START)
    return one


async def player(port, name, tls=None):
    one = await Caller.at(port, tls)
    one.says(connect(), create(2), play(name))
    await one.hears(Code.PLAY_RESET, Code.PLAY_START)
    return one


async def streams_go(ports, name, tls=None):
    """Whoever plays gets what is published, in order."""
    sender = await publisher(ports[0], name, tls)
    receivers = [await player(port, name, tls) for port in ports]
    media = [key(), sound(10), sound(20, bytes(100_000)), key(30)]
    sender.says(*media)
    for one in receivers:
        await one.hears(media=media)
    sender.says(sound(40))
    for one in receivers:
        await one.hears(media=[sound(40)])
    return [sender, *receivers]


@pytest.mark.parametrize("owner", [0, 1])
async def test_a_stream_is_found_from_everywhere(tmp_path, owner):
    async with workers(tmp_path) as found:
        ports = [one.port for one in found]
        clients = await streams_go(ports, NAMES[owner])
        at_owner = sum(port == found[owner].port for port in [ports[0], *ports])
        assert found[owner].station.clients() == 3
        assert found[1 - owner].station.clients() == 0
        assert found[1 - owner].tally.handed_over == 3 - at_owner
        assert [one.key for one in found[owner].station.streams()] == [f"/live/{NAMES[owner]}"]
        assert found[1 - owner].station.streams() == ()
        for client in clients:
            client.writer.close()
        await until(lambda: not found[owner].station.clients())
        assert found[1 - owner].tallies.of("").closed.total() == 0
        assert found[owner].tally.closed["client"] == 3


@pytest.mark.parametrize("owner", [0, 1])
async def test_who_waits_for_no_answer_loses_nothing(tmp_path, owner):
    """What was read before the client went over, and what was not."""
    async with workers(tmp_path) as found:
        receiver = await Caller.at(found[owner].port)
        receiver.says(connect(), create(2), play(NAMES[owner]))
        await until(lambda: found[owner].tally.players)
        sender = await Caller.at(found[0].port)
        media = [key(), *(sound(time, bytes(10_000)) for time in range(1, 100))]
        sender.says(connect(), create(), publish(NAMES[owner]), *media)
        await receiver.hears(Code.PLAY_RESET, Code.PLAY_START, media=media)
        sender.writer.close()
        receiver.writer.close()


@pytest.mark.parametrize("owner", [0, 1])
async def test_clients_of_tls_are_piped(tmp_path, owner):
    certificate = make_certificate(tmp_path, "localhost")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, certificate.with_suffix(".key"))
    client = ssl.create_default_context(cafile=certificate)
    client.check_hostname = False
    async with workers(tmp_path, secure=server) as found:
        clients = await streams_go([one.port for one in found], NAMES[owner], client)
        piped = found[1 - owner].tally.handed_over
        assert found[1 - owner].station.clients() == piped
        for one in clients:
            one.writer.close()
        for one in found:
            await until(lambda one=one: not one.station.clients())


async def test_a_worker_that_is_away_is_missed(tmp_path, monkeypatch):
    monkeypatch.setattr(giving, "PATIENCE_SECONDS", 0.2)
    async with workers(tmp_path) as found:
        found[1].station.drain()
        caller = await Caller.at(found[0].port)
        caller.says(connect(), create(), publish(NAMES[1]))
        await caller.hears(Code.FAILED)
        await caller.ended()
        assert found[0].tally.refused["unreachable"] == 1
        await until(lambda: not found[0].station.clients())


@pytest.mark.parametrize(
    ("said", "code", "reason"),
    [
        ((connect("other"), publish()), Code.PUBLISH_BAD_NAME, "no_route"),
        ((connect("other"), play()), Code.PLAY_NOT_FOUND, "no_route"),
    ],
)
async def test_streams_of_no_route(tmp_path, said, code, reason):
    async with workers(tmp_path) as found:
        caller = await Caller.at(found[0].port)
        caller.says(*said)
        await caller.hears(code)
        await caller.ended()
        assert found[0].tallies.of("").refused == {reason: 1}
        await until(lambda: found[0].tallies.of("").closed == {reason: 1})


@pytest.mark.parametrize("port", [0, 1])
async def test_a_stream_is_published_once(tmp_path, port):
    async with workers(tmp_path) as found:
        first = await publisher(found[0].port, NAMES[0])
        second = await Caller.at(found[port].port)
        second.says(connect(), create(), publish(NAMES[0]))
        await second.hears(Code.PUBLISH_BAD_NAME)
        await second.ended()
        assert found[0].tally.refused == {"busy": 1}
        first.writer.close()


@pytest.mark.parametrize(
    ("kind", "wish", "code"),
    [("publish", publish(NAMES[0]), Code.PUBLISH_DENIED), ("play", play(NAMES[0]), Code.PLAY_FAILED)],
)
async def test_nobody_is_let_in_unchecked(tmp_path, kind, wish, code):
    way = Way(Authentication("keys", AuthenticationKind.STREAM_KEYS))
    async with workers(tmp_path) as found:
        route = replace(plan(apps=("live",)), **{kind: (way,)})
        for one in found:
            one.station.apply(RtmpPlan((route,)))
        caller = await Caller.at(found[0].port)
        caller.says(connect(), create(), wish)
        await caller.hears(code)
        await caller.ended()
        assert found[0].tally.refused == {"denied": 1}


async def test_who_says_nothing_is_let_go(tmp_path):
    clock = VirtualClock()
    async with workers(tmp_path, clock=clock) as found:
        one = found[0]
        mute, shaken, at_work = [one.station.accept(one.arrival()) for _ in range(3)]
        transports = [FakeTransport(connection) for connection in (mute, shaken, at_work)]
        for connection, transport in zip((shaken, at_work), transports[1:], strict=True):
            handshake = ClientHandshake(bytes(NOISE))
            connection.data_received(handshake.begin())
            connection.data_received(handshake.feed(transport.written))
        at_work.data_received(Speaker().says(connect(), create(), publish(NAMES[0])))
        await clock.elapse(0)
        for seconds, aborted in ((HANDSHAKE_SECONDS, []), (0.1, [0]), (WISH_SECONDS, [0, 1])):
            await clock.elapse(seconds)
            one.station.sweep()
            assert [number for number in range(3) if "abort" in transports[number].did] == aborted
        for transport in transports:
            transport.lose()
        assert one.tallies.of("").closed == {"no_handshake": 1, "silent": 1}
        assert one.station.clients() == 0


async def test_the_oldest_goes_when_too_many_say_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(station, "MOST_WAITING", 2)
    async with workers(tmp_path) as found:
        one = found[0]
        transports = [FakeTransport(one.station.accept(one.arrival())) for _ in range(3)]
        assert [transport.did for transport in transports] == [["abort"], [], []]
        for transport in transports:
            transport.lose()
        assert one.tallies.of("").closed == {"crowded": 1, "client": 2}


async def test_who_comes_with_too_many_others_hears_it(tmp_path, monkeypatch):
    monkeypatch.setattr(station, "MOST_WISHING", 0)
    async with workers(tmp_path) as found:
        caller = await Caller.at(found[0].port)
        caller.says(connect(), create(), publish(NAMES[0]))
        await caller.hears(Code.FAILED)
        await caller.ended()
        assert found[0].tally.refused == {"crowded": 1}


async def test_who_has_not_begun_is_let_go_by_a_drain(tmp_path):
    async with workers(tmp_path) as found:
        caller = await Caller.at(found[0].port)
        at_work = await publisher(found[0].port, NAMES[0])
        found[0].station.drain()
        await caller.ended()
        await until(lambda: found[0].station.clients() == 1)
        assert found[0].tallies.of("").closed == {"drain": 1}
        found[0].station.close()
        await at_work.hears(Code.UNPUBLISHED)
        await at_work.ended()
