"""Clients that cost us more than themselves: streams, frames and headers without an end, and hellos that never end.

After every one of them the next client is served.
"""

import asyncio
import struct
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.real.h2_rig import World, running
from tests.real.support.frames import (
    END_HEADERS,
    END_STREAM,
    REQUEST,
    Code,
    Frames,
    Kind,
    frame,
    frames,
    headers,
    setting,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

POST = ((":method", "POST"), *REQUEST[1:])
SLOW = (*REQUEST[:3], (":path", "/slow/5"))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with running(tmp_path_factory.mktemp("floods")) as world:
        yield world


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def others_are_served(world: World) -> AsyncIterator[None]:
    yield
    assert await world.serves()


async def test_streams_beyond_the_number_that_was_told(world: World) -> None:
    async with world.h2() as client:
        streams = range(1, 401, 2)
        client.send(*(headers(stream, (*REQUEST[:3], (":path", "/slow/1"))) for stream in streams))
        heard = await client.until(*streams)
    served = [stream for stream, status in heard.statuses.items() if status == 200]
    assert heard.closed or len(served) + len(heard.resets) == len(streams)
    assert len(served) <= 100
    assert set(heard.resets.values()) <= {Code.REFUSED_STREAM, Code.PROTOCOL_ERROR}


async def flood(client: Frames, unit: bytes) -> None:
    """Send it again and again until the server has had enough; fails when it never has."""
    try:
        async with asyncio.timeout(60):
            while not client.writer.transport.is_closing():
                client.send(unit)
                await client.writer.drain()
                await asyncio.sleep(0)
    except ConnectionError:
        pass


FLOODS = {
    "SETTINGS": frame(Kind.SETTINGS, setting(4, 65_535)) * 100,
    "PING": frame(Kind.PING, bytes(8)) * 100,
    "PRIORITY": frame(Kind.PRIORITY, struct.pack("!IB", 0, 1), stream=1) * 100,
    "WINDOW_UPDATE": frame(Kind.WINDOW_UPDATE, struct.pack("!I", 1)) * 100,
    "empty DATA": frame(Kind.DATA, b"", stream=1) * 100,
}


@pytest.mark.parametrize("unit", FLOODS.values(), ids=FLOODS.keys())
async def test_frames_that_cost_only_us_are_bounded(world: World, unit: bytes) -> None:
    async with frames(world.alb.port, deaf=True) as client:
        client.send(headers(1, POST, flags=END_HEADERS))
        await flood(client, unit)


async def test_header_blocks_without_an_end(world: World) -> None:
    async with frames(world.alb.port, deaf=True) as client:
        client.send(headers(1, flags=END_STREAM))
        line = b"\x00\x01a\x7f\x81\x01" + b"b" * 256
        await flood(client, frame(Kind.CONTINUATION, line, stream=1))


async def test_empty_continuations_without_an_end(world: World) -> None:
    async with frames(world.alb.port, deaf=True) as client:
        client.send(headers(1, flags=END_STREAM))
        await flood(client, frame(Kind.CONTINUATION, b"", stream=1) * 100)


async def test_requests_that_are_taken_back_at_once(world: World) -> None:
    """Rapid reset, CVE-2023-44487."""
    served = world.backend.served
    async with frames(world.alb.port) as client:
        cancel = struct.pack("!I", Code.CANCEL)
        for stream in range(1, 40_001, 2):
            client.send(headers(stream, SLOW), frame(Kind.RST_STREAM, cancel, stream=stream))
        heard = await client.until()
    assert heard.closed
    assert world.backend.served - served < 1_000


async def test_clients_that_never_finish_their_hello_are_closed_and_hold_up_nobody(world: World) -> None:
    async def dawdle(data: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.alb.tls)
        try:
            for byte in data:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.05)
            assert await reader.read() == b""
        except ConnectionResetError:
            pass
        finally:
            writer.transport.abort()

    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    async with asyncio.timeout(40), asyncio.TaskGroup() as group:
        for number in range(60):
            group.create_task(dawdle(hello[: number % 12]))
        assert await world.serves()
