"""Canaries of module versions through a real NLB: promoted, rolled back, held, and carried over a crash."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration

from marchproxy.contract.pb import module_pb2 as pb
from marchproxy.contract.pb import module_pb2_grpc, nlb_pb2, types_pb2
from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.module import Protocol
from tests.nlb_module import TinyModule, modules
from tests.ports import free_port
from tests.real import nlb_rig
from tests.real.support.backends import Backend, Request
from tests.real.support.load import Tally, load
from tests.real.support.system import System, running

pytestmark = pytest.mark.asyncio(loop_scope="module")
STEPS = (5, 25, 50, 100)
QUICK = {"heartbeat_interval": 0.4}
PATIENT = {"missed_unhealthy": 25, "missed_removed": 50}  # a busy machine is no failure


@dataclass
class Faulty(Backend):
    """A backend that fails every so many requests, so that the share of failures is no accident."""

    every: int = 0
    asked: int = 0

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        if self.every and self.asked % self.every == 0:
            request.path = "/status/500"
        await super()._answer(request, writer)


@dataclass
class Canary:
    """An NLB with an ALB of version v1 and one of version v2, each with a backend of its own.

    With `alb` it is about the versions of that one's backend pools.
    """

    system: System
    green: Faulty
    alb: str = ""
    target: str = "web"

    @property
    def stub(self) -> module_pb2_grpc.ModuleServiceStub:
        """Who can be told about the versions."""
        part = self.system.albs[self.alb] if self.alb else self.system.nlb
        return module_pb2_grpc.ModuleServiceStub(self.system.channel(part.grpc))

    async def promote(self, *, min_requests: int) -> None:
        analysis = types_pb2.RolloutAnalysis(
            interval=Duration(seconds=1),
            min_requests=min_requests,
            max_error_percent=5,
            max_error_increase_percent=1,
        )
        request = pb.PromoteVersionRequest(version="v2", steps=STEPS, route_id=self.target, analysis=analysis)
        answer = await self.stub.PromoteVersion(request, timeout=10)
        assert answer.success, answer

    async def active(self) -> pb.GetActiveVersionResponse:
        request = pb.GetActiveVersionRequest(route_id=self.target)
        return await self.stub.GetActiveVersion(request, wait_for_ready=True, timeout=10)

    async def rollout(self) -> types_pb2.RolloutStatus:
        (rollout,) = (await self.active()).rollouts
        return rollout

    async def becomes(self, phase: str) -> types_pb2.RolloutStatus:
        async with asyncio.timeout(40):
            while (rollout := await self.rollout()).phase == "ramping":
                await asyncio.sleep(0.05)
        assert rollout.phase == phase, rollout
        return rollout

    async def holds(self, words: str) -> types_pb2.RolloutStatus:
        async with asyncio.timeout(20):
            while words not in (rollout := await self.rollout()).reason:
                await asyncio.sleep(0.05)
        return rollout

    async def back_to_v1(self) -> None:
        answer = await self.stub.SetTrafficWeight(
            pb.SetTrafficWeightRequest(version="v1", weight=100, route_id="web"), timeout=10
        )
        assert answer.success, answer
        self.green.every = 0


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def both(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Canary]:
    blue, green = Backend("blue"), Faulty("green")
    async with AsyncExitStack() as stack:
        for backend in (blue, green):
            await backend.start()
            stack.push_async_callback(backend.stop)
        state = {
            "routes": [{"id": "web", "backends": ["blue"]}],
            "pools": [{"name": b.name, "endpoints": [b.address]} for b in (blue, green)],
        }
        versions = {"alb-1": "v1", "alb-2": "v2"}
        system = await stack.enter_async_context(
            running(
                tmp_path_factory.mktemp("rollouts"),
                state,
                versions,
                QUICK,
                {**QUICK, "metrics_interval": 0.2},
            )
        )
        route = types_pb2.Route(route_id="web", backends=[types_pb2.BackendRef(pool="green", weight=100)])
        answer = await system.alb_stub("alb-2").UpdateRoutes(
            pb.UpdateRoutesRequest(routes=[route]), timeout=10
        )
        assert answer.success, answer
        yield Canary(system, green)


@pytest_asyncio.fixture(loop_scope="module")
async def canary(both: Canary) -> Canary:
    await both.back_to_v1()
    return both


@asynccontextmanager
async def clients(port: int) -> AsyncIterator[Tally]:
    """A connection for each request: versions are chosen by connection."""
    async with load(port, connections=6, pause=0.004, keep_alive=False) as tally:
        yield tally


async def command(canary: Canary, *words: str) -> str:
    """What `marchproxy` prints for these words, asked of the system's NLB."""
    address = f"127.0.0.1:{canary.system.nlb.grpc}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "marchproxy", *words, "--nlb", address, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(20):
        out, _ = await process.communicate()
    assert process.returncode == 0, out
    return out.decode()


