"""A pipe between two connections."""

import asyncio
import socket
from contextlib import asynccontextmanager

from marchproxy.modules.rtmp.handing.pipe import joined

MUCH = 8 * 1024 * 1024


@asynccontextmanager
async def piped():
    """The outer sockets of a pipe, and what happened to it."""
    loop, over = asyncio.get_running_loop(), []
    near, far = joined(lambda: over.append("over"))
    outer = []
    for end in (near, far):
        one, other = socket.socketpair()
        for each in (one, other):
            each.setblocking(False)
        outer.append(one)
        await loop.connect_accepted_socket(lambda end=end: end, other)
    try:
        yield (*outer, near, over)
    finally:
        for each in outer:
            each.close()
        near.abort()
        async with asyncio.timeout(20):
            while not over:
                await asyncio.sleep(0.005)
        assert over == ["over"]


async def receive(sock, size):
    loop, data = asyncio.get_running_loop(), b""
    async with asyncio.timeout(20):
        while len(data) < size and (more := await loop.sock_recv(sock, size)):
            data += more
    return data


async def test_both_ways():
    async with piped() as (one, other, _, _):
        one.send(b"there")
        other.send(b"back")
        assert await receive(other, 5) == b"there"
        assert await receive(one, 4) == b"back"


async def test_what_was_sent_before_the_end_arrives():
    async with piped() as (one, other, _, over):
        one.send(b"last words")
        one.close()
        assert await receive(other, 100) == b"last words"  # and then the end
        assert not over or over == ["over"]


async def test_who_does_not_read_makes_the_other_wait():
    async with piped() as (one, other, near, _):
        loop = asyncio.get_running_loop()
        sending = asyncio.create_task(loop.sock_sendall(one, bytes(MUCH)))
        async with asyncio.timeout(20):
            while near.transport.is_reading():
                await asyncio.sleep(0.005)
        assert not sending.done()
        assert near.other.transport.get_write_buffer_size() < 1024 * 1024
        assert len(await receive(other, MUCH)) == MUCH
        await sending
        assert near.transport.is_reading()


async def test_who_never_reads_does_not_keep_it(monkeypatch):
    monkeypatch.setattr("marchproxy.modules.rtmp.handing.pipe._LAST_SECONDS", 0.01)
    async with piped() as (one, _, near, over):
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(one, bytes(MUCH)))
        async with asyncio.timeout(20):
            while near.transport.is_reading():
                await asyncio.sleep(0.005)
            sending.cancel()
            one.close()
            near.abort()
            while not over:
                await asyncio.sleep(0.005)
