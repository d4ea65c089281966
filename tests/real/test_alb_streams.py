"""Streams through the ALB: server-sent events, gRPC with its trailers, and gRPC-Web from a client that knows HTTP/1.1 only."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio

from tests.ports import free_port
from tests.real.support.alb import Alb

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: What the routes allow an answer to take.
TIMEOUT = 0.5


@asynccontextmanager
async def speaking(port: int) -> AsyncIterator[Callable[[], None]]:
    """A backend that begins an answer, and ends it once the yielded function is called."""
    go_on = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: first\n\n")
        await writer.drain()
        await go_on.wait()
        writer.write(b"data: last\n\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port)
    async with server:
        try:
            yield go_on.set
        finally:
            go_on.set()


@asynccontextmanager
async def calling() -> AsyncIterator[int]:
    """A gRPC server; yields its port."""

    async def once(request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((("x-count", str(len(request))),))
        return request

    async def refuse(request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today")
        raise AssertionError("abort raises")

    server = grpc.aio.server()
    handlers = {
        "Once": grpc.unary_unary_rpc_method_handler(once),
        "Refuse": grpc.unary_unary_rpc_method_handler(refuse),
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("echo.Echo", handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


@pytest.fixture(scope="module")
def events_port() -> int:
    return free_port()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def alb(tmp_path_factory: pytest.TempPathFactory, events_port: int) -> AsyncIterator[Alb]:
    async with calling() as port:
        state = {
            "routes": [
                {"id": "events", "hosts": ["events.test"], "timeout": TIMEOUT, "backends": ["events"]},
                {"id": "rpc", "hosts": ["rpc.test"], "backends": ["rpc"]},
            ],
            "pools": [
                {"name": "events", "endpoints": [f"127.0.0.1:{events_port}"]},
                {"name": "rpc", "protocol": "grpc", "endpoints": [f"127.0.0.1:{port}"]},
            ],
        }
        alb = Alb(tmp_path_factory.mktemp("streams"), state)
        try:
            yield await alb.start()
        finally:
            await alb.close()


@asynccontextmanager
async def listening(alb: Alb, accept: str) -> AsyncIterator[httpx.Response]:
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        url = f"http://127.0.0.1:{alb.port}/"
        async with client.stream("GET", url, headers={"host": "events.test", "accept": accept}) as answer:
            yield answer


async def test_an_event_stream_outlives_the_timeout_of_its_route(alb: Alb, events_port: int) -> None:
    async with speaking(events_port) as go_on, listening(alb, "text/event-stream") as answer:
        lines = answer.aiter_lines()
        assert await anext(lines) == "data: first"
        await asyncio.sleep(TIMEOUT * 3)  # the time is what is tested; a slow machine only makes it longer
        go_on()
        assert [line async for line in lines if line] == ["data: last"]


async def test_another_answer_does_not(alb: Alb, events_port: int) -> None:
    async with speaking(events_port), listening(alb, "*/*") as answer:
        with pytest.raises(httpx.RemoteProtocolError):
            await answer.aread()


async def test_the_trailers_of_grpc(alb: Alb) -> None:
    options = [("grpc.default_authority", "rpc.test")]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{alb.port}", options=options) as channel:
        call = channel.unary_unary("/echo.Echo/Once")(b"hello", timeout=10)
        assert await call == b"hello"
        assert dict(await call.trailing_metadata())["x-count"] == "5"
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await channel.unary_unary("/echo.Echo/Refuse")(b"", timeout=10)
        assert (error.value.code(), error.value.details()) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "not today",
        )


def frames(data: bytes) -> list[tuple[int, bytes]]:
    """https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md"""
    found = []
    while data:
        kind, length = struct.unpack(">BI", data[:5])
        found.append((kind, data[5 : 5 + length]))
        data = data[5 + length :]
    return found


async def test_grpc_web(alb: Alb) -> None:
    headers = {"host": "rpc.test", "content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
    message = struct.pack(">BI", 0, 5) + b"hello"
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        url = f"http://127.0.0.1:{alb.port}/echo.Echo/Once"
        answer = await client.post(url, headers=headers, content=message)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/grpc-web+proto")
    (kind, body), (last, trailers) = frames(answer.content)
    assert (kind, body, last) == (0, b"hello", 0x80)
    assert {b"grpc-status:0", b"x-count:5"} <= set(trailers.split(b"\r\n"))
