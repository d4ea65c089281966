"""The detect data plane behind a real NLB: choice by first bytes, shares of versions, deaths of instances, NLB and worker."""

import asyncio
import contextlib
import hashlib
import json
import math
import os
import signal
import socket
import sys
import urllib.request
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from marchproxy.contract.document import encode
from marchproxy.contract.pb import nlb_pb2, types_pb2
from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.module import ModuleType, Protocol, Version
from marchproxy.model.route import VersionWeight
from marchproxy.model.state import DesiredState
from tests.nlb_module import TinyModule
from tests.ports import free_port
from tests.real.nlb_rig import NlbProcess, nlb_process, until
from tests.real.plane_rig import hello, talk
from tests.real.support.fronts import Front, takes_traffic

MB = 1 << 20
REDIS = {"protocol": types_pb2.PROTOCOL_REDIS, "module_type": types_pb2.MODULE_TYPE_DBLB}
PING = b"PING\r\n"


@dataclass
class Instance(TinyModule):
    """A module of any type with one endpoint of any protocol, which requires PROXY protocol v2."""

    protocol: int = types_pb2.PROTOCOL_TCP
    module_type: int = types_pb2.MODULE_TYPE_ALB

    def message(self):
        message = super().message()
        message.module_type = self.module_type
        message.traffic_endpoints[0].protocol = self.protocol
        return message


def at(port, name, protocol, module_type=ModuleType.ALB, **more):
    return Listener(name, "127.0.0.1", port, Protocol(protocol), module_type, **more)


@asynccontextmanager
async def nlb_before(directory, listeners, *instances: Instance):
    """An NLB with these listeners, and the instances, registered and in the plan."""
    async with AsyncExitStack() as stack:
        for instance in instances:
            await stack.enter_async_context(instance.running())
        nlb, stub = await stack.enter_async_context(nlb_process(directory, *listeners, heartbeat=60))
        for instance in instances:
            assert (await instance.register(stub)).success
        await takes_traffic(stub, *instances)
        yield nlb, stub


