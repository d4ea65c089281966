"""Bad input at every kind of listener: each connection is closed within the limits and counted, and nothing is left of it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from marchproxy.contract.pb import nlb_pb2, types_pb2
from marchproxy.contract.pb.nlb_pb2_grpc import NLBServiceStub
from marchproxy.model.listener import DataPlaneKind, Listener, TlsTermination
from marchproxy.model.module import ModuleType, Protocol
from tests.ports import free_port
from tests.real.nlb_rig import NlbProcess, nlb_process, until
from tests.real.support.fronts import Front, takes_traffic
from tests.real.support.malice import attacks, endure, flood
from tests.real.support.process import naming
from tests.real.support.streams import certify
from tests.unit.wire.detect.crafted import FIRSTS

HOST = "127.0.0.1"
NAME = "good.example"
CLOSED_WITHIN = 40.0  # the longest limit is Envoy's for a TLS hello, 15 s
FLOOD = 300
IDLE = 2.0
# channels to modules and to Envoy's admin interface come and go, and Envoy keeps connections to backends for whoever comes
# next; what leaks does so by the flood
SPARE = 100
REQUEST = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nseen"


@dataclass(frozen=True)
class Kind:
    """Listeners of one port, and what a good client says there, perhaps over TLS."""

    port: int
    listeners: tuple[Listener, ...]
    say: bytes
    trust: ssl.SSLContext | None = None


def kind(*listeners: Listener, say: bytes = REQUEST, trust: ssl.SSLContext | None = None) -> Kind:
    port = free_port()
    placed = (replace(one, host=HOST, port=port, idle_timeout=IDLE) for one in listeners)
    return Kind(port, tuple(placed), say, trust)


def listener(name: str, protocol: Protocol, **more) -> Listener:
    return Listener(name, "", 0, protocol, more.pop("module_type", ModuleType.ALB), **more)


def kinds(certificate: Path, key: Path) -> dict[str, Kind]:
    trust = ssl.create_default_context(cafile=str(certificate))
    tls = TlsTermination(str(certificate), str(key))
    introduced = {"say": b"PROXY TCP4 192.0.2.1 127.0.0.1 4711 80\r\n" + REQUEST}
    return {
        "envoy": kind(listener("envoy", Protocol.TCP, data_plane=DataPlaneKind.ENVOY)),
        "hello": kind(
            listener("hello-shop", Protocol.HTTPS, server_names=("shop.example",)),
            listener("hello-rest", Protocol.HTTPS),
            say=FIRSTS["curl-https"],
        ),
        "request": kind(
            listener("request-alb", Protocol.HTTP),
            listener("request-ailb", Protocol.HTTP, module_type=ModuleType.AILB),
        ),
        "tls": kind(listener("tls", Protocol.HTTPS, tls=tls), trust=trust),
        "introduced": kind(
            listener("introduced", Protocol.TCP, data_plane=DataPlaneKind.ENVOY, proxy_protocol=True),
            **introduced,
        ),
        "detect introduced": kind(
            listener("detect-introduced", Protocol.TCP, data_plane=DataPlaneKind.DETECT, proxy_protocol=True),
            **introduced,
        ),
        "detect": kind(
            listener("detect-http", Protocol.HTTP),
            listener("detect-tls", Protocol.HTTPS, server_names=("shop.example",)),
            listener("detect-redis", Protocol.REDIS, module_type=ModuleType.DBLB),
            say=b"PING\r\n",
        ),
        "detect alone": kind(
            listener(
                "alone", Protocol.POSTGRES, module_type=ModuleType.DBLB, data_plane=DataPlaneKind.DETECT
            ),
            say=FIRSTS["psql-ssl"],
        ),
    }


@dataclass(frozen=True)
class Attacked:
    """An NLB with every kind of listener, and good servers behind them."""

    nlb: NlbProcess
    stub: NLBServiceStub
    kinds: dict[str, Kind]

    def descriptors(self) -> int:
        """Open files of everything that the NLB runs."""
        return sum(process.num_fds() for process in naming(self.nlb.directory))

    async def values(self, metric: str) -> dict[str, int]:
        """The newest sample of a metric, by listener."""
        answer = await self.stub.GetNLBMetrics(
            nlb_pb2.GetNLBMetricsRequest(metric_names=[metric]), timeout=20
        )
        return {point.labels["listener"]: int(point.value) for point in answer.metrics}

    async def closed(self) -> dict[tuple[str, str], int]:
        """How many connections ended how, by listener, where the data plane tells."""
        async with httpx.AsyncClient(trust_env=False) as client:
            text = (await client.get(f"http://{HOST}:{self.nlb.metrics_port}/metrics")).text
        return {
            (sample.labels["listener"], sample.labels["outcome"]): int(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "marchproxy_nlb_closed_connections_total"
        }

    async def serves(self, name: str) -> bool:
        """Whether a good client is served on this port."""
        one = self.kinds[name]
        try:
            async with asyncio.timeout(20):
                reader, writer = await asyncio.open_connection(
                    HOST, one.port, ssl=one.trust, server_hostname=NAME if one.trust else None
                )
                writer.write(one.say)
                answer = await reader.readexactly(12)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            return False
        writer.transport.abort()
        return answer == ANSWER[:12]

    async def healthy(self) -> bool:
        answer = await self.stub.CheckHealth(nlb_pb2.CheckHealthRequest(deep_check=True), timeout=20)
        return answer.status == types_pb2.HEALTH_STATUS_HEALTHY


@asynccontextmanager
async def attacked(directory: Path) -> AsyncIterator[Attacked]:
    certificate, key = await certify(directory, NAME)
    ports = kinds(certificate, key)
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(talkative())
        fronts = [
            Front("tcp", types_pb2.MODULE_TYPE_ALB, types_pb2.PROTOCOL_TCP, port),
            Front("http", types_pb2.MODULE_TYPE_ALB, types_pb2.PROTOCOL_HTTP, port),
            Front("https", types_pb2.MODULE_TYPE_ALB, types_pb2.PROTOCOL_HTTPS, port),
            Front("http-too", types_pb2.MODULE_TYPE_AILB, types_pb2.PROTOCOL_HTTP, port),
            Front("redis", types_pb2.MODULE_TYPE_DBLB, types_pb2.PROTOCOL_REDIS, port),
            Front("postgres", types_pb2.MODULE_TYPE_DBLB, types_pb2.PROTOCOL_POSTGRES, port),
        ]
        listeners = [one for each in ports.values() for one in each.listeners]
        nlb, stub = await stack.enter_async_context(nlb_process(directory, *listeners, heartbeat=60))
        for front in fronts:
            await stack.enter_async_context(front.registered(stub))
        await takes_traffic(stub, *fronts)
        yield Attacked(nlb, stub, ports)


@asynccontextmanager
async def talkative() -> AsyncIterator[int]:
    """A server that gives the same answer to whatever it hears, and never closes of itself; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while await reader.read(1 << 16):
                writer.write(ANSWER)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_bad_clients_are_closed_and_counted_and_leave_nothing_behind(tmp_path, capfd):
    async with attacked(tmp_path) as what:
        await all_served(what)
        await until(lambda: nothing_open(what), seconds=20)
        before = what.descriptors()

        async with asyncio.timeout(CLOSED_WITHIN), asyncio.TaskGroup() as group:
            for each in what.kinds.values():
                for attack in attacks():
                    group.create_task(endure(HOST, each.port, attack))
        async with asyncio.timeout(CLOSED_WITHIN), asyncio.TaskGroup() as group:
            for each in what.kinds.values():
                group.create_task(flood(HOST, each.port, FLOOD, reset=True))
                group.create_task(flood(HOST, each.port, FLOOD, first=each.say, reset=True))
                group.create_task(flood(HOST, each.port, FLOOD, first=each.say[:7], reset=False))

        await all_served(what)
        await until(lambda: nothing_open(what), seconds=20)
        assert await what.healthy()
        async with asyncio.timeout(20):
            while what.descriptors() > before + SPARE:
                await asyncio.sleep(0.1)
        counted = await what.values("connections_total")
        for name, each in what.kinds.items():
            assert sum(counted[one.name] for one in each.listeners) >= len(attacks()), name
        closed = await what.closed()
        assert (
            closed["detect-http", "unknown"] >= 5
        )  # what is no protocol of the port counts for its first listener
        assert closed["detect-http", "timeout"] >= 5
        assert closed["detect-introduced", "malformed"] >= 5
    output = capfd.readouterr().err
    assert '"grpc server listening"' in output  # the log was read
    assert "Traceback" not in output
    assert '"level": "error"' not in output


async def all_served(what: Attacked) -> None:
    for name in what.kinds:
        await until(lambda name=name: what.serves(name))


async def nothing_open(what: Attacked) -> bool:
    active = await what.values("connections_active")
    return len(active) > 0 and not any(active.values())