def shares(rollout: types_pb2.RolloutStatus) -> list[int]:
    return [d.percent_after for d in rollout.decisions if d.verdict == "advanced"]


async def test_a_healthy_canary_is_promoted_step_by_step(canary: Canary) -> None:
    port = canary.system.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def old_connection() -> bytes:
        writer.write(b"GET / HTTP/1.1\r\nhost: web.test\r\n\r\n")
        async with asyncio.timeout(20):
            head = await reader.readuntil(b"\r\n\r\n")
            return await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))

    try:
        assert await old_connection() == b"blue"
        async with clients(port) as tally:
            await canary.promote(min_requests=20)
            rollout = await canary.becomes("promoted")
            tally.clear()
            await tally.more(50)
            assert tally.bad() == []
        assert {body for _, body in tally.answers} == {"green"}
        assert shares(rollout) == list(STEPS)
        for decision in rollout.decisions[1:]:
            assert decision.verdict == "held" or decision.canary.requests >= 20
        assert await old_connection() == b"blue"  # what was open before is nobody's to cut
        table = await command(canary, "get", "rollouts")
        for words in ("nlb web", "promoted at 100 %", "50 → 100 %", "started at 5 %"):
            assert words in table
        assert 'rolled back from "v2" to "v1"' in await command(
            canary, "set", "rollback", "--listener", "web"
        )
    finally:
        writer.close()


async def test_three_percent_of_errors_roll_it_back_at_its_first_share(canary: Canary) -> None:
    await fails_at_its_first_share(canary, "web.test")


async def test_three_percent_of_errors_roll_back_a_pool_too(canary: Canary) -> None:
    system = canary.system
    stub = system.alb_stub("alb-1")
    pool = types_pb2.BackendPool(
        name="green-v2", version="v2", endpoints=[types_pb2.BackendEndpoint(address=canary.green.address)]
    )
    route = types_pb2.Route(
        route_id="pools",
        hosts=["pools.test"],
        backends=[
            types_pb2.BackendRef(pool="blue", weight=100),
            types_pb2.BackendRef(pool="green-v2", weight=0),
        ],
    )
    assert (await stub.UpdateBackends(pb.UpdateBackendsRequest(pools=[pool]), timeout=10)).success
    assert (await stub.UpdateRoutes(pb.UpdateRoutesRequest(routes=[route]), timeout=10)).success
    await fails_at_its_first_share(Canary(system, canary.green, "alb-1", "pools"), "pools.test")


async def fails_at_its_first_share(canary: Canary, host: str) -> None:
    canary.green.every = 33
    async with load(canary.system.port, host=host, connections=6, pause=0.004, keep_alive=False) as tally:
        await canary.promote(min_requests=100)
        rollout = await canary.becomes("rolled_back")
        seen, failed = tally.total, len(tally.failures)
        failed += sum(count for (status, _), count in tally.answers.items() if status != 200)
    assert shares(rollout) == [5]
    last = rollout.decisions[-1]
    assert last.canary.requests >= 100
    assert last.canary.failures >= 3
    assert last.baseline.failures == 0
    assert last.p_value < 0.001
    assert "errors against 0.00 % of the baseline" in last.reason
    assert failed < seen * 0.05
    assert weights(await canary.active()) == {"v1": 100, "v2": 0}