def closes(nlb: NlbProcess) -> dict[str, int]:
    """How connections ended, by the NLB's own metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{nlb.metrics_port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found = Counter()
    for family in text_string_to_metric_families(text):
        if family.name == "marchproxy_nlb_closed_connections":
            for sample in family.samples:
                found[sample.labels["outcome"]] += int(sample.value)
    return dict(found)


async def answer_to(port, first, *, slowly=False) -> list[str]:
    """The first line that comes back, in words: instance, version, client, what it read."""
    async with talk(port, send=b"" if slowly else first) as conversation:
        if slowly:
            size = len(first) // 40 + 1  # byte by byte, but for hellos: those must be done within seconds
            for start in range(0, len(first), size):
                conversation.writer.write(first[start : start + size])
                await conversation.writer.drain()
                await asyncio.sleep(0.002)
        return (await conversation.line()).split()


async def test_the_first_bytes_choose(tmp_path):
    port = free_port()
    listeners = [
        at(port, "web", "http"),
        at(port, "cache", "redis", ModuleType.DBLB),
        at(port, "a", "https", ModuleType.AILB, server_names=("a.example",)),
        at(port, "b", "https", ModuleType.RTMP, server_names=("*.example",)),
    ]
    instances = [
        Instance("web", protocol=types_pb2.PROTOCOL_HTTP),
        Instance("cache", **REDIS),
        Instance("a", protocol=types_pb2.PROTOCOL_HTTPS, module_type=types_pb2.MODULE_TYPE_AILB),
        Instance("b", protocol=types_pb2.PROTOCOL_HTTPS, module_type=types_pb2.MODULE_TYPE_RTMP),
    ]
    asked = {
        b"GET / HTTP/1.1\r\n\r\n": "web",
        b"PING\r\n": "cache",
        hello("a.example") + b"\n": "a",
        hello("b.example") + b"\n": "b",
    }
    async with nlb_before(tmp_path, listeners, *instances) as (nlb, _):
        for first, name in asked.items():
            for slowly in (False, True):
                words = await answer_to(port, first, slowly=slowly)
                assert words[0] == name, first
        refused = [b"\xff" * 40, hello("elsewhere.test"), b"GET / HT"]
        for first in refused:
            async with talk(port, send=first) as conversation:
                conversation.writer.write_eof()
                with contextlib.suppress(ConnectionError):
                    assert await conversation.ended()
        async with talk(port) as silent:
            assert await silent.ended()  # half a minute would be a hang
        await until(lambda: _are(nlb, unknown=3, timeout=1), seconds=20)


async def _are(nlb, **wanted) -> bool:
    found = await asyncio.to_thread(closes, nlb)
    return wanted.items() <= found.items()


async def test_half_close_and_much_in_both_directions(tmp_path):
    port = free_port()
    total, block = 100 * MB, os.urandom(MB)

    async def mirror(reader, writer):
        digest = hashlib.sha256()
        while data := await reader.read(MB):
            digest.update(data)
            writer.write(data)
            await writer.drain()
        writer.write(digest.digest())
        writer.close()

    server = await asyncio.start_server(mirror, "127.0.0.1", 0, limit=MB)
    front = Front("bulk", types_pb2.MODULE_TYPE_ALB, types_pb2.PROTOCOL_TCP, _port(server))
    listener = at(port, "bulk", "tcp", data_plane=DataPlaneKind.DETECT)
    async with nlb_process(tmp_path, listener, heartbeat=60) as (_, stub), front.registered(stub):
        await takes_traffic(stub, front)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=MB)
        sent, received, tail = hashlib.sha256(), hashlib.sha256(), b""

        async def send():
            for number in range(total // MB):
                data = number.to_bytes(4) + block[4:]
                sent.update(data)
                writer.write(data)
                await writer.drain()
            writer.write_eof()

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(send())
            while data := await reader.read(MB):
                tail += data
                received.update(tail[:-32])
                tail = tail[-32:]
        assert received.digest() == sent.digest() == tail
        writer.close()
    server.close()


def _port(server) -> int:
    return _port_of(server.sockets[0])


def _port_of(sock) -> int:
    return sock.getsockname()[1]


async def test_versions_have_their_shares(tmp_path):
    port = free_port()
    weights = tuple(VersionWeight(Version(version), weight) for version, weight in (("v1", 70), ("v2", 30)))
    listener = at(port, "raw", "tcp", data_plane=DataPlaneKind.DETECT, version_weights=weights)
    instances = [Instance("a"), Instance("b"), Instance("c", "v2")]
    async with nlb_before(tmp_path, [listener], *instances):
        found = Counter([(await answer_to(port, b"hello\n"))[1] for _ in range(400)])
    expected = {"v1": 280.0, "v2": 120.0}
    chi2 = sum((found[version] - share) ** 2 / share for version, share in expected.items())
    assert math.erfc(math.sqrt(chi2 / 2)) > 1e-4, found  # one degree of freedom


_ECHO = """
import asyncio, sys
async def serve(reader, writer):
    while line := await reader.readline():
        writer.write(sys.argv[1].encode() + b"\\n")
    writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@asynccontextmanager
