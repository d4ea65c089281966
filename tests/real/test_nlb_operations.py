"""Running an NLB: who leaves, who fails, who is not heard, and what it tells of that. Envoy, relay and kernel are real."""

import asyncio
import contextlib
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import grpc
import httpx
import pytest

from marchproxy.contract.pb import nlb_pb2, types_pb2
from marchproxy.contract.pb.module_pb2_grpc import add_ModuleServiceServicer_to_server
from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.module import Protocol
from tests.nlb_module import Service, TinyModule, modules
from tests.ports import free_port
from tests.real.nlb_rig import ask, close, nlb_process, until

HEARTBEAT = 0.5
BOTH = pytest.mark.parametrize("plane", [DataPlaneKind.ENVOY, DataPlaneKind.DETECT], ids=lambda p: p.value)


class Hanging(Service):
    """Its health is not answered while it `hangs`."""

    hangs = False

    async def HealthCheck(self, request, context):  # noqa: N802
        while self.hangs:
            await asyncio.sleep(0.05)
        return await super().HealthCheck(request, context)


@dataclass
class Module(TinyModule):
    """A tiny module that takes any bytes; `gone` stops its heartbeats."""

    gone: bool = False

    def message(self) -> types_pb2.ModuleInstance:
        message = super().message()
        message.traffic_endpoints[0].protocol = types_pb2.PROTOCOL_TCP
        return message

    async def keep_registered(self, stub, interval):
        while True:
            with contextlib.suppress(grpc.aio.AioRpcError):  # the NLB is away; it will be back
                if not self.gone and not (await self.beat(stub)).acknowledged:
                    await self.register(stub)
            await asyncio.sleep(interval)


def tcp(port: int, plane: DataPlaneKind = DataPlaneKind.ENVOY) -> Listener:
    return Listener("tcp", "127.0.0.1", port, protocol=Protocol.TCP, data_plane=plane)


@asynccontextmanager
async def system(path, plane: DataPlaneKind, *wanted: Module, heartbeat: float = HEARTBEAT):
    """An NLB with these modules, which beat and get traffic; its listener's port, process and stub."""
    port = free_port()
    async with (
        nlb_process(path, tcp(port, plane), heartbeat=heartbeat) as (nlb, stub),
        modules(*wanted),
        asyncio.TaskGroup() as group,
    ):
        beats = [group.create_task(_joined(module, stub, heartbeat)) for module in wanted]
        await until(lambda: _takers(stub, len(wanted)))
        try:
            yield port, nlb, stub
        finally:
            for beat in beats:
                beat.cancel()


async def _joined(module: Module, stub, heartbeat: float) -> None:
    assert (await module.register(stub)).success
    await module.keep_registered(stub, heartbeat / 2)


async def details(stub) -> dict[str, str]:
    status = await stub.GetNLBStatus(nlb_pb2.GetNLBStatusRequest(), wait_for_ready=True)
    return dict(status.details)


async def _takers(stub, count: int) -> bool:
    return (await details(stub))["listener tcp"].startswith(f"{count} instances")


async def info(stub, name: str) -> nlb_pb2.GetModuleInfoResponse:
    return await stub.GetModuleInfo(nlb_pb2.GetModuleInfoRequest(instance_id=name))


async def _has_health(stub, name: str, health) -> bool:
    return (await info(stub, name)).instance.health_status == health


class Connections:
    """Connections that are kept open, by the instance that they reached."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.of: dict[str, list] = {}

    async def open(self) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        name = await _say(reader, writer)
        self.of.setdefault(name, []).append((reader, writer))
        return name

    async def reach(self, *names: str) -> None:
        """Open connections until there is one to each of these."""
        async with asyncio.timeout(20):
            while not set(names) <= self.of.keys():
                await self.open()

    async def end(self, name: str) -> None:
        for _, writer in self.of.pop(name, []):
            await close(writer)

    async def alive(self, name: str) -> int:
        """How many of an instance's connections still answer."""
        return sum([bool(await _say(*connection)) for connection in self.of.get(name, [])])


async def _say(reader, writer) -> str:
    """The name of who answers a line; empty when the connection is over."""
    with contextlib.suppress(ConnectionError):
        writer.write(b"hello\n")
        async with asyncio.timeout(20):
            words = (await reader.readline()).decode().split()
        return words[0] if words else ""
    return ""


@asynccontextmanager
async def connections(port: int):
    made = Connections(port)
    try:
        yield made
    finally:
        for name in tuple(made.of):
            await made.end(name)


async def leave(stub, name: str, seconds: int) -> nlb_pb2.UnregisterModuleResponse:
    return await stub.UnregisterModule(
        nlb_pb2.UnregisterModuleRequest(instance_id=name, graceful=True, drain_timeout_seconds=seconds)
    )


