"""Bounds of a request's head, in pieces of every size."""

import asyncio

import pytest
import uvicorn
from uvicorn.server import ServerState

from marchproxy.manager.web import protocol
from marchproxy.manager.web.protocol import HEAD_BYTES, BoundedProtocol


class Wire(asyncio.Transport):
    """What the other side sees."""

    def __init__(self) -> None:
        super().__init__()
        self.written, self.closed, self.aborted = b"", False, False
        self.reader: asyncio.BaseProtocol | None = None

    def write(self, data) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def get_protocol(self):
        return self.reader

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def echo(scope, receive, send) -> None:
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    body = str(size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def connected() -> tuple[BoundedProtocol, Wire]:
    config = uvicorn.Config(echo, http=BoundedProtocol, ws="none", lifespan="off", log_config=None)
    config.load()
    made, wire = BoundedProtocol(config, ServerState(), {}), Wire()
    wire.reader = made
    made.connection_made(wire)
    return made, wire


async def fed(data: bytes, size: int) -> Wire:
    made, wire = connected()
    for start in range(0, len(data), size):
        if not wire.is_closing():
            made.data_received(data[start : start + size])
    for _ in range(300):
        await asyncio.sleep(0)
    made.connection_lost(ConnectionResetError())
    return wire


def request(*, head: int = 0, body: int = 0) -> bytes:
    lines = f"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {body}\r\nx: {'y' * head}\r\n\r\n"
    return lines.encode() + b"z" * body


@pytest.mark.parametrize("size", [1000, HEAD_BYTES, 10**6])
@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (request(), b"200 OK"),
        (request(head=60_000), b"200 OK"),
        (request(body=300_000), b"200 OK"),  # a long body that comes in one read with its head
        (request(head=60_000, body=300_000), b"200 OK"),
        (request(head=HEAD_BYTES), b"431 Request Header Fields Too Large"),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 10**6, b"431 Request Header Fields Too Large"),
        (request(body=10) + request(head=2 * HEAD_BYTES), b"431 Request Header Fields Too Large"),
    ],
)
async def test_a_head_has_a_size(data, answer, size):
    wire = await fed(data, size)
    assert answer in wire.written
    assert wire.closed is answer.startswith(b"431")


async def test_many_requests_in_one_read_are_each_small_enough():
    wire = await fed(request(head=1000) * 100, 10**6)
    assert not wire.closed
    assert wire.written.count(b"200 OK") == 100


async def test_a_head_has_a_time(monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.02)
    made, wire = connected()
    made.data_received(b"GET / HTTP/1.1\r\nx: y")
    async with asyncio.timeout(20):
        while not wire.aborted:
            await asyncio.sleep(0.01)
    made.connection_lost(None)


async def test_a_body_takes_the_time_it_takes(monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.0)
    made, wire = connected()
    made.data_received(request(body=10)[:-5])
    for _ in range(5):
        await asyncio.sleep(0.01)
    assert not wire.aborted
    made.connection_lost(None)
