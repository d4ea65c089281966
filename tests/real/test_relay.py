"""The relay on uvloop, between real sockets: what arrives is what was sent, and every bad end is a counted one."""

import asyncio
import contextlib
import functools
import hashlib
import os
import resource
import socket
import struct
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import uvloop

from marchproxy.kit.clock import SystemClock
from marchproxy.kit.listening import PortInUse
from marchproxy.kit.settings import HostPort
from marchproxy.model.module import InstanceId, TrafficEndpoint, Version
from marchproxy.model.module import Protocol as Served
from marchproxy.model.plan import Target
from marchproxy.nlb.dataplane.relay import Outcome, RelayLimits, RelayListener
from marchproxy.wire.detect import ALL, Protocol
from tests.nlb_module import free_port
from tests.unit.wire.detect.crafted import FIRSTS

HEAD = b"SSH-2.0-test\r\n"
MB = 1 << 20
CLIENTS = {}
LIMITS = RelayLimits(
    detection_seconds=1.0, silence_seconds=0.2, connect_seconds=1.0, idle_seconds=30.0, linger_seconds=5.0
)


def on_uvloop(test):
    """Run the test on the loop that the relay is made for."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        uvloop.run(test(*args, **kwargs))

    return run


def target(port, name="a", *, proxy=False):
    endpoint = TrafficEndpoint("traffic", Served.TCP, f"127.0.0.1:{port}", proxy)
    return Target(InstanceId(name), Version("v1"), endpoint, 100)


@asynccontextmanager
async def serving(handle):
    """A TCP server that runs `handle(reader, writer)` for each connection; gives its port."""

    async def guarded(reader, writer):
        with contextlib.suppress(ConnectionError):
            await handle(reader, writer)
        writer.close()

    server = await asyncio.start_server(guarded, "127.0.0.1", 0, backlog=2048, limit=MB)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def relaying(*targets, choose=None, limits=LIMITS, enabled=ALL):
    address = HostPort("127.0.0.1", 0)
    listener = RelayListener(
        address, choose or (lambda _detected, _peer: targets), limits, SystemClock(), enabled=enabled
    )
    async with asyncio.TaskGroup() as group:
        await listener.start(group)
        try:
            yield listener
        finally:
            await listener.stop(0)
            for writer in CLIENTS.pop(listener, ()):
                writer.transport.abort()


async def connect(listener, first=b""):
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.address.port, limit=MB)
    CLIENTS.setdefault(listener, []).append(writer)
    writer.write(first)
    return reader, writer


def reset(writer):
    """End the connection with an RST."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