async def test_without_traffic_it_holds_and_goes_on_after_a_crash_of_the_nlb(canary: Canary) -> None:
    await canary.promote(min_requests=20)
    held = await canary.holds("held at 5 %: 0 of 20 requests seen")
    assert shares(held) == [5]
    nlb, stub = canary.system.nlb, canary.system.nlb_stub()
    before = await stub.GetNLBStatus(nlb_pb2.GetNLBStatusRequest(), timeout=20)
    await nlb.kill()
    await nlb.start()
    after = await canary.rollout()
    assert (after.phase, after.percent) == ("ramping", 5)
    assert after.decisions[0] == held.decisions[0]
    assert weights(await canary.active()) == {"v1": 95, "v2": 5}
    status = await stub.GetNLBStatus(nlb_pb2.GetNLBStatusRequest(), wait_for_ready=True, timeout=20)
    assert status.details["config_modified"] == "true"
    assert status.config_checksum == before.config_checksum  # that of the document
    async with clients(canary.system.port) as tally:
        rollout = await canary.becomes("promoted")
        assert tally.bad() == []
    assert shares(rollout) == list(STEPS)


class TcpModule(TinyModule):
    """A module of plain TCP, which reports nothing but that it lives."""

    def message(self) -> types_pb2.ModuleInstance:
        message = super().message()
        message.traffic_endpoints[0].protocol = types_pb2.PROTOCOL_TCP
        return message


async def test_a_tcp_canary_that_refuses_connections_is_rolled_back_and_nobody_notices(
    tmp_path: Path,
) -> None:
    listener = Listener(
        "raw", "127.0.0.1", free_port(), protocol=Protocol.TCP, data_plane=DataPlaneKind.ENVOY
    )
    stable, broken = TcpModule("one", "v1"), TcpModule("two", "v2")
    async with (
        modules(stable, broken),
        nlb_rig.nlb_process(tmp_path, listener) as (nlb, stub),
        asyncio.TaskGroup() as group,
        nlb_rig.grpc.aio.insecure_channel(f"127.0.0.1:{nlb.grpc_port}") as channel,
    ):
        versions = module_pb2_grpc.ModuleServiceStub(channel)
        broken.traffic_port = free_port()  # where nobody listens
        only_v1 = pb.SetTrafficWeightRequest(version="v1", weight=100)
        beats = []
        for module in (stable, broken):
            await module.register(stub)
            beats.append(group.create_task(module.keep_registered(stub, 0.2)))

        async def accepted(request: pb.SetTrafficWeightRequest) -> bool:
            return (await versions.SetTrafficWeight(request, timeout=5)).success

        await nlb_rig.until(lambda: accepted(only_v1))  # it has answered CanHandle
        await nlb_rig.until(lambda: reachable(listener.port))
        analysis = types_pb2.RolloutAnalysis(interval=Duration(seconds=2), min_requests=4)
        promote = pb.PromoteVersionRequest(version="v2", steps=[25, 50, 100], analysis=analysis)

        async def promoted() -> bool:
            return (await versions.PromoteVersion(promote, timeout=5)).success

        await nlb_rig.until(promoted)
        async with asyncio.timeout(30):
            while True:
                for _ in range(10):
                    assert (await nlb_rig.ask(listener.port))[1] == "v1"
                answer = await versions.GetActiveVersion(pb.GetActiveVersionRequest(), timeout=20)
                (rollout,) = answer.rollouts
                if rollout.phase != "ramping":
                    break
                await asyncio.sleep(0.05)
        assert rollout.phase == "rolled_back", rollout
        last = rollout.decisions[-1]
        assert last.canary.requests == last.canary.failures >= 4
        assert last.baseline.failures == 0
        assert weights(answer) == {"v1": 100, "v2": 0}
        for task in beats:
            task.cancel()


async def reachable(port: int) -> bool:
    try:
        return (await nlb_rig.ask(port))[1] == "v1"
    except (ConnectionError, TimeoutError):
        return False


def weights(answer: pb.GetActiveVersionResponse) -> Mapping[str, int]:
    return dict(answer.version_weights)
