import asyncio
from contextlib import asynccontextmanager

import pytest

from bench.support.watching import Watcher


@asynccontextmanager
async def answering(*answers):
    """A server that gives these answers, one after the other, on one connection."""
    asked = []

    async def serve(reader, writer):
        for answer in answers:
            asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(answer.encode())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], asked


async def test_it_asks_until_the_answer_shows_the_change():
    old = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Change: 1\r\n\r\nok"
    async with (
        answering(old, old, old.replace("X-Change: 1", "X-Change: 2")) as (port, asked),
        Watcher.connected(port) as watcher,
    ):
        await watcher.until("team-1.example", "/items", "x-change", "2")
    assert asked == ["GET /items HTTP/1.1\r\nhost: team-1.example\r\n\r\n"] * 3


async def test_an_answer_other_than_200_is_a_failed_request():
    async with (
        answering("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n") as (port, _),
        Watcher.connected(port) as watcher,
    ):
        with pytest.raises(RuntimeError, match="503"):
            await watcher.until("team-1.example", "/items", "x-change", "2")
