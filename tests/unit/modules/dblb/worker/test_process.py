"""A worker in this process: who it lets in, what it answers, and how it ends."""

import asyncio
import socket
import ssl
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from marchproxy.contract.document import encode
from marchproxy.engines.workers.contents import Contents
from marchproxy.engines.workers.words import Count, Done, Refused
from marchproxy.kit.clock import SystemClock
from marchproxy.kit.settings import HostPort
from marchproxy.model.module import Protocol
from marchproxy.model.route import RouteId
from marchproxy.modules.dblb import talk
from marchproxy.modules.dblb.talk import LINE, Apply
from marchproxy.modules.dblb.worker.house import Numbers
from marchproxy.modules.dblb.worker.process import serve
from marchproxy.modules.reception.port import Port
from marchproxy.modules.reception.serving import Serving, TlsMaterial
from tests.ports import free_port
from tests.real.support.certificates import make_certificate
from tests.unit.modules.dblb.echo_service import EchoService, state

DOCUMENT = encode(state()).decode()
FACTORIES = dict.fromkeys((Protocol.REDIS, Protocol.MYSQL), EchoService)
ALONE = Numbers()
V2 = b"\r\n\r\n\0\r\nQUIT\n"


def introduction(source="192.0.2.7", port=6379):
    body = socket.inet_aton(source) + socket.inet_aton("192.0.2.1") + (4711).to_bytes(2) + port.to_bytes(2)
    return V2 + b"\x21\x11" + len(body).to_bytes(2) + body


class Rig:
    def __init__(self, path, stop):
        self.path, self.stop = path, stop
        self.port = Port("redis", Protocol.REDIS, HostPort("127.0.0.1", free_port()))
        self.proxied = Port("redis_proxy", Protocol.REDIS, HostPort("127.0.0.1", free_port()), proxied=True)

    async def open(self):
        self.line = await asyncio.open_unix_connection(self.path)

    async def ask(self, question):
        LINE.write_question(self.line[1], question)
        return await LINE.read_answer(self.line[0])

    async def apply(self, *ports, sources=("127.0.0.0/8",), tls=None, document=DOCUMENT, drain=0.0):
        serving = Serving(ports or (self.port, self.proxied), sources, tls, drain)
        return await self.ask(Apply(document, Contents(), serving))

    async def hello(self, port, first=b"", **options):
        reader, writer = await asyncio.open_connection(port.address.host, port.address.port, **options)
        writer.write(first)
        return reader, writer, (await reader.readline()).decode().split()


@asynccontextmanager
async def worker(folder, numbers=ALONE):
    stop = asyncio.Event()
    path = folder / f"{numbers.worker}.sock"
    rig = Rig(path, stop)
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(
            serve(path, stop, numbers=numbers, factories=FACTORIES, clock=SystemClock())
        )
        while not path.exists():
            assert not serving.done()
            await asyncio.sleep(0.005)
        await rig.open()
        try:
            yield rig
        finally:
            stop.set()
            rig.line[1].close()


async def test_clients_are_who_they_are(tmp_path):
    async with worker(tmp_path) as rig:
        assert await rig.apply() == Done()
        _, plain, words = await rig.hello(rig.port)
        assert words[1:] == [str(rig.port.address.port), "-", "plain"]
        _, behind, words = await rig.hello(rig.proxied, introduction())
        assert words == ["192.0.2.7:4711", "6379", "-", "plain"]
        counts = await rig.ask(Count())
        assert (counts.clients, counts.accepted) == (2, 2)
        assert counts.entries[0].numbers["clients"] == 2
        assert set(counts.ports) == {rig.port.address, rig.proxied.address}
        plain.close()
        behind.close()


@pytest.mark.parametrize(
    ("sources", "first"),
    [
        (("10.0.0.0/8",), introduction()),  # from elsewhere
        (("127.0.0.0/8",), b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 6379\r\n"),  # version 1
        (("127.0.0.0/8",), b"*1\r\n$4\r\nPING\r\n" * 8),
    ],
)
async def test_who_may_not_introduce_clients_is_cut_off(tmp_path, sources, first):
    async with worker(tmp_path) as rig:
        await rig.apply(sources=sources)
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.proxied.address.port)
        writer.write(first)
        with pytest.raises((EOFError, ConnectionError)):
            await reader.readexactly(1)
        writer.close()
        assert (await rig.ask(Count())).entries[0].numbers["queries"] == 0


