"""HTTP listeners of several module types at one address: each request finds its module, as it came."""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import replace

import grpc
import pytest
import websockets

from marchproxy.model.limit import LimitId, RateLimit
from marchproxy.model.listener import Listener, TlsTermination
from marchproxy.model.module import ModuleType, Protocol
from marchproxy.model.pool import BalancePolicy
from marchproxy.model.route import HeaderMatch, PathKind, PathMatch, Route, RouteId, RouteMatch
from marchproxy.nlb.dataplane.plane import LimitCounts
from tests.ports import free_port
from tests.real.plane_rig import Server, envoy_plane, read_proxy, talk
from tests.real.support.alb import Alb
from tests.real.support.backends import Backend
from tests.real.support.certificates import make_certificate


class Web(Server):
    """An HTTP/1.1 server that tells, as JSON, who it is, whom it sees and what it was asked."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.add(asyncio.current_task())
        try:
            client = await read_proxy(reader)
            self.seen.append(client)
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
                headers = dict(line.split(": ", 1) for line in lines[1:])
                told = {"server": self.name, "client": client, "line": lines[0], "headers": headers}
                body = json.dumps(told).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nserver: tiny\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
                )
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # cancelled only by the end of the server
        finally:
            self.tasks.discard(asyncio.current_task())
            writer.close()


def shared(**more) -> tuple[Listener, Listener]:
    web = Listener("web", "127.0.0.1", free_port(), **more)
    return web, replace(web, name="ai", module_type=ModuleType.AILB)


def route(name: str, match: RouteMatch, kind: ModuleType | None = ModuleType.AILB, **more) -> Route:
    return Route(RouteId(name), match, module_type=kind, **more)


def path(value: str, kind: PathKind = PathKind.PREFIX) -> RouteMatch:
    return RouteMatch(path=PathMatch(kind, value))


ROUTES = (
    route("by-path", path("/v1")),
    route("by-host", RouteMatch(("ai.example", "*.ai.example"))),
    route("by-header", RouteMatch(headers=(HeaderMatch("X-Model", value="small"),))),
    route("by-method", RouteMatch(path=PathMatch(value="/ask"), methods=("POST",))),
    route("higher", path("/v1/docs"), ModuleType.ALB, priority=5),
    route("any-module", path("/v1/any"), None, priority=9),  # says nothing about which
    route("elsewhere", path("/other"), listeners=("another",)),
)


ASKED = [
    ("GET", "/", {}, "alb"),
    ("GET", "/v1/chat?x=1", {}, "ailb"),
    ("GET", "/v10", {}, "alb"),
    ("GET", "/v1/docs/a", {}, "alb"),
    ("GET", "/v1/any", {}, "ailb"),
    ("GET", "/", {"host": "ai.example"}, "ailb"),
    ("GET", "/", {"host": "X.AI.example:8080"}, "ailb"),
    ("GET", "/", {"x-model": "small"}, "ailb"),
    ("GET", "/", {"x-model": "large"}, "alb"),
    ("GET", "/ask", {}, "alb"),
    ("POST", "/ask", {}, "ailb"),
    ("GET", "/other", {}, "alb"),
    ("GET", "/docs/../v1", {}, "ailb"),  # as the modules will read it
]


async def test_a_request_goes_where_the_routing_table_says(tmp_path):
    alb, ailb = Web("alb"), Web("ailb")
    web, ai = shared()
    async with envoy_plane(tmp_path, alb, ailb) as plane:
        await plane.carry((web, alb), (ai, ailb), routes=ROUTES)
        for method, url, headers, server in ASKED:
            options = ["-X", method, *(word for item in headers.items() for word in ("-H", ": ".join(item)))]
            answer = await curl(f"http://{web.address}{url}", *options)
            assert json.loads(answer)["server"] == server, (method, url, headers)
        counts = (await plane.counts()).listeners
        assert counts["web"].total == len(ASKED)
        assert counts["ai"].total == 7

        await plane.carry((web, alb), (ai, ailb), routes=ROUTES[1:])  # routes alone
        assert json.loads(await curl(f"http://{web.address}/v1/chat"))["server"] == "alb"
        assert (await plane.admin.stats("listener_modified")).values == {
            "listener_manager.listener_modified": 0
        }


async def test_a_module_sees_each_client_by_its_own_address_and_the_request_unchanged(tmp_path):
    alb, ailb, log = Web("alb"), Web("ailb"), tmp_path / "requests.json"
    web, ai = shared()
    async with envoy_plane(tmp_path, alb, ailb, connection_log={"path": str(log)}) as plane:
        await plane.carry((web, alb), (ai, ailb), routes=ROUTES)
        async with talk(web.port) as one, talk(web.port, source="127.0.0.2") as two:
            for _ in range(3):
                for client in (one, two):
                    own = "{}:{}".format(*client.writer.get_extra_info("sockname"))
                    for url, server in (("/", "alb"), ("/v1", "ailb")):
                        told = await ask(
                            client, url, "X-Forwarded-For: 192.0.2.1", "X-Request-Id: mine", "A-b: C"
                        )
                        assert (told["server"], told["client"]) == (server, own)
        headers = told["headers"]
        assert (headers["x-forwarded-for"], headers["x-request-id"]) == ("192.0.2.1", "mine")
        assert "x-envoy-expected-rq-timeout-ms" not in headers
        assert len(alb.seen) == len(ailb.seen) == 2  # one connection for each client's, used again
        await plane.until("ai", lambda seen: seen.active == 0)  # and none is left behind
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) == 12
    assert {(line["listener"], line["instance"], line["path"]) for line in lines} == {
        ("web", "alb", "/"),
        ("ai", "ailb", "/v1"),
    }
    assert all(line["client"].startswith("127.0.0.") for line in lines)


async def test_a_websocket_is_carried_both_ways(tmp_path):
    async def echo(connection) -> None:
        async for message in connection:
            await connection.send(message)

    alb = Web("alb")
    web, ai = shared()
    async with websockets.serve(echo, "127.0.0.1", 0) as server, envoy_plane(tmp_path, alb) as plane:
        behind = Server("ailb", proxied=False, port=server.sockets[0].getsockname()[1])
        await plane.carry((web, alb), (ai, behind), routes=ROUTES)
        async with websockets.connect(f"ws://{web.address}/v1/live") as client:
            for message in ("text", b"bytes", "x" * 100_000):
                await client.send(message)
                async with asyncio.timeout(20):
                    assert await client.recv() == message


async def test_grpc_streams_both_ways_and_ends_with_its_trailers(tmp_path):
    class Echo(grpc.GenericRpcHandler):
        def service(self, call):
            return grpc.stream_stream_rpc_method_handler(self.stream)

        async def stream(self, requests, context):
            async for request in requests:
                yield request
            context.set_trailing_metadata((("told", "at the end"),))
            context.set_code(grpc.StatusCode.DATA_LOSS)

    behind = grpc.aio.server()
    behind.add_generic_rpc_handlers((Echo(),))
    port = behind.add_insecure_port("127.0.0.1:0")
    await behind.start()
    alb = Web("alb")
    web, ai = shared()
    try:
        async with envoy_plane(tmp_path, alb) as plane, grpc.aio.insecure_channel(web.address) as channel:
            await plane.carry(
                (web, alb),
                (ai, Server("ailb", proxied=False, port=port)),
                routes=(route("grpc", path("/echo.Echo")),),
            )
            call = channel.stream_stream("/echo.Echo/Talk")(timeout=10)
            for text in (b"one", b"two"):
                await call.write(text)
                assert await call.read() == text  # at once, not when the stream ends
            await call.done_writing()
            with pytest.raises(grpc.aio.AioRpcError):
                await call.read()
            assert await call.code() is grpc.StatusCode.DATA_LOSS
            assert (await call.trailing_metadata())["told"] == "at the end"
    finally:
        await behind.stop(0)


async def test_an_alb_behind_sees_each_client_and_http2_goes_on(tmp_path):
    backend, ailb = Backend("shop"), Web("ailb")
    pools = [{"name": "shop", "endpoints": [backend.address]}]
    alb = Alb(
        tmp_path, {"pools": pools, "routes": [{"id": "all", "backends": [{"pool": "shop"}]}]}, proxied=True
    )
    web, ai = shared(balance=BalancePolicy.SOURCE_HASH)
    behind, behind_ai = (replace(one, name=f"proxied-{one.name}") for one in shared(proxy_protocol=True))
    async with AsyncExitStack() as stack:
        await backend.start()
        stack.push_async_callback(backend.stop)
        stack.push_async_callback(alb.close)
        await alb.start()
        plane = await stack.enter_async_context(envoy_plane(tmp_path, ailb))
        server = Server("alb", port=alb.proxied)
        await plane.carry((web, server), (ai, ailb), (behind, server), (behind_ai, ailb), routes=ROUTES)
        for number in (7, 8):
            header = f"PROXY TCP4 198.51.100.{number} 127.0.0.1 4711 80\r\n".encode()
            async with talk(behind.port, send=header) as client:
                told = await ask(client, "/echo", "X-Forwarded-For: 192.0.2.1")
                assert told["headers"]["x-forwarded-for"] == f"192.0.2.1,198.51.100.{number}"
                assert (await ask(client, "/v1"))["client"] == f"198.51.100.{number}:4711"
        command = ("h2load", "-n", "400", "-c", "8", "-m", "10", f"http://{web.address}/")
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        async with asyncio.timeout(30):
            out, _ = await process.communicate()
        assert b"400 succeeded, 0 failed" in out, out
        assert backend.served == 402


async def test_limits_and_networks_hold_for_the_connections_of_the_port(tmp_path):
    alb, ailb = Web("alb"), Web("ailb")
    web, ai = shared(deny=("127.0.0.2",))
    few = RateLimit(LimitId("few"), "listener:web", per_hour=3)
    async with envoy_plane(tmp_path, alb, ailb) as plane:
        await plane.carry((web, alb), (ai, ailb), routes=ROUTES, limits=(few,))
        answers = [await curl(f"http://{web.address}/v1") for _ in range(5)]
        assert [bool(answer) for answer in answers] == [True, True, True, False, False]
        assert await curl(f"http://{web.address}/", "--interface", "127.0.0.2") == ""
        counts = await plane.counts()
        assert counts.limits == {"few": LimitCounts(allowed=3, denied=2)}
        assert (counts.listeners["web"].denied, counts.listeners["web"].total) == (3, 6)


async def test_over_tls_requests_are_routed_as_in_the_clear(tmp_path):
    alb, ailb, certificate = Web("alb"), Web("ailb"), make_certificate(tmp_path, "one.example")
    tls = TlsTermination(str(certificate), str(certificate.with_suffix(".key")))
    web, ai = shared(protocol=Protocol.HTTPS, tls=tls)
    resolved = ("--cacert", str(certificate), "--resolve", f"one.example:{web.port}:127.0.0.1", "--http1.1")
    async with envoy_plane(tmp_path, alb, ailb) as plane:
        await plane.carry((web, alb), (ai, ailb), routes=ROUTES)
        for url, server in (("/", "alb"), ("/v1", "ailb")):
            answer = json.loads(await curl(f"https://one.example:{web.port}{url}", *resolved))
            assert (answer["server"], answer["headers"]["x-forwarded-proto"]) == (server, "https")


async def test_nonsense_and_slow_requests_end_in_a_close_or_a_400(tmp_path):
    alb, ailb = Web("alb"), Web("ailb")
    web, ai = shared()
    async with envoy_plane(tmp_path, alb, ailb) as plane:
        await plane.carry((web, alb), (ai, ailb), routes=ROUTES)
        for sent in (
            b"\0\1\2\3\r\n\r\n",
            b"GET\r\n\r\n",
            b"\x16\x03\x01\x02\0\1",
            b"GET / HTTP/1.1\r\n" + b"x" * 100_000,
        ):
            async with talk(web.port, send=sent) as client:
                assert await client.ended()
        assert alb.seen == ailb.seen == []


async def curl(url: str, *options: str) -> str:
    """The answer's body; empty when there is none."""
    process = await asyncio.create_subprocess_exec(
        "curl", "-s", "-m", "10", "--path-as-is", *options, url, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return out.decode()


async def ask(client, url: str, *headers: str) -> dict:
    """One request on an open connection, and what the server tells about it."""
    lines = (f"GET {url} HTTP/1.1", "host: web.example", *headers, "", "")
    client.writer.write("\r\n".join(lines).encode())
    async with asyncio.timeout(20):
        head = (await client.reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        return json.loads(await client.reader.readexactly(size))