async def until(condition, seconds=5.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def echo(reader, writer):
    while data := await reader.read(256 * 1024):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def closed_by_peer(reader):
    """What comes until the peer closes."""
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionError:
        return b""


# -- what arrives is what was sent


@on_uvloop
async def test_100_mb_both_ways_at_once():
    block, rounds = os.urandom(MB), 100
    sent, received = hashlib.sha256(HEAD), hashlib.sha256()

    async def send(writer):
        for number in range(rounds):
            data = number.to_bytes(4) + block[4:]
            sent.update(data)
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    async with serving(echo) as port, relaying(target(port)) as listener:
        reader, writer = await connect(listener, HEAD)
        async with asyncio.TaskGroup() as group:
            group.create_task(send(writer))
            while data := await reader.read(MB):
                received.update(data)
        writer.close()
        assert received.digest() == sent.digest()
        await until(lambda: not listener.counts().active)
        counts = listener.counts()
    size = rounds * MB + len(HEAD)
    assert counts.outcomes == {Outcome.FINISHED: 1}
    for traffic in (counts.protocols[Protocol.SSH], counts.targets["a"]):
        assert (traffic.from_client, traffic.from_target, traffic.connections) == (size, size, 1)


@on_uvloop
async def test_half_close_by_the_client():
    async def count_then_answer(reader, writer):
        size = len(await reader.read())
        await asyncio.sleep(0.1)
        writer.write(b"%d bytes" % size)

    async with serving(count_then_answer) as port, relaying(target(port)) as listener:
        reader, writer = await connect(listener, HEAD + b"x" * 1000)
        writer.write_eof()
        assert await closed_by_peer(reader) == b"%d bytes" % (len(HEAD) + 1000)


@on_uvloop
async def test_half_close_by_the_target():
    rest = asyncio.get_running_loop().create_future()

    async def greet_then_listen(reader, writer):
        writer.write(b"greeting")
        writer.write_eof()
        rest.set_result(await reader.read())

    async with serving(greet_then_listen) as port, relaying(target(port)) as listener:
        reader, writer = await connect(listener, HEAD)
        assert await reader.read() == b"greeting"
        writer.write(b"still talking")
        writer.write_eof()
        assert await asyncio.wait_for(rest, 5) == HEAD + b"still talking"
        await until(lambda: listener.counts().outcomes == {Outcome.FINISHED: 1})


@on_uvloop
async def test_byte_by_byte_arrives_whole():
    async with serving(echo) as port, relaying(target(port)) as listener:
        reader, writer = await connect(listener)
        for byte in FIRSTS["redis-cli"]:
            writer.write(bytes((byte,)))
            await asyncio.sleep(0.002)
        assert await reader.readexactly(len(FIRSTS["redis-cli"])) == FIRSTS["redis-cli"]
        writer.close()


@on_uvloop
async def test_slow_reader_holds_the_sender_back():
    total = 128 * MB
    block = os.urandom(MB)

    async def pour(reader, writer):
        await reader.readexactly(len(HEAD))
        for _ in range(total // MB):
            writer.write(block)
            await writer.drain()

    async with serving(pour) as port, relaying(target(port)) as listener:
        reader, writer = await connect(listener, HEAD)
        await reader.readexactly(1)
        seen = -1
        while seen != (seen := listener.counts().targets["a"].from_target):
            await asyncio.sleep(0.3)
        # two kernel buffers, a stream's limit here, and no more than the high-water mark and one read in the relay
        assert seen < 24 * MB
        received = 1
        while data := await reader.read(MB):
            received += len(data)
        assert received == total
        writer.close()


@on_uvloop
async def test_a_thousand_at_once():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))

    async def talk(listener, number):
        reader, writer = await connect(listener, HEAD)
        await reader.readexactly(len(HEAD))
        everyone.append(number)
        await counted.wait()
        message = b"%d" % number * 100
        writer.write(message)
        writer.write_eof()
        assert await reader.read() == message
        writer.close()

    everyone, counted = [], asyncio.Event()
    async with serving(echo) as port, relaying(target(port)) as listener:
        async with asyncio.TaskGroup() as group:
            for number in range(1000):
                group.create_task(talk(listener, number))
            await until(lambda: len(everyone) == 1000, 30)
            assert listener.counts().active == 1000
            counted.set()
        await until(lambda: not listener.counts().active)
        assert listener.counts().outcomes == {Outcome.FINISHED: 1000}


# -- who gets it


@on_uvloop
async def test_one_port_many_protocols():
    arrived = asyncio.Queue(maxsize=100)

    def receive_for(protocol):
        async def receive(reader, writer):
            if protocol is Protocol.MYSQL:
                writer.write(b"greeting")
            arrived.put_nowait((protocol, await reader.read()))

        return receive

    async with contextlib.AsyncExitStack() as stack:
        ports = {p: await stack.enter_async_context(serving(receive_for(p))) for p in Protocol}

        def choose(detected, _peer):
            return [target(ports[detected.protocol], detected.protocol.value)]

        listener = await stack.enter_async_context(relaying(choose=choose))
        expected = {
            "curl-http1": Protocol.HTTP1,
            "h2load-h2c": Protocol.HTTP2,
            "openssl-sni-alpn": Protocol.TLS,
            "psql-ssl": Protocol.POSTGRES,
            "pymongo": Protocol.MONGODB,
            "redis-cli": Protocol.REDIS,
            "ffmpeg-rtmp": Protocol.RTMP,
            "ssh": Protocol.SSH,
        }
        for name, protocol in expected.items():
            _, writer = await connect(listener, FIRSTS[name])
            writer.write_eof()
            assert await asyncio.wait_for(arrived.get(), 5) == (protocol, FIRSTS[name])
            writer.close()
        reader, writer = await connect(listener)
        assert await asyncio.wait_for(reader.readexactly(8), 2) == b"greeting"
        writer.write(b"login")
        writer.write_eof()
        assert await asyncio.wait_for(arrived.get(), 5) == (Protocol.MYSQL, b"login")
        writer.close()
        await until(lambda: not listener.counts().active)
        assert {p: t.connections for p, t in listener.counts().protocols.items()} == dict.fromkeys(
            Protocol, 1
        )


@on_uvloop
async def test_proxy_header_comes_first():
    async with serving(echo) as port, relaying(target(port, proxy=True)) as listener:
        reader, writer = await connect(listener, HEAD)
        client_port = writer.get_extra_info("sockname")[1]
        header = await reader.readexactly(28)
        assert header[:16] == bytes.fromhex("0d0a0d0a000d0a515549540a2111000c")
        assert struct.unpack("!4s4sHH", header[16:]) == (
            b"\x7f\0\0\1",
            b"\x7f\0\0\1",
            client_port,
            listener.address.port,
        )
        assert await reader.readexactly(len(HEAD)) == HEAD
        writer.close()


