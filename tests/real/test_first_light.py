"""Real clients through both hops, NLB and ALB: every protocol, large bodies, and changes under load."""

import asyncio
import hashlib
import json
import re
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import pytest
import pytest_asyncio
import websockets
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from marchproxy.contract.pb import module_pb2, types_pb2
from tests.real.support.backends import Backend, serving
from tests.real.support.echo import BYE, grpc_echo, websocket_echo
from tests.real.support.load import ask, load
from tests.real.support.system import System, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

# a client of its own address: the NLB's connections to the ALB come from 127.0.0.1
CLIENT = "127.0.0.77"


@dataclass
class World:
    system: System
    blue: Backend
    green: Backend


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with serving("blue", "green") as (blue, green), websocket_echo() as ws, grpc_echo() as rpc:
        state = {
            "routes": [
                {"id": "web", "backends": ["blue"], "timeout": 0},
                {"id": "ws", "path": "/ws", "backends": ["ws"]},
                {"id": "rpc", "path": "/echo.Echo", "backends": ["rpc"]},
            ],
            "pools": [
                {"name": "blue", "version": "v1", "endpoints": [blue.address]},
                {"name": "green", "version": "v2", "endpoints": [green.address]},
                {"name": "ws", "endpoints": [f"127.0.0.1:{ws}"]},
                {"name": "rpc", "protocol": "grpc", "endpoints": [f"127.0.0.1:{rpc}"]},
            ],
        }
        async with running(tmp_path_factory.mktemp("light"), state) as system:
            yield World(system, blue, green)


async def run(*command: str) -> str:
    """What a client printed; fails with its words when it fails."""
    ended = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, (command, ended.stdout, ended.stderr)
    return ended.stdout


async def test_curl_and_the_client_address(world: World) -> None:
    url = f"http://127.0.0.1:{world.system.port}/echo"
    for version in ("--http1.1", "--http2-prior-knowledge"):
        seen = json.loads(await run("curl", "-sS", version, "--noproxy", "*", "--interface", CLIENT, url))
        assert seen["name"] == "blue"
        assert seen["headers"]["x-forwarded-for"] == CLIENT


async def test_a_client_cannot_forge_its_address(world: World) -> None:
    url = f"http://127.0.0.1:{world.system.port}/echo"
    forged = ("-H", "x-forwarded-for: 10.9.9.9")
    seen = json.loads(await run("curl", "-sS", "--noproxy", "*", "--interface", CLIENT, *forged, url))
    assert seen["headers"]["x-forwarded-for"].split(",")[-1].strip() == CLIENT


async def test_wrk(world: World) -> None:
    before = world.blue.served
    said = await run("wrk", "-t1", "-c16", "-d2s", f"http://127.0.0.1:{world.system.port}/")
    assert "Non-2xx" not in said, said
    assert "Socket errors" not in said, said
    done = int(re.search(r"(\d+) requests in", said)[1])
    assert done > 200
    assert done <= world.blue.served - before <= done + 16  # those that were open when it ended


async def test_h2load_with_prior_knowledge(world: World) -> None:
    url = f"http://127.0.0.1:{world.system.port}/"
    said = await run("h2load", "-n", "3000", "-c", "4", "-m", "16", url)
    assert "Application protocol: h2c" in said, said
    assert "3000 succeeded, 0 failed, 0 errored, 0 timeout" in said, said
    assert "status codes: 3000 2xx, 0 3xx, 0 4xx, 0 5xx" in said, said


async def test_websocket(world: World) -> None:
    where = f"ws://127.0.0.1:{world.system.port}/ws"
    async with websockets.connect(where, proxy=None, max_size=4 << 20) as client:
        for message in ("hello", "", "ü" * 1000, b"\x00\xff" * 50, b"m" * (1 << 20), "m" * (1 << 20)):
            await client.send(message)
            assert await client.recv() == message
        await client.send(BYE)
        with pytest.raises(websockets.ConnectionClosedError):
            await client.recv()
        assert (client.close_code, client.close_reason) == (4001, "as you wish")


async def test_grpc(world: World) -> None:
    channel = world.system.channel(world.system.port)
    once = channel.unary_unary("/echo.Echo/Once")
    for size in (0, 5, 1 << 20):
        assert await once(b"x" * size, timeout=5) == b"x" * size
    chat = channel.stream_stream("/echo.Echo/Chat")(timeout=10)
    for number in range(100):
        await chat.write(f"message {number}".encode())
        assert await chat.read() == f"message {number}".encode()  # each comes back before the next goes
    await chat.done_writing()
    assert await chat.read() is grpc.aio.EOF
    assert await chat.code() is grpc.StatusCode.OK
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await channel.unary_unary("/echo.Echo/Refuse")(b"", timeout=5)
    assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.NOT_FOUND, "nothing here")
    assert ("x-why", "because") in tuple(refused.value.trailing_metadata())


async def test_a_hundred_megabytes_without_holding_them(world: World, tmp_path: Path) -> None:
    """The backend reads nothing for a second, so that whatever does not push back has to hold it all."""
    envoys = [world.system.nlb.envoy(), world.system.alb.envoy()]
    before = [envoy.memory_info().rss for envoy in envoys]
    most = list(before)
    block, digest = bytes(range(256)) * 4096, hashlib.sha256()
    file = tmp_path / "large"
    with file.open("wb") as out:
        for number in range(100):
            out.write(block[number:] + block[:number])
            digest.update(block[number:] + block[:number])
    url = f"http://127.0.0.1:{world.system.port}/upload/1"
    async with asyncio.TaskGroup() as group:
        upload = group.create_task(
            run("curl", "-sS", "--noproxy", "*", "-H", "expect:", "-T", str(file), url)
        )
        while not upload.done():
            most = [max(m, envoy.memory_info().rss) for m, envoy in zip(most, envoys, strict=True)]
            await asyncio.sleep(0.02)
    assert json.loads(upload.result()) == {"size": 100 << 20, "sha256": digest.hexdigest()}
    grown = [(top - start) >> 20 for top, start in zip(most, before, strict=True)]
    assert max(grown) < 60, f"MiB that the Envoys of NLB and ALB grew by: {grown}"


