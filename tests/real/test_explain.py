"""What `explain` says is what traffic does, also where listeners share an address."""

import asyncio
import contextlib
from dataclasses import dataclass, field

import grpc
import pytest

from marchproxy.contract.pb import nlb_pb2, types_pb2
from marchproxy.contract.pb.nlb_pb2_grpc import NLBServiceStub
from marchproxy.model.listener import Listener
from marchproxy.model.module import ModuleType, Protocol
from marchproxy.model.route import PathMatch, Route, RouteId, RouteMatch
from marchproxy.model.state import DesiredState
from tests.nlb_module import TinyModule, modules, read_proxy_v2
from tests.ports import free_port
from tests.real.nlb_rig import NlbProcess, until
from tests.real.plane_rig import hello, talk

_SPOKEN = ("HTTP", "HTTPS", "POSTGRES", "REDIS", "RTMP", "RTMPS", "TCP")


@dataclass
class Speaker(TinyModule):
    """An instance of the type it is named after. It takes whatever comes, and says its name as an HTTP response."""

    def message(self) -> types_pb2.ModuleInstance:
        instance = super().message()
        instance.module_type = types_pb2.ModuleType.Value(f"MODULE_TYPE_{self.name.upper()}")
        (endpoint,) = instance.traffic_endpoints
        del instance.traffic_endpoints[:]
        for word in _SPOKEN:
            endpoint.name, endpoint.protocol = word.lower(), types_pb2.Protocol.Value(f"PROTOCOL_{word}")
            instance.traffic_endpoints.append(endpoint)
        return instance

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(asyncio.current_task())
        try:
            await read_proxy_v2(reader)
            if await reader.read(65536):
                size = len(self.name)
                writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n{self.name}".encode())
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # cancelled only by the end of the module
        finally:
            self.connections.discard(asyncio.current_task())
            writer.close()


REQUEST, HELLO, BYTES, GUARDED = (free_port() for _ in range(4))


def on(port, name, protocol, module, *server_names, **more):
    kind, module_type = Protocol(protocol), ModuleType(module)
    return Listener(name, "127.0.0.1", port, kind, module_type, server_names=tuple(server_names), **more)


LISTENERS = [
    on(REQUEST, "web", "http", "alb"),
    on(REQUEST, "llm", "http", "ailb"),
    on(HELLO, "shop", "https", "alb", "shop.example"),
    on(HELLO, "live", "rtmps", "rtmp", "live.example"),
    on(HELLO, "wild", "https", "ailb", "*.example", alpn=("h2",)),
    on(HELLO, "others", "tcp", "dblb"),
    on(BYTES, "plain", "http", "alb"),
    on(BYTES, "secure", "https", "ailb"),
    on(BYTES, "cache", "redis", "dblb"),
    on(BYTES, "stream", "rtmp", "rtmp"),
    on(GUARDED, "guarded", "http", "alb", deny=("127.0.0.9/32",)),
]
ROUTE = Route(RouteId("completions"), RouteMatch(path=PathMatch(value="/v1")), module_type=ModuleType.AILB)


@dataclass(frozen=True)
class Case:
    """A question, the same as traffic, and who takes it (nobody: empty)."""

    port: int
    protocol: str
    send: bytes
    taken_by: str
    path: str = ""
    context: dict = field(default_factory=dict, hash=False)
    source: str = "127.0.0.1"

    def question(self) -> nlb_pb2.RouteRequestRequest:
        protocol = types_pb2.Protocol.Value(f"PROTOCOL_{self.protocol}")
        route = types_pb2.Route(destination_port=self.port, protocol=protocol, path_pattern=self.path)
        return nlb_pb2.RouteRequestRequest(
            route=route, context={**self.context, "client": self.source}, dry_run=True
        )


def get(path, port=REQUEST, **more):
    return Case(port, "HTTP", f"GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n".encode(), path=path, **more)


def tls(name, *alpn, port=HELLO, **more):
    context = {"sni": name, "alpn": ",".join(alpn)}
    # without ALPN of one's own an HTTPS client is taken to offer HTTP
    return Case(port, "HTTPS" if alpn else "TCP", hello(name, alpn), context=context, **more)


CASES = [
    get("/v1/chat", taken_by="ailb"),
    get("/", taken_by="alb"),
    get("/v1x", taken_by="alb"),
    tls("shop.example", taken_by="alb"),
    tls("SHOP.example", "h2", taken_by="alb"),
    tls("live.example", taken_by="rtmp"),
    tls("a.example", "http/1.1", "h2", taken_by="ailb"),
    tls("a.example", "http/1.1", taken_by="dblb"),
    tls("elsewhere.test", "h2", taken_by="dblb"),
    get("/", port=BYTES, taken_by="alb"),
    tls("shop.example", port=BYTES, taken_by="ailb"),
    Case(BYTES, "REDIS", b"*1\r\n$4\r\nPING\r\n", "dblb"),
    Case(BYTES, "RTMP", b"\x03" + bytes(1536), "rtmp"),
    Case(BYTES, "POSTGRES", b"\x00\x00\x00\x08\x04\xd2\x16\x2f", ""),
    get("/", port=GUARDED, taken_by="alb"),
    get("/", port=GUARDED, taken_by="", source="127.0.0.9"),
]


@pytest.fixture
async def stub(tmp_path):
    nlb = NlbProcess(tmp_path, DesiredState(tuple(LISTENERS), (ROUTE,)), heartbeat=30.0)
    async with modules(*(Speaker(name) for name in ("alb", "ailb", "dblb", "rtmp"))) as speakers:
        try:
            await nlb.start()
            async with grpc.aio.insecure_channel(f"127.0.0.1:{nlb.grpc_port}") as channel:
                stub = NLBServiceStub(channel)
                for speaker in speakers:
                    assert (await speaker.register(stub)).success
                await until(lambda: all_take(stub), 30)
                yield stub
        finally:
            await nlb.stop()


async def all_take(stub) -> bool:
    status = await stub.GetNLBStatus(nlb_pb2.GetNLBStatusRequest())
    takers = [status.details[f"listener {listener.name}"] for listener in status.listeners]
    return status.details["plan"] == "in force" and takers == ["1 instances"] * len(LISTENERS)


async def answer_of(case: Case) -> str:
    """The name of the instance that the traffic reached; empty when the connection was closed without one."""
    with contextlib.suppress(ConnectionError):
        async with talk(case.port, source=case.source, send=case.send) as conversation:
            async with asyncio.timeout(20):
                data = await conversation.reader.read(65536)
                while data and not data.rpartition(b"\r\n\r\n")[2]:
                    data += await conversation.reader.read(65536) or b"?"
            return data.rpartition(b"\r\n\r\n")[2].decode()
    return ""


async def test_what_is_explained_is_what_traffic_does(stub):
    steps = []
    for case in CASES:
        said = await stub.RouteRequest(case.question())
        assert said.target_instance_id == case.taken_by, (case, said)
        assert await answer_of(case) == case.taken_by, case
        assert said.routed is bool(case.taken_by)
        steps += said.trace
    for words in (
        'route "completions" sends the request to ailb',
        "the TLS hello is for server name live.example",
        "the first bytes are Redis",
        'listener "guarded" denies 127.0.0.9: it is in 127.0.0.9/32',
        "the detect data plane carries it",
        "the envoy data plane carries it",
    ):
        assert any(words in step for step in steps), words