@BOTH
async def test_several_drains_at_once_each_with_its_own_end(tmp_path, plane):
    wanted = [Module(name) for name in "abc"]
    async with system(tmp_path, plane, *wanted) as (port, nlb, stub), connections(port) as open_:
        await open_.reach("a", "b", "c")
        there = {name: len(found) for name, found in open_.of.items()}
        for module in wanted:
            module.gone = module.name != "c"
        async with asyncio.TaskGroup() as group:
            patient = group.create_task(leave(stub, "a", 60))
            hasty = group.create_task(leave(stub, "b", 1))
            await until(lambda: _takers(stub, 1))
            assert {(await ask(port))[0] for _ in range(10)} == {"c"}  # nothing new for those that leave
            cut = await hasty
            assert await open_.alive("a") == there["a"]  # waited for
            assert not patient.done()
            await open_.end("a")
        assert (cut.success, cut.active_connections_drained) == (True, 0)
        assert f"{there['b']} still open" in cut.message
        assert (await patient).active_connections_drained == there["a"]
        listed = await stub.ListModules(nlb_pb2.ListModulesRequest())
        assert [module.instance_id for module in listed.modules] == ["c"]
        text = await metrics(nlb)
        assert f'drained_connections_total{{result="ended"}} {there["a"]:.1f}' in text
        assert f'drained_connections_total{{result="left"}} {there["b"]:.1f}' in text


async def metrics(nlb) -> str:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"http://127.0.0.1:{nlb.metrics_port}/metrics")).text


@BOTH
async def test_a_forced_rebalance_moves_what_is_too_much(tmp_path, plane):
    a, late = Module("a"), Module("late")
    async with system(tmp_path, plane, a) as (port, nlb, stub), connections(port) as open_, modules(late):
        for _ in range(12):
            await open_.open()
        await late.register(stub)
        await until(lambda: _takers(stub, 2))
        await until(lambda: _counted(stub, "a", 12))
        gentle = await stub.RebalanceLoad(nlb_pb2.RebalanceLoadRequest())
        assert gentle.success, gentle
        assert await open_.alive("a") == 12  # only new connections are moved
        forced = await stub.RebalanceLoad(nlb_pb2.RebalanceLoadRequest(force=True))
        assert (dict(forced.connections_closed), dict(forced.connections_left)) == ({"a": 6}, {})
        await until(lambda: _counted(stub, "a", 6))
        assert await open_.alive("a") == 6
        assert 'shed_connections_total{result="closed"} 6.0' in await metrics(nlb)


async def _counted(stub, name: str, connections: int) -> bool:
    load = await stub.GetLoadDistribution(nlb_pb2.GetLoadDistributionRequest())
    return load.distribution[name].active_connections == connections


async def _sent_to(stub, name: str, port: int) -> bool:
    return f":{port}," in (await info(stub, name)).details.get("listener.tcp", "")


@BOTH
async def test_an_instance_whose_endpoint_is_dead_is_shown_degraded(tmp_path, plane):
    a, b = Module("a"), Module("b")
    async with system(tmp_path, plane, a, b) as (port, nlb, stub), connections(port) as open_:
        b.traffic_port = free_port()  # where nobody listens
        assert (await b.register(stub)).success
        await until(lambda: _sent_to(stub, "b", b.traffic_port))

        async def degraded() -> bool:
            assert await open_.open() == "a"  # another one takes it, and is the busier
            return await _has_health(stub, "b", types_pb2.HEALTH_STATUS_DEGRADED)

        await until(degraded, 40)
        found = (await info(stub, "b")).details
        assert "attempts to connect failed" in found["trouble.connects"]
        assert int(found["connects_failed"]) >= 3
        assert 'modules_in_trouble{trouble="connects"} 1.0' in await metrics(nlb)


async def test_a_module_whose_calls_fail_is_degraded_until_it_answers(tmp_path):
    a, b = Module("a"), Module("b")
    async with system(tmp_path, DataPlaneKind.ENVOY, a, b) as (port, nlb, stub), AsyncExitStack() as stack:
        await b.server.stop(0)
        await until(lambda: _asked_and_is(stub, "b", types_pb2.HEALTH_STATUS_DEGRADED), 30)
        found = (await info(stub, "b")).details
        assert "UNAVAILABLE" in found["trouble.calls"]
        assert int(found["calls_failed"]) >= 3
        assert {(await ask(port))[0] for _ in range(20)} == {"a", "b"}  # its traffic is another matter
        assert 'module_calls_total{result="failed"}' in await metrics(nlb)
        await stack.enter_async_context(_answering(b))
        await until(lambda: _asked_and_is(stub, "b", types_pb2.HEALTH_STATUS_HEALTHY), 30)