@pytest.mark.parametrize("service", ["NLBService", "ModuleService"])
async def test_reflection_and_health(world: World, service: str) -> None:
    part = world.system.nlb if service == "NLBService" else world.system.alb
    rpcs = {"NLBService": 21, "ModuleService": 25}

    def reflect() -> tuple[set[str], int]:
        with grpc.insecure_channel(f"127.0.0.1:{part.grpc}") as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            described = DescriptorPool(database).FindServiceByName(f"marchproxy.{service}")
            return set(database.get_services()), len(described.methods)

    services, methods = await asyncio.to_thread(reflect)
    assert {f"marchproxy.{service}", "grpc.health.v1.Health"} <= services
    assert methods == rpcs[service]
    stub = health_pb2_grpc.HealthStub(world.system.channel(part.grpc))
    for name in ("", f"marchproxy.{service}"):
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=20)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("name", ["nlb", "alb"])
async def test_operations_endpoints(world: World, name: str) -> None:
    part = world.system.nlb if name == "nlb" else world.system.alb
    async with httpx.AsyncClient(trust_env=False) as client:
        for path in ("/healthz", "/readyz"):
            assert (await client.get(f"http://127.0.0.1:{part.health}{path}")).status_code == 200
        metrics = await client.get(f"http://127.0.0.1:{part.metrics}/metrics")
    assert metrics.status_code == 200
    assert re.search(
        rf"^marchproxy_{'nlb' if name == 'nlb' else 'module'}_\S+ [0-9]", metrics.text, re.MULTILINE
    )


def _route(number: int, pool: str) -> types_pb2.Route:
    backends = [types_pb2.BackendRef(pool=pool, weight=100)]
    return types_pb2.Route(route_id=f"r{number}", path_pattern=f"/r{number}", backends=backends)


async def _seen(world: World, path: str) -> str:
    """Which backend answers the next request on a connection of its own."""
    ((status, name),) = (await ask(world.system.port, 1, path=path)).answers
    assert status == 200
    return name


async def test_200_changes_under_load(world: World) -> None:
    """Added, another pool, weights, deleted: each is what the next request sees, and none costs a request."""
    stub = world.system.alb_stub()
    port = world.system.port
    async with (
        load(port, pause=0.002) as kept,
        load(port, connections=2, pause=0.01, keep_alive=False) as new,
    ):
        for number in range(50):
            path = f"/r{number}"
            answer = await stub.UpdateRoutes(
                module_pb2.UpdateRoutesRequest(routes=[_route(number, "green")]), timeout=10
            )
            assert answer.success, answer
            assert await _seen(world, path) == "green"
            both = _route(number, "green")
            both.backends.extend([types_pb2.BackendRef(pool="blue", weight=0)])
            answer = await stub.UpdateRoutes(module_pb2.UpdateRoutesRequest(routes=[both]), timeout=10)
            assert answer.success, answer
            assert await _seen(world, path) == "green"
            weight = module_pb2.SetTrafficWeightRequest(version="v1", weight=100, route_id=f"r{number}")
            answer = await stub.SetTrafficWeight(weight, timeout=10)
            assert answer.success, answer
            assert await _seen(world, path) == "blue"
            answer = await stub.DeleteRoute(module_pb2.DeleteRouteRequest(route_id=f"r{number}"), timeout=10)
            assert answer.success, answer
            assert await _seen(world, path) == "blue"  # the route for everything
        await kept.more(100)
        await new.more(20)
    assert kept.bad() + new.bad() == []
    assert {name for _, name in kept.answers + new.answers} == {"blue"}


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("/(unclosed", "unterminated subpattern"),
        ("/(?=ahead).*", "invalid perl operator: (?="),  # sound in Python; only Envoy's RE2 refuses it
    ],
)
async def test_a_bad_route_is_refused_and_traffic_goes_on(world: World, pattern: str, reason: str) -> None:
    stub = world.system.alb_stub()
    bad = types_pb2.Route(
        route_id="bad",
        path_pattern=pattern,
        path_match=types_pb2.PATH_MATCH_KIND_REGEX,
        backends=[types_pb2.BackendRef(pool="blue")],
    )
    good = _route(1000, "green")
    before = await stub.GetRoutes(module_pb2.GetRoutesRequest(), timeout=20)
    async with load(world.system.port) as kept, load(world.system.port, keep_alive=False) as new:
        await kept.more(50)
        answer = await stub.UpdateRoutes(module_pb2.UpdateRoutesRequest(routes=[good, bad]), timeout=10)
        await kept.more(200)
        await new.more(50)
    assert not answer.success
    assert answer.error.code == types_pb2.STATUS_CODE_INVALID_ARGUMENT
    (path, words), *others = answer.error.details.items()
    assert others == []
    assert path == "routes[1].path"  # as the request has it
    assert reason in words
    assert kept.bad() + new.bad() == []
    assert await stub.GetRoutes(module_pb2.GetRoutesRequest(), timeout=20) == before
    assert await _seen(world, "/r1000") == "blue"  # the sound one of the two was not taken either