@on_uvloop
async def test_refused_target_then_the_next():
    async with serving(echo) as port, relaying(target(free_port(), "dead"), target(port)) as listener:
        reader, writer = await connect(listener, HEAD)
        assert await reader.readexactly(len(HEAD)) == HEAD
        targets = listener.counts().targets
        assert (targets["dead"].failed, targets["dead"].connections, targets["a"].active) == (1, 0, 1)
        writer.close()


@pytest.mark.parametrize(
    ("choose", "failed"),
    [
        (lambda _detected, _peer: (), 0),
        (lambda _detected, _peer: [target(free_port(), "dead")] * 9, LIMITS.connect_attempts),
        (lambda _detected, _peer: 1 / 0, 0),
    ],
    ids=["nobody", "all dead", "a faulty choice"],
)
@on_uvloop
async def test_nobody_takes_it(choose, failed):
    async with relaying(choose=choose) as listener:
        reader, _ = await connect(listener, HEAD)
        assert await closed_by_peer(reader) == b""
        counts = listener.counts()
        assert counts.outcomes == {Outcome.REFUSED: 1}
        assert counts.protocols[Protocol.SSH].failed == 1
        assert sum(traffic.failed for traffic in counts.targets.values()) == failed


@asynccontextmanager
async def deaf_port():
    """A port that answers no SYN: its queue is full."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        await asyncio.sleep(0.05)
        yield listener.getsockname()[1]


@on_uvloop
async def test_silent_target_then_the_next():
    limits = replace(LIMITS, connect_seconds=0.3)
    async with (
        deaf_port() as deaf,
        serving(echo) as port,
        relaying(target(deaf, "deaf"), target(port), limits=limits) as listener,
    ):
        reader, writer = await connect(listener, HEAD)
        assert await asyncio.wait_for(reader.readexactly(len(HEAD)), 3) == HEAD
        assert listener.counts().targets["deaf"].failed == 1
        writer.close()


@pytest.mark.parametrize("more", [0, MB])
@on_uvloop
async def test_client_gone_while_connecting(more):
    async with deaf_port() as deaf, relaying(target(deaf)) as listener:
        _, writer = await connect(listener, HEAD + bytes(more))
        await until(lambda: Protocol.SSH in listener.counts().protocols)
        await asyncio.sleep(0.1)
        reset(writer)
        await until(lambda: not listener.counts().active)
        # beyond the high-water mark the client is not read, so that its end shows when the attempt does
        assert listener.counts().outcomes == {Outcome.REFUSED if more else Outcome.CLIENT_GONE: 1}


# -- bad ends, each of them counted


@pytest.mark.parametrize("first", [b"\xff" * 64, b"hallo world\r\n", b"GET /" + b"a" * 20_000])
@on_uvloop
async def test_garbage_is_closed(first):
    async with relaying() as listener:
        reader, _ = await connect(listener, first)
        started = time.monotonic()
        assert await closed_by_peer(reader) == b""
        assert time.monotonic() - started < 0.5
        assert listener.counts().outcomes == {Outcome.UNKNOWN: 1}


@on_uvloop
async def test_slow_loris_is_closed_at_the_limit():
    async with relaying() as listener:
        reader, writer = await connect(listener)
        started = time.monotonic()
        with contextlib.suppress(ConnectionError):
            for byte in b"GET /" + b"a" * 100:
                if reader.at_eof() or writer.is_closing():
                    break
                writer.write(bytes((byte,)))
                await asyncio.sleep(0.1)
        assert LIMITS.detection_seconds * 0.9 < time.monotonic() - started < LIMITS.detection_seconds + 0.5
        assert listener.counts().outcomes == {Outcome.TIMEOUT: 1}


@on_uvloop
async def test_silence_without_mysql_is_closed_at_the_limit():
    async with relaying(enabled=ALL - {Protocol.MYSQL}) as listener:
        reader, _ = await connect(listener)
        assert await closed_by_peer(reader) == b""
        assert listener.counts().outcomes == {Outcome.TIMEOUT: 1}


@pytest.mark.parametrize(("first", "outcome"), [(b"", Outcome.CLIENT_GONE), (b"GET / HT", Outcome.UNKNOWN)])
@on_uvloop
async def test_client_that_ends_before_it_is_known(first, outcome):
    async with relaying() as listener:
        _, writer = await connect(listener, first)
        writer.close()
        await until(lambda: listener.counts().outcomes == {outcome: 1})
        await until(lambda: not listener.counts().active)


@on_uvloop
async def test_idle_connection_is_closed_and_a_busy_one_is_not():
    async with (
        serving(echo) as port,
        relaying(target(port), limits=replace(LIMITS, idle_seconds=0.6)) as listener,
    ):
        idle_reader, _ = await connect(listener, HEAD)
        reader, writer = await connect(listener, HEAD)
        for _ in range(12):
            writer.write(b"x")
            await asyncio.sleep(0.1)
        assert await closed_by_peer(idle_reader) == HEAD
        assert listener.counts().outcomes == {Outcome.IDLE: 1}
        assert await reader.readexactly(len(HEAD) + 12)
        writer.close()


@on_uvloop
async def test_reset_by_the_client_ends_the_target():
    ended = asyncio.get_running_loop().create_future()

    async def watch(reader, writer):
        await reader.readexactly(len(HEAD))
        writer.write(b"x")
        try:
            await reader.read()
        finally:
            ended.set_result(None)

    async with serving(watch) as port, relaying(target(port)) as listener:
        reader, writer = await connect(listener, HEAD)
        await reader.readexactly(1)
        reset(writer)
        await asyncio.wait_for(ended, 5)
        await until(lambda: listener.counts().outcomes == {Outcome.RESET: 1})


@on_uvloop
async def test_reset_by_the_target_ends_the_client_after_what_was_sent():
    async def answer_then_reset(reader, writer):
        await reader.readexactly(len(HEAD))
        writer.write(b"last words")
        await asyncio.sleep(0.1)
        reset(writer)

    async with serving(answer_then_reset) as port, relaying(target(port)) as listener:
        reader, _ = await connect(listener, HEAD)
        assert await closed_by_peer(reader) == b"last words"
        await until(lambda: listener.counts().outcomes == {Outcome.RESET: 1})


@on_uvloop
async def test_client_that_never_reads_its_end_is_aborted():
    async def pour_then_reset(reader, writer):
        await reader.readexactly(len(HEAD))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                while True:
                    writer.write(bytes(MB))
                    await writer.drain()
        reset(writer)

    limits = replace(LIMITS, linger_seconds=0.3, idle_seconds=1.0)
    async with serving(pour_then_reset) as port, relaying(target(port), limits=limits) as listener:
        _, writer = await connect(listener, HEAD)
        writer.transport.pause_reading()
        await until(lambda: listener.counts().targets)
        await until(lambda: not listener.counts().active)
        writer.close()


@on_uvloop
async def test_over_the_limit_of_connections():
    limits = replace(LIMITS, max_connections=2)
    async with serving(echo) as port, relaying(target(port), limits=limits) as listener:
        kept = [await connect(listener, HEAD) for _ in range(2)]
        for reader, _ in kept:
            await reader.readexactly(len(HEAD))
        reader, _ = await connect(listener)
        assert await closed_by_peer(reader) == b""
        counts = listener.counts()
        assert (counts.accepted, counts.turned_away, counts.active) == (2, 1, 2)
        for _, writer in kept:
            writer.close()
        await until(lambda: not listener.counts().active)
        reader, writer = await connect(listener, HEAD)
        assert await reader.readexactly(len(HEAD)) == HEAD
        writer.close()


# -- the end


@on_uvloop
async def test_stop_waits_for_what_is_open():
    async with serving(echo) as port, relaying(target(port)) as listener:
        reader, writer = await connect(listener, HEAD)
        await reader.readexactly(len(HEAD))
        async with asyncio.TaskGroup() as group:
            stopping = group.create_task(listener.stop(10))
            await asyncio.sleep(0.1)
            with pytest.raises(ConnectionRefusedError):
                await connect(listener)
            writer.write(b"still here")
            assert await reader.readexactly(10) == b"still here"
            assert not stopping.done()
            writer.close()
        assert stopping.result() == 0
        assert listener.counts().outcomes == {Outcome.FINISHED: 1}


@on_uvloop
async def test_stop_ends_the_rest_at_the_deadline():
    async with serving(echo) as port, deaf_port() as deaf:
        where = iter((port, deaf))
        async with relaying(choose=lambda _detected, _peer: [target(next(where))]) as listener:
            clients = [
                await connect(listener, HEAD),
                await connect(listener, HEAD),
                await connect(listener, b"GET"),
            ]
            await until(lambda: listener.counts().active == 3 and listener.counts().targets)
            started = time.monotonic()
            assert await listener.stop(0.3) == 3
            assert 0.25 < time.monotonic() - started < 1
            for reader, _ in clients:
                await closed_by_peer(reader)
            assert listener.counts().outcomes == Counter({Outcome.DROPPED: 3})
            assert await listener.stop(0) == 0


@on_uvloop
async def test_port_in_use():
    async with relaying() as listener, asyncio.TaskGroup() as group:
        second = RelayListener(listener.address, lambda _detected, _peer: (), LIMITS, SystemClock())
        with pytest.raises(PortInUse):
            await second.start(group)
