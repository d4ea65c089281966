"""A worker in this process: who it lets in, what it answers, and how it ends."""

import asyncio
import json
import socket
import ssl
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from marchproxy.contract.document import decode, encode
from marchproxy.engines.workers.contents import Contents
from marchproxy.engines.workers.words import Count, Done, Refused
from marchproxy.kit.clock import SystemClock
from marchproxy.kit.settings import HostPort
from marchproxy.model.module import Protocol
from marchproxy.modules.reception.port import Port
from marchproxy.modules.reception.serving import Serving, TlsMaterial
from marchproxy.modules.rtmp.talk import LINE, Apply, Drain, Look, Plan, WhichPlan
from marchproxy.modules.rtmp.worker.house import Numbers
from marchproxy.modules.rtmp.worker.process import serve
from marchproxy.wire.rtmp.answers import Code
from tests.ports import free_port
from tests.real.support.certificates import make_certificate
from tests.unit.modules.rtmp.session.crafted import connect, create, key, publish
from tests.unit.modules.rtmp.worker.test_station import Caller, player, publisher

ROUTE = {"id": "live", "protocol": "rtmp", "module": "rtmp", "rtmp": {"apps": ["live"]}}
DOCUMENT = encode(decode(json.dumps({"routes": [ROUTE]}).encode())).decode()
V2 = b"\r\n\r\n\0\r\nQUIT\n"


def introduction(source="192.0.2.7"):
    body = socket.inet_aton(source) + socket.inet_aton("192.0.2.1") + (4711).to_bytes(2) + (1935).to_bytes(2)
    return V2 + b"\x21\x11" + len(body).to_bytes(2) + body


def port(setting, protocol=Protocol.RTMP, *, proxied=False):
    return Port(setting, protocol, HostPort("127.0.0.1", free_port()), proxied)


class Rig:
    def __init__(self, path, stop):
        self.path, self.stop = path, stop
        self.plain, self.proxied = port("traffic"), port("proxy_traffic", proxied=True)
        self.secure = port("rtmps", Protocol.RTMPS)

    async def open(self):
        self.line = await asyncio.open_unix_connection(self.path)

    async def ask(self, question):
        LINE.write_question(self.line[1], question)
        return await LINE.read_answer(self.line[0])

    async def apply(self, *ports, tls=None, document=DOCUMENT, drain=0.0):
        serving = Serving(ports or (self.plain, self.proxied), ("127.0.0.0/8",), tls, drain)
        return await self.ask(Apply(document, Contents(), serving))


@asynccontextmanager
async def worker(folder):
    stop, path = asyncio.Event(), folder / "0.sock"
    (folder / "media").mkdir()
    rig = Rig(path, stop)
    async with asyncio.TaskGroup() as group:
        numbers = Numbers(media=folder / "media", clients=3)
        serving = group.create_task(serve(path, stop, numbers=numbers, clock=SystemClock()))
        while not path.exists():
            assert not serving.done()
            await asyncio.sleep(0.005)
        await rig.open()
        try:
            yield rig
        finally:
            stop.set()
            rig.line[1].close()


async def test_publishers_and_what_is_told_of_them(tmp_path):
    async with worker(tmp_path) as rig:
        assert await rig.ask(WhichPlan()) == Plan(None)
        assert await rig.apply() == Done()
        sender = await publisher(rig.plain.address.port, "a")
        receiver = await player(rig.plain.address.port, "a")
        sender.says(key())
        await receiver.hears(media=[key()])
        counts = await rig.ask(Count())
        assert (counts.clients, counts.accepted) == (2, 2)
        assert set(counts.ports) == {rig.plain.address, rig.proxied.address}
        (entry,) = [one for one in counts.entries if one.key.route == "live"]
        assert (entry.numbers["publishers"], entry.numbers["players"]) == (1, 1)
        (stream,) = (await rig.ask(Look())).streams
        assert (stream.key, stream.route, stream.players) == ("/live/a", "live", 1)
        assert stream.publisher.startswith("127.0.0.1:")
        told = await rig.ask(WhichPlan())
        assert told.told.document == DOCUMENT
        sender.writer.close()
        receiver.writer.close()


async def test_clients_of_an_nlb_are_who_it_says(tmp_path):
    async with worker(tmp_path) as rig:
        await rig.apply()
        sender = await publisher(rig.proxied.address.port, "a", first=introduction())
        (stream,) = (await rig.ask(Look())).streams
        assert stream.publisher == "192.0.2.7:4711"
        sender.writer.close()


async def test_no_more_than_it_can_have(tmp_path):
    async with worker(tmp_path) as rig:
        await rig.apply()
        callers = [await Caller.at(rig.plain.address.port) for _ in range(3)]
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.plain.address.port)
        async with asyncio.timeout(20):
            assert await reader.read(1) == b""
        for one in [writer, *(caller.writer for caller in callers)]:
            one.close()


@pytest.mark.parametrize(("document", "words"), [("{", "the document"), ('{"routes": 3}', "the document")])
async def test_what_cannot_be_is_refused_and_changes_nothing(tmp_path, document, words):
    async with worker(tmp_path) as rig:
        await rig.apply(rig.plain)
        refused = await rig.apply(rig.plain, rig.proxied, document=document)
        assert isinstance(refused, Refused)
        assert words in refused.reason
        assert (await rig.ask(Count())).ports == (rig.plain.address,)


async def test_a_port_of_somebody_else(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = replace(port("rtmps"), address=HostPort("127.0.0.1", other.getsockname()[1]))
        async with worker(tmp_path) as rig:
            refused = await rig.apply(rig.plain, taken)
            assert isinstance(refused, Refused)
            assert refused.in_use
            assert (await rig.ask(Count())).ports == ()
            assert await rig.apply() == Done()


async def test_tls_where_it_is_spoken(tmp_path):
    certificate = make_certificate(tmp_path, "localhost")
    material = TlsMaterial(str(certificate), str(certificate.with_suffix(".key")))
    trust = ssl.create_default_context(cafile=certificate)
    trust.check_hostname = False
    async with worker(tmp_path) as rig:
        assert await rig.apply(rig.secure, tls=material) == Done()
        sender = await publisher(rig.secure.address.port, "a", trust)
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.secure.address.port)
        writer.write(b"\x03" + bytes(1536))
        async with asyncio.timeout(20):
            with pytest.raises((EOFError, ConnectionError)):
                await reader.readexactly(1)
        writer.close()
        sender.writer.close()


async def test_a_drain_lets_nobody_in_any_more(tmp_path):
    async with worker(tmp_path) as rig:
        await rig.apply(drain=60.0)
        sender = await publisher(rig.plain.address.port, "a")
        assert await rig.ask(Drain()) == Done()
        with pytest.raises(ConnectionRefusedError):
            await Caller.at(rig.plain.address.port)
        assert isinstance(await rig.apply(), Refused)
        assert (await rig.ask(Count())).clients == 1
        sender.writer.close()


async def test_who_is_left_at_the_end_hears_of_it(tmp_path):
    async with worker(tmp_path) as rig:
        await rig.apply()
        sender = await publisher(rig.plain.address.port, "a")
        caller = await Caller.at(rig.plain.address.port)
        caller.says(connect(), create(), publish("a"))
        await caller.hears(Code.PUBLISH_BAD_NAME)
        await caller.ended()
        rig.stop.set()
        await sender.hears(Code.UNPUBLISHED)
        await sender.ended()