async def _asked_and_is(stub, name: str, health) -> bool:
    await stub.CheckHealth(nlb_pb2.CheckHealthRequest(check_modules=True))
    await asyncio.sleep(
        0.3
    )  # for gRPC to connect again: after five failures in a row it is left alone for seconds
    return await _has_health(stub, name, health)


@asynccontextmanager
async def _answering(module: Module):
    """The module's gRPC server once more, at the same port."""
    server = grpc.aio.server()
    add_ModuleServiceServicer_to_server(module.service, server)
    assert server.add_insecure_port(f"127.0.0.1:{module.grpc_port}") == module.grpc_port
    await server.start()
    try:
        yield
    finally:
        await server.stop(0)


async def test_an_nlb_that_hears_nobody_keeps_its_plan_and_one_that_is_refused_does_not(tmp_path):
    a, b = Module("a", service=Hanging()), Module("b", service=Hanging())
    # an interval that no busy machine makes one of the two miss alone
    async with system(tmp_path, DataPlaneKind.ENVOY, a, b, heartbeat=1.0) as (port, nlb, stub):
        for module in (a, b):
            module.gone = module.service.hangs = True
        await until(lambda: _is_cut_off(stub), 30)
        assert await _takers(stub, 2)
        assert {(await ask(port))[0] for _ in range(20)} == {"a", "b"}
        assert "marchproxy_nlb_cut_off 1.0" in await metrics(nlb)
        assert "the last plan stays" in (await info(stub, "a")).details["silence"]

        for module in (a, b):
            module.service.hangs = False  # it answers, though its heartbeats do not come
        await until(lambda: _told(stub, "a", "but it answers"), 30)
        assert await _takers(stub, 2)
        assert not await _is_cut_off(stub)

        await b.server.stop(0)
        await until(lambda: _takers(stub, 1), 30)
        assert {(await ask(port))[0] for _ in range(10)} == {"a"}

        a.gone = False
        await until(lambda: _told(stub, "a", ""), 30)
        assert "marchproxy_nlb_cut_off 0.0" in await metrics(nlb)


async def _is_cut_off(stub) -> bool:
    return "cut_off" in await details(stub)


async def _told(stub, name: str, words: str) -> bool:
    told = (await info(stub, name)).details.get("silence", "")
    return words in told if words else not told


async def test_scaling_decisions_outlive_a_restart(tmp_path):
    a = Module("a")
    async with system(tmp_path, DataPlaneKind.ENVOY, a) as (_, nlb, stub):
        request = nlb_pb2.TriggerScalingRequest(instance_id="a", scaling_action="set", target_instances=3)
        assert (await stub.TriggerScaling(request)).success
        before = (await stub.GetNLBStatus(nlb_pb2.GetNLBStatusRequest())).scaling
        await nlb.kill()
        await nlb.start()
        after = (await stub.GetNLBStatus(nlb_pb2.GetNLBStatusRequest(), wait_for_ready=True)).scaling
        assert list(after) == list(before)
        (decision,) = after
        assert (decision.way, decision.wanted_instances, decision.manual) == ("up", 3, True)


@BOTH
async def test_what_is_carried_is_told_everywhere(tmp_path, plane):
    a = Module("a")
    async with system(tmp_path, plane, a) as (port, nlb, stub), connections(port) as open_:
        await open_.open()
        for _ in range(4):
            await ask(port)
        await until(lambda: _carried(stub, "connections_total", 5))
        await until(lambda: _carried(stub, "connections_active", 1))
        text = await metrics(nlb)
        for line in (
            'marchproxy_nlb_connections{listener="tcp"} 1.0',
            'marchproxy_nlb_accepted_connections_total{listener="tcp"} 5.0',
            'marchproxy_nlb_instance_connections{instance="a",listener="tcp"} 1.0',
            f'marchproxy_nlb_listener_data_plane{{data_plane="{plane.value}",listener="tcp"}} 1.0',
        ):
            assert line in text
        (received,) = [
            line for line in text.splitlines() if line.startswith("marchproxy_nlb_received_bytes_total")
        ]
        assert float(received.split()[-1]) > 0
        assert (await info(stub, "a")).details["connects_failed"] == "0"


async def _carried(stub, name: str, value: float) -> bool:
    stream = stub.StreamNLBMetrics(nlb_pb2.StreamNLBMetricsRequest(metric_names=[name]))
    answer = await stream.read()
    stream.cancel()
    return [point.value for point in answer.metrics] == [value]