async def instance_process(name):
    """A server in a process of its own, that names itself for each line; gives the process and its port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _ECHO, name, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process, int(await process.stdout.readline())
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_an_instance_that_is_killed_costs_no_later_connection(tmp_path):
    port = free_port()
    listener = at(port, "cache", "redis", ModuleType.DBLB)
    other = at(port, "web", "http")
    async with (
        instance_process("a") as (_, port_a),
        instance_process("b") as (victim, port_b),
        nlb_process(tmp_path, listener, other, heartbeat=60) as (_, stub),
        AsyncExitStack() as stack,
    ):
        fronts = [
            Front(n, REDIS["module_type"], REDIS["protocol"], p) for n, p in (("a", port_a), ("b", port_b))
        ]
        for front in fronts:
            await stack.enter_async_context(front.registered(stub))
        await takes_traffic(stub, *fronts)
        killed = asyncio.Event()
        later, before = [], []

        async def work():
            while len(later) < 400:
                results = later if killed.is_set() else before
                try:
                    results.append((await answer_to(port, PING))[0])
                except (ConnectionError, IndexError) as error:
                    results.append(repr(error))

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(work())
            await until(lambda: _reached(before, 100))
            victim.kill()
            await victim.wait()
            killed.set()
        assert set(before) >= {"a", "b"}
        assert Counter(later) == {"a": len(later)}


async def _reached(results, count):
    return len(results) >= count


async def test_connections_outlive_a_killed_nlb(tmp_path):
    port = free_port()
    listener = at(port, "raw", "tcp", data_plane=DataPlaneKind.DETECT)
    async with nlb_before(tmp_path, [listener], Instance("a")) as (nlb, _):
        pid = relay_pid(tmp_path)
        async with talk(port, send=b"hello\n") as kept:
            assert (await kept.line()).startswith("a v1")
            await nlb.kill()
            assert (await answer_to(port, b"hello\n"))[0] == "a"
            await nlb.start()
            assert relay_pid(tmp_path) == pid
            assert (await answer_to(port, b"hello\n"))[0] == "a"
            kept.writer.write(b"still here\n")
            assert (await kept.line()).endswith("still here")


async def test_an_nlb_that_cannot_take_over_leaves_what_is_relayed_alone(tmp_path):
    port = free_port()
    listener = at(port, "raw", "tcp", data_plane=DataPlaneKind.DETECT)
    async with (
        nlb_before(tmp_path, [listener], Instance("a")) as (nlb, _),
        talk(port, send=b"hello\n") as kept,
    ):
        assert await kept.line()
        good, pid = nlb.desired, relay_pid(tmp_path)
        await nlb.kill()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            for plane in (DataPlaneKind.DETECT, DataPlaneKind.ENVOY):
                second = at(_port_of(taken), "second", "tcp", data_plane=plane)
                nlb.desired = DesiredState(listeners=(listener, second))
                assert await nlb.start(expect_ready=False) == ""
                assert "already in use" in await nlb.failure()
        assert (await answer_to(port, b"hello\n"))[0] == "a"
        nlb.desired = good
        await nlb.start()
        assert relay_pid(tmp_path) == pid
        kept.writer.write(b"still here\n")
        assert (await kept.line()).endswith("still here")


async def test_a_worker_that_is_killed_comes_back(tmp_path):
    port = free_port()
    listener = at(port, "raw", "tcp", data_plane=DataPlaneKind.DETECT)
    async with nlb_before(tmp_path, [listener], Instance("a")):
        pid = relay_pid(tmp_path)
        os.kill(pid, signal.SIGKILL)

        async def serves():
            with contextlib.suppress(ConnectionError, IndexError):
                return (await answer_to(port, b"hello\n"))[0] == "a"
            return False

        await until(serves, seconds=20)
        assert relay_pid(tmp_path) != pid


async def test_a_port_moves_between_envoy_and_the_relay(tmp_path):
    port = free_port()
    web = at(port, "web", "http")
    alone, shared = (web,), (web, at(port, "cache", "redis", ModuleType.DBLB))
    ask = b"GET / HTTP/1.1\r\n\r\n"
    instances = (Instance("a", protocol=types_pb2.PROTOCOL_HTTP), Instance("r", **REDIS))
    refused: list[float] = []
    async with AsyncExitStack() as stack:
        for instance in instances:
            await stack.enter_async_context(instance.running())
        _, stub = await stack.enter_async_context(nlb_process(tmp_path, *alone, heartbeat=60))
        for instance in instances:
            assert (await instance.register(stub)).success
        await takes_traffic(stub, instances[0])
        moved = asyncio.Event()

        async def knock():
            """Connect all the while; what is refused is refused only for the moment in which nobody has the port."""
            loop = asyncio.get_running_loop()
            while not moved.is_set():
                try:
                    assert (await answer_to(port, ask))[:1] in (["a"], [])
                except ConnectionError:
                    refused.append(loop.time())
                await asyncio.sleep(0.001)

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(knock())
            for listeners, plane in ((shared, "detect"), (alone, "envoy"), (shared, "detect")):
                async with talk(port, send=ask) as kept:
                    assert (await kept.line()).startswith("a v1")
                    await configure(stub, *listeners)
                    assert await carriers(stub) == {listener.name: plane for listener in listeners}
                    assert (await answer_to(port, ask))[0] == "a"
            await takes_traffic(stub, instances[1])
            assert (await answer_to(port, PING))[0] == "r"
            moved.set()


async def configure(stub, *listeners):
    config = types_pb2.ConfigUpdate(
        config_type="state", config_data=encode(DesiredState(listeners=listeners))
    )
    answer = await stub.UpdateNLBConfig(nlb_pb2.UpdateNLBConfigRequest(config=config), timeout=20)
    assert answer.success, answer


async def carriers(stub) -> dict[str, str]:
    status = await stub.GetNLBStatus(nlb_pb2.GetNLBStatusRequest(), timeout=10)
    return {listener.name: listener.data_plane for listener in status.listeners}


def relay_pid(directory) -> int:
    """The worker's, as its pid file has it."""
    return json.loads((directory / "nlb-1/relay/0.pid").read_text())["pid"]