async def test_a_header_may_come_in_pieces_and_with_what_follows(tmp_path):
    async with worker(tmp_path) as rig:
        await rig.apply()
        data = introduction() + b"early"
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.proxied.address.port)
        for at in range(len(data)):
            writer.write(data[at : at + 1])
            await writer.drain()
        assert (await reader.readline()).startswith(b"192.0.2.7:4711 ")
        assert await reader.readexactly(5) == b"early"
        writer.close()


async def test_tls_begins_with_the_first_byte_or_not_at_all(tmp_path):
    server, client = make_certificate(tmp_path, "localhost"), make_certificate(tmp_path, "alice")
    tls = TlsMaterial(str(server), str(server.with_suffix(".key")), str(client))
    context = ssl.create_default_context(cafile=server)
    context.load_cert_chain(client, client.with_suffix(".key"))
    async with worker(tmp_path) as rig:
        assert await rig.apply(tls=tls) == Done()
        reader, writer, words = await rig.hello(rig.port, b"x", ssl=context, server_hostname="localhost")
        assert words[2:] == ["alice", "tls"]
        assert await reader.readexactly(1) == b"x"
        _, plain, words = await rig.hello(rig.port, b"x")
        assert words[2:] == ["-", "plain"]
        plain.close()
        await rig.apply(tls=replace(tls, required=True))
        reader, other = await asyncio.open_connection("127.0.0.1", rig.port.address.port)
        other.write(b"x")
        with pytest.raises((EOFError, ConnectionError)):
            await reader.readexactly(1)
        other.close()
        writer.close()


async def test_a_port_in_use_changes_nothing(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with worker(tmp_path) as rig:
            await rig.apply(rig.port)
            where = HostPort("127.0.0.1", taken.getsockname()[1])
            answer = await rig.apply(rig.proxied, Port("mysql", Protocol.MYSQL, where))
            assert answer.in_use
            assert "mysql: cannot listen on" in answer.reason
            assert (await rig.ask(Count())).ports == (rig.port.address,)
            _, writer, _ = await rig.hello(rig.port)
            writer.close()


async def test_documents_and_files_with_faults_change_nothing(tmp_path):
    async with worker(tmp_path) as rig:
        await rig.apply(rig.port)
        for document in ("{", '{"routes":[{}]}'):
            answer = await rig.apply(rig.proxied, document=document)
            assert isinstance(answer, Refused)
        elsewhere = Port("mongodb", Protocol.MONGODB, HostPort("127.0.0.1", free_port()))
        assert (await rig.apply(elsewhere)).reason.startswith("nobody here speaks mongodb")
        answer = await rig.apply(rig.port, tls=TlsMaterial("/nowhere", "/nowhere"))
        assert answer.reason.startswith("client_tls: ")
        assert (await rig.ask(Count())).ports == (rig.port.address,)


async def test_what_goes_wrong_is_told_and_logged_and_the_next_is_tried(tmp_path, monkeypatch):
    async with worker(tmp_path) as rig:
        with monkeypatch.context() as patched, capture_logs() as logs:
            patched.setattr(EchoService, "apply", lambda *_: {}["p"])
            answer = await rig.apply(rig.port)
        assert isinstance(answer, Refused)
        assert not answer.in_use
        assert answer.reason.startswith("KeyError: 'p'; ")
        assert [line["exc_info"] for line in logs if line["log_level"] == "error"] == [True]
        assert (await rig.ask(talk.WhichPlan())).told is None
        assert await rig.apply(rig.port) == Done()


async def test_what_is_asked_of_services(tmp_path):
    async with worker(tmp_path, Numbers(worker=1, workers=3)) as rig:
        await rig.apply()
        assert (await rig.ask(Count())).gauges[0].size == 2  # of 5, in 3 parts
        assert (await rig.ask(talk.Servers())).servers[0].role == "primary"
        assert (await rig.ask(talk.Servers(ask=True))).servers[0].fault == "is down"
        assert await rig.ask(talk.Busy(RouteId("r"))) == talk.Number(3)


async def test_a_drain_closes_ports_and_lets_clients_go(tmp_path):
    async with worker(tmp_path) as rig:
        await rig.apply(drain=20.0)
        reader, writer, _ = await rig.hello(rig.port)
        assert await rig.ask(talk.Drain()) == Done()
        assert await reader.read() == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", rig.port.address.port)
        assert (await rig.ask(Count())).clients == 0
        assert "told to end" in (await rig.apply()).reason
        writer.close()


async def test_clients_beyond_the_most_are_turned_away(tmp_path):
    async with worker(tmp_path, Numbers(clients=1)) as rig:
        await rig.apply()
        _, first, _ = await rig.hello(rig.port)
        reader, second = await asyncio.open_connection("127.0.0.1", rig.port.address.port)
        assert await reader.read() == b""
        first.close()
        second.close()
