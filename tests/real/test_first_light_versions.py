"""Versions and numbers of ALB instances behind one NLB: shares of new connections, and instances that come and go."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import pytest_asyncio

from marchproxy.contract.pb import module_pb2, module_pb2_grpc, nlb_pb2, types_pb2
from tests.real.support.backends import serving
from tests.real.support.load import Tally, ask, load
from tests.real.support.system import System, running

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """Two instances of different versions. Each is told over gRPC to use a backend of its own, which names it."""
    async with serving("blue", "green") as (blue, green):
        state = {
            "routes": [{"id": "web", "backends": ["blue"]}],
            "pools": [
                {"name": "blue", "endpoints": [blue.address]},
                {"name": "green", "endpoints": [green.address]},
            ],
        }
        versions = {"alb-1": "v1", "alb-2": "v2"}
        async with running(tmp_path_factory.mktemp("versions"), state, versions) as system:
            await send_to_green(system.alb_stub("alb-2"))
            yield system


async def send_to_green(stub: module_pb2_grpc.ModuleServiceStub) -> None:
    route = types_pb2.Route(route_id="web", backends=[types_pb2.BackendRef(pool="green", weight=100)])
    answer = await stub.UpdateRoutes(module_pb2.UpdateRoutesRequest(routes=[route]), timeout=10)
    assert answer.success, answer


@asynccontextmanager
async def traffic(port: int) -> AsyncIterator[list[Tally]]:
    """Keep-alive connections and connections for one request."""
    async with AsyncExitStack() as stack:
        kept = await stack.enter_async_context(load(port, pause=0.003))
        new = await stack.enter_async_context(load(port, connections=2, pause=0.003, keep_alive=False))
        await kept.more(50)
        yield [kept, new]


def bad(tallies: list[Tally]) -> list[str]:
    return [what for tally in tallies for what in tally.bad()]


async def new_connections(port: int, count: int) -> Counter[str]:
    """Who answered on so many connections."""
    seen: Counter[str] = Counter()
    for _ in range(count):
        ((status, name),) = (await ask(port, 1)).answers
        assert status == 200
        seen[name] += 1
    return seen


async def weigh(system: System, **weights: int) -> None:
    answer = await system.configure(system.state(version_weights=weights))
    assert answer.success, answer


async def open_connection(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    return reader, writer


async def answer_on(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> str:
    reader, writer = connection
    writer.write(b"GET / HTTP/1.1\r\nhost: web.test\r\n\r\n")
    async with asyncio.timeout(20):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        return (await reader.readexactly(length)).decode()


@asynccontextmanager
async def held_connections(port: int, count: int) -> AsyncIterator[Counter[str]]:
    """Who answered on so many connections that stay open, each made when the one before it had its answer."""
    connections, seen = [], Counter()
    try:
        for _ in range(count):
            connections.append(await open_connection(port))
            seen[await answer_on(connections[-1])] += 1
        yield seen
    finally:
        for _, writer in connections:
            writer.close()


@pytest.mark.parametrize(("weights", "share", "within"), [
    ({"v1": 90, "v2": 10}, 10, 3),
    ({"v1": 50, "v2": 50}, 50, 5),
    ({"v1": 0, "v2": 100}, 100, 0),
    ({"v1": 100, "v2": 0}, 0, 0),
])  # fmt: skip
async def test_version_weights_split_new_connections(
    system: System, weights: dict[str, int], share: float, within: float
) -> None:
    await weigh(system, **weights)
    seen = await new_connections(system.port, 400)
    assert 100 * seen["green"] / seen.total() == pytest.approx(share, abs=within)


async def test_established_connections_survive_a_change_of_weights(system: System) -> None:
    await weigh(system, v1=50, v2=50)
    connections = [await open_connection(system.port) for _ in range(20)]
    try:
        before = [await answer_on(connection) for connection in connections]
        assert set(before) == {"blue", "green"}
        for weights in ({"v1": 100, "v2": 0}, {"v1": 0, "v2": 100}, {"v1": 90, "v2": 10}):
            await weigh(system, **weights)
            assert [await answer_on(connection) for connection in connections] == before
    finally:
        for _, writer in connections:
            writer.close()


async def test_a_new_configuration_of_the_nlb_leaves_what_a_module_was_told(system: System) -> None:
    """The module learns that the NLB runs another document; its own file has not changed."""
    for share in (60, 40):
        await weigh(system, v1=100 - share, v2=share)
        await asyncio.sleep(2.5)  # two heartbeats
        assert set(await new_connections(system.port, 60)) == {"blue", "green"}
    routes = await system.alb_stub("alb-2").GetRoutes(module_pb2.GetRoutesRequest(), timeout=20)
    assert [backend.pool for backend in routes.routes[0].backends] == ["green"]


async def test_a_version_that_leaves_under_load_costs_no_request(system: System) -> None:
    await weigh(system, v1=50, v2=50)
    async with traffic(system.port) as tallies:
        for tally in tallies:
            await tally.more(100)
        assert {name for _, name in tallies[0].answers + tallies[1].answers} == {"blue", "green"}
        assert await system.albs["alb-2"].stop() == 0
        await system.targets({"alb-1"})
        for tally in tallies:
            tally.answers.clear()
            await tally.more(100)
        assert {name for tally in tallies for _, name in tally.answers} == {"blue"}
        await system.albs["alb-2"].start()  # and comes back, with what it was told
        await system.targets({"alb-1", "alb-2"})
        for tally in tallies:
            await tally.more(100)
    assert bad(tallies) == []
    assert set(await new_connections(system.port, 60)) == {"blue", "green"}


async def test_scaling_starts_and_drains_a_real_instance(system: System) -> None:
    await weigh(system, v1=100, v2=0)
    stub = system.alb_stub("alb-1")

    async def scale(count: int) -> module_pb2.ScaleResponse:
        config = types_pb2.ScalingConfig(min_instances=count, max_instances=count)
        request = module_pb2.ScaleRequest(config=config, immediate=True)
        return await stub.Scale(request, timeout=20)

    async with traffic(system.port) as tallies:
        answer = await scale(2)
        assert answer.success, answer
        assert (answer.current_instances, answer.desired_instances) == (2, 2)
        await system.targets({"alb-1", "alb-1.2"})
        info = await system.nlb_stub().GetModuleInfo(
            nlb_pb2.GetModuleInfoRequest(instance_id="alb-1.2"), timeout=5
        )
        assert info.instance.version == "v1"
        port = int(info.instance.address.rpartition(":")[2])
        await send_to_green(module_pb2_grpc.ModuleServiceStub(system.channel(port)))
        # the new one has the fewest connections and gets the next ones, until it has as many as the other
        async with held_connections(system.port, 60) as seen:
            assert seen["green"] > 15
            assert seen["blue"] > 15
        answer = await scale(1)
        assert answer.success, answer
        assert answer.current_instances == 1
        await system.targets({"alb-1"})
        for tally in tallies:
            await tally.more(50)
    assert bad(tallies) == []
    assert set(await new_connections(system.port, 50)) == {"blue"}
    await system.members({"alb-1", "alb-2"})
