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
from marchproxy.model.listener import Listener
from marchproxy.model.module import InstanceId, TrafficEndpoint, Version
from marchproxy.model.module import Protocol as Served
from marchproxy.model.plan import ForwardingPlan, ListenerPlan, Target, VersionTargets
from marchproxy.model.pool import BalancePolicy
from marchproxy.nlb.dataplane.plane import Forwarding
from marchproxy.nlb.dataplane.relay import Carrier, RelayLimits
from marchproxy.nlb.dataplane.relay.link import Link
from tests.nlb_module import free_port
from tests.unit.wire.detect.crafted import FIRSTS

HEAD = b"PING\r\n"  # an inline command of Redis
MB = 1 << 20
CLIENTS = {}
LIMITS = RelayLimits(detection_seconds=1.0, silence_seconds=0.2, connect_seconds=1.0, linger_seconds=5.0)


def on_uvloop(test):
    """Run the test on the loop that the relay is made for."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        uvloop.run(test(*args, **kwargs))

    return run


def target(port, name="a", *, proxy=False, weight=100):
    endpoint = TrafficEndpoint("traffic", Served.TCP, f"127.0.0.1:{port}", proxy)
    return Target(InstanceId(name), Version("v1"), endpoint, weight)


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


def plan_of(*targets, name="redis", protocol=Served.REDIS, port=0, **more):
    """A listener in front of these targets; of several, the first that is left has the next connection."""
    listener = Listener(name, "127.0.0.1", port, protocol, balance=BalancePolicy.LEAST_CONNECTIONS, **more)
    return ListenerPlan(listener, (VersionTargets(Version("v1"), 100, targets),) if targets else ())


class Relay:
    """A carrier with one port, which the tests talk to."""

    def __init__(self, group, limits):
        self.carrier = Carrier(group, limits, SystemClock())
        self.port = free_port()

    async def apply(self, *plans, limits=()):
        placed = [replace(plan, listener=replace(plan.listener, port=self.port)) for plan in plans]
        await self.carrier.apply(Forwarding(ForwardingPlan(tuple(placed)), limits=limits), drain_seconds=0.5)

    def counts(self, name="redis"):
        return self.carrier.counts().listeners[name]

    def of(self, instance, name="redis"):
        return self.carrier.counts().endpoints[name, instance]

    def outcomes(self):
        found = Counter()
        for (_, outcome), count in self.carrier.counts().closes.items():
            found[outcome] += count
        return dict(found)

    @property
    def links(self):
        return [link for listener in self.carrier._listeners() for link in listener.links]


@asynccontextmanager
async def relaying(*targets, plans=(), limits=LIMITS, rates=(), **more):
    async with asyncio.TaskGroup() as group:
        relay = Relay(group, limits)
        await relay.apply(*(plans or [plan_of(*targets, **more)]), limits=rates)
        try:
            yield relay
        finally:
            await relay.carrier.stop(0)
            for writer in CLIENTS.pop(relay, ()):
                writer.transport.abort()


async def connect(relay, first=b""):
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port, limit=MB)
    CLIENTS.setdefault(relay, []).append(writer)
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

    async with serving(echo) as port, relaying(target(port)) as relay:
        reader, writer = await connect(relay, HEAD)
        async with asyncio.TaskGroup() as group:
            group.create_task(send(writer))
            while data := await reader.read(MB):
                received.update(data)
        writer.close()
        assert received.digest() == sent.digest()
        await until(lambda: not relay.links)
        size = rounds * MB + len(HEAD)
        assert relay.outcomes() == {"finished": 1}
        for counts in (relay.counts(), relay.of("a")):
            assert (counts.received, counts.sent, counts.total, counts.active) == (size, size, 1, 0)


@on_uvloop
async def test_half_close_by_the_client():
    async def count_then_answer(reader, writer):
        size = len(await reader.read())
        await asyncio.sleep(0.1)
        writer.write(b"%d bytes" % size)

    async with serving(count_then_answer) as port, relaying(target(port)) as relay:
        reader, writer = await connect(relay, HEAD + b"x" * 1000)
        writer.write_eof()
        assert await closed_by_peer(reader) == b"%d bytes" % (len(HEAD) + 1000)


@on_uvloop
async def test_half_close_by_the_target():
    rest = asyncio.get_running_loop().create_future()

    async def greet_then_listen(reader, writer):
        writer.write(b"greeting")
        writer.write_eof()
        rest.set_result(await reader.read())

    async with serving(greet_then_listen) as port, relaying(target(port)) as relay:
        reader, writer = await connect(relay, HEAD)
        assert await reader.read() == b"greeting"
        writer.write(b"still talking")
        writer.write_eof()
        assert await asyncio.wait_for(rest, 5) == HEAD + b"still talking"
        await until(lambda: relay.outcomes() == {"finished": 1})


@on_uvloop
async def test_byte_by_byte_arrives_whole():
    async with serving(echo) as port, relaying(target(port)) as relay:
        reader, writer = await connect(relay)
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

    async with serving(pour) as port, relaying(target(port)) as relay:
        reader, writer = await connect(relay, HEAD)
        await reader.readexactly(1)
        seen = -1
        while seen != (seen := relay.of("a").sent):
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

    async def talk(relay, number):
        reader, writer = await connect(relay, HEAD)
        await reader.readexactly(len(HEAD))
        everyone.append(number)
        await counted.wait()
        message = b"%d" % number * 100
        writer.write(message)
        writer.write_eof()
        assert await reader.read() == message
        writer.close()

    everyone, counted = [], asyncio.Event()
    async with serving(echo) as port, relaying(target(port)) as relay:
        async with asyncio.TaskGroup() as group:
            for number in range(1000):
                group.create_task(talk(relay, number))
            await until(lambda: len(everyone) == 1000, 30)
            assert relay.counts().active == 1000
            counted.set()
        await until(lambda: not relay.links)
        assert relay.outcomes() == {"finished": 1000}


# -- who gets it


@on_uvloop
async def test_one_port_many_protocols():
    arrived = asyncio.Queue(maxsize=100)

    def receive_for(protocol):
        async def receive(reader, writer):
            if protocol is Served.MYSQL:
                writer.write(b"greeting")
            arrived.put_nowait((protocol, await reader.read()))

        return receive

    expected = {
        "curl-http1": Served.HTTP,
        "h2load-h2c": Served.HTTP,
        "openssl-sni-alpn": Served.HTTPS,
        "psql-ssl": Served.POSTGRES,
        "pymongo": Served.MONGODB,
        "redis-cli": Served.REDIS,
        "ffmpeg-rtmp": Served.RTMP,
        "ssh": Served.TCP,
    }
    async with contextlib.AsyncExitStack() as stack:
        plans = []
        for protocol in (*dict.fromkeys(expected.values()), Served.MYSQL):
            port = await stack.enter_async_context(serving(receive_for(protocol)))
            plans.append(plan_of(target(port), name=protocol.value, protocol=protocol))
        relay = await stack.enter_async_context(relaying(plans=plans))
        for name, protocol in expected.items():
            _, writer = await connect(relay, FIRSTS[name])
            writer.write_eof()
            assert await asyncio.wait_for(arrived.get(), 5) == (protocol, FIRSTS[name])
            writer.close()
        reader, writer = await connect(relay)
        assert await asyncio.wait_for(reader.readexactly(8), 2) == b"greeting"
        writer.write(b"login")
        writer.write_eof()
        assert await asyncio.wait_for(arrived.get(), 5) == (Served.MYSQL, b"login")
        writer.close()
        await until(lambda: not relay.links)
        totals = {plan.listener.name: relay.counts(plan.listener.name).total for plan in plans}
        assert totals == dict.fromkeys(totals, 1) | {"http": 2}


@on_uvloop
async def test_proxy_header_comes_first():
    async with serving(echo) as port, relaying(target(port, proxy=True)) as relay:
        reader, writer = await connect(relay, HEAD)
        client_port = writer.get_extra_info("sockname")[1]
        header = await reader.readexactly(28)
        assert header[:16] == bytes.fromhex("0d0a0d0a000d0a515549540a2111000c")
        assert struct.unpack("!4s4sHH", header[16:]) == (
            b"\x7f\0\0\1",
            b"\x7f\0\0\1",
            client_port,
            relay.port,
        )
        assert await reader.readexactly(len(HEAD)) == HEAD
        writer.close()


@on_uvloop
async def test_refused_target_then_the_next():
    async with (
        serving(echo) as port,
        relaying(target(free_port(), "dead", weight=1000), target(port)) as relay,
    ):
        reader, writer = await connect(relay, HEAD)
        assert await reader.readexactly(len(HEAD)) == HEAD
        dead = relay.of("dead")
        assert (dead.failed, dead.total, dead.active, relay.of("a").active) == (1, 0, 0, 1)
        writer.close()


@pytest.mark.parametrize("dead", [0, 1, 9])
@on_uvloop
async def test_nobody_takes_it(dead):
    async with relaying(*(target(free_port(), f"dead{number}") for number in range(dead))) as relay:
        reader, _ = await connect(relay, HEAD)
        assert await closed_by_peer(reader) == b""
        assert relay.outcomes() == {"refused": 1}
        failed = sum(counts.failed for counts in relay.carrier.counts().endpoints.values())
        assert failed == min(dead, LIMITS.connect_attempts)


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
        relaying(target(deaf, "deaf", weight=1000), target(port), limits=limits) as relay,
    ):
        reader, writer = await connect(relay, HEAD)
        assert await asyncio.wait_for(reader.readexactly(len(HEAD)), 3) == HEAD
        assert relay.of("deaf").failed == 1
        writer.close()


@pytest.mark.parametrize("more", [0, MB])
@on_uvloop
async def test_client_gone_while_connecting(more):
    async with deaf_port() as deaf, relaying(target(deaf)) as relay:
        _, writer = await connect(relay, HEAD + bytes(more))
        await until(lambda: relay.of("a").active)
        await asyncio.sleep(0.1)
        reset(writer)
        await until(lambda: not relay.links)
        # beyond the high-water mark the client is not read, so that its end shows when the attempt does
        assert relay.outcomes() == {"refused" if more else "client_gone": 1}


@on_uvloop
async def test_client_gone_in_the_moment_its_target_is_there(monkeypatch):
    opened = Link.opened

    def vanish(link, side):
        opened(link, side)
        if side is not link.client:
            link.client.transport.abort()

    monkeypatch.setattr(Link, "opened", vanish)
    async with serving(echo) as port, relaying(target(port)) as relay:
        await connect(relay, HEAD)
        await until(lambda: relay.counts().total == 1 and not relay.links)
        assert relay.counts().active == relay.of("a").active == 0


@on_uvloop
async def test_dropped_in_the_moment_its_target_is_chosen(monkeypatch):
    write = Link.write

    def drop(link, data):
        write(link, data)
        link.drop()

    monkeypatch.setattr(Link, "write", drop)
    async with serving(echo) as port, relaying(target(port)) as relay:
        await connect(relay, HEAD)
        await until(lambda: relay.counts().total == 1 and not relay.links)
        assert relay.counts().active == relay.of("a").active == 0


# -- bad ends, each of them counted


@pytest.mark.parametrize("first", [b"\xff" * 64, b"hallo world\r\n", b"GET /" + b"a" * 20_000])
@on_uvloop
async def test_garbage_is_closed(first):
    async with relaying() as relay:
        reader, _ = await connect(relay, first)
        started = time.monotonic()
        assert await closed_by_peer(reader) == b""
        assert time.monotonic() - started < 0.5
        assert relay.outcomes() == {"unknown": 1}


@on_uvloop
async def test_slow_loris_is_closed_at_the_limit():
    async with relaying() as relay:
        reader, writer = await connect(relay)
        started = time.monotonic()
        with contextlib.suppress(ConnectionError):
            for byte in b"GET /" + b"a" * 100:
                if reader.at_eof() or writer.is_closing():
                    break
                writer.write(bytes((byte,)))
                await asyncio.sleep(0.1)
        assert LIMITS.detection_seconds * 0.9 < time.monotonic() - started < LIMITS.detection_seconds + 0.5
        assert relay.outcomes() == {"timeout": 1}


@on_uvloop
async def test_silence_without_mysql_is_closed_at_the_limit():
    async with relaying() as relay:
        reader, _ = await connect(relay)
        assert await closed_by_peer(reader) == b""
        assert relay.outcomes() == {"timeout": 1}


@pytest.mark.parametrize(("first", "outcome"), [(b"", "client_gone"), (b"GET / HT", "unknown")])
@on_uvloop
async def test_client_that_ends_before_it_is_known(first, outcome):
    async with relaying() as relay:
        _, writer = await connect(relay, first)
        writer.close()
        await until(lambda: relay.outcomes() == {outcome: 1})
        await until(lambda: not relay.links)


@on_uvloop
async def test_idle_connection_is_closed_and_a_busy_one_is_not():
    async with (
        serving(echo) as port,
        relaying(target(port), idle_timeout=0.6) as relay,
    ):
        idle_reader, _ = await connect(relay, HEAD)
        reader, writer = await connect(relay, HEAD)
        for _ in range(12):
            writer.write(b"x")
            await asyncio.sleep(0.1)
        assert await closed_by_peer(idle_reader) == HEAD
        assert relay.outcomes() == {"idle": 1}
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

    async with serving(watch) as port, relaying(target(port)) as relay:
        reader, writer = await connect(relay, HEAD)
        await reader.readexactly(1)
        reset(writer)
        await asyncio.wait_for(ended, 5)
        await until(lambda: relay.outcomes() == {"reset": 1})


@on_uvloop
async def test_reset_by_the_target_ends_the_client_after_what_was_sent():
    async def answer_then_reset(reader, writer):
        await reader.readexactly(len(HEAD))
        writer.write(b"last words")
        await asyncio.sleep(0.1)
        reset(writer)

    async with serving(answer_then_reset) as port, relaying(target(port)) as relay:
        reader, _ = await connect(relay, HEAD)
        assert await closed_by_peer(reader) == b"last words"
        await until(lambda: relay.outcomes() == {"reset": 1})


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

    limits = replace(LIMITS, linger_seconds=0.3)
    async with (
        serving(pour_then_reset) as port,
        relaying(target(port), limits=limits, idle_timeout=1.0) as relay,
    ):
        _, writer = await connect(relay, HEAD)
        writer.transport.pause_reading()
        await until(lambda: relay.of("a").total)
        await until(lambda: not relay.links)
        writer.close()


@on_uvloop
async def test_over_the_limit_of_connections():
    limits = replace(LIMITS, max_connections=2)
    async with serving(echo) as port, relaying(target(port), limits=limits) as relay:
        kept = [await connect(relay, HEAD) for _ in range(2)]
        for reader, _ in kept:
            await reader.readexactly(len(HEAD))
        reader, _ = await connect(relay)
        assert await closed_by_peer(reader) == b""
        counts = relay.counts()
        assert (counts.total, counts.denied, counts.active) == (2, 1, 2)
        for _, writer in kept:
            writer.close()
        await until(lambda: not relay.links)
        reader, writer = await connect(relay, HEAD)
        assert await reader.readexactly(len(HEAD)) == HEAD
        writer.close()


# -- the end


@on_uvloop
async def test_stop_waits_for_what_is_open():
    async with serving(echo) as port, relaying(target(port)) as relay:
        reader, writer = await connect(relay, HEAD)
        await reader.readexactly(len(HEAD))
        async with asyncio.TaskGroup() as group:
            stopping = group.create_task(relay.carrier.stop(10))
            await asyncio.sleep(0.1)
            with pytest.raises(ConnectionRefusedError):
                await connect(relay)
            writer.write(b"still here")
            assert await reader.readexactly(10) == b"still here"
            assert not stopping.done()
            writer.close()
        assert stopping.result() == 0
        assert relay.outcomes() == {"finished": 1}


@on_uvloop
async def test_stop_ends_the_rest_at_the_deadline():
    async with serving(echo) as port, deaf_port() as deaf:
        deaf_plan = plan_of(target(deaf), name="deaf", protocol=Served.HTTP)
        async with relaying(plans=[plan_of(target(port)), deaf_plan]) as relay:
            clients = [
                await connect(relay, HEAD),
                await connect(relay, b"GET / HTTP/1.1\r\n\r\n"),
                await connect(relay, b"GE"),
            ]
            await until(
                lambda: len(relay.links) == 3 and relay.of("a").total and relay.of("a", "deaf").active
            )
            assert await relay.carrier.stop(0.3) == 3
            for reader, _ in clients:
                await closed_by_peer(reader)
            assert relay.outcomes() == {"dropped": 3}
            assert await relay.carrier.stop(0) == 0


@on_uvloop
async def test_port_in_use():
    async with relaying() as relay, asyncio.TaskGroup() as group:
        second = Relay(group, LIMITS)
        free, second.port = second.port, relay.port
        with pytest.raises(PortInUse):
            await second.apply(plan_of())
        second.port = free
        await second.apply(plan_of())
        await second.carrier.stop(0)
