"""The NLB with a real Envoy, in a process of its own; modules are tiny ones that parse PROXY protocol v2."""

import asyncio
import os
import signal
import socket
from contextlib import asynccontextmanager

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from marchproxy.contract.document import encode
from marchproxy.contract.pb import nlb_pb2, types_pb2
from marchproxy.model.state import DesiredState
from tests.nlb_module import TinyModule, free_port, modules
from tests.real.nlb_rig import NlbProcess, ask, close, listener, nlb_process, until, versions_of


@asynccontextmanager
async def registered(stub, *wanted: TinyModule, beats: float = 0.3):
    """Modules that are registered, keep their heartbeats up, and get traffic."""
    async with modules(*wanted), asyncio.TaskGroup() as group:
        for module in wanted:
            await module.register(stub)
        tasks = [group.create_task(module.keep_registered(stub, beats)) for module in wanted]
        await until(lambda: gets_traffic(stub, len(wanted)))
        yield
        for task in tasks:
            task.cancel()


async def gets_traffic(stub, instances: int) -> bool:
    status = await stub.GetNLBStatus(nlb_pb2.GetNLBStatusRequest(), wait_for_ready=True)
    checks = [text for key, text in status.details.items() if key.startswith("listener ")]
    return all(text.startswith(f"{instances} instances") for text in checks)


async def configure(stub, *listeners) -> nlb_pb2.UpdateNLBConfigResponse:
    data = encode(DesiredState(listeners=listeners))
    return await stub.UpdateNLBConfig(
        nlb_pb2.UpdateNLBConfigRequest(config=types_pb2.ConfigUpdate(config_type="state", config_data=data))
    )


async def test_connections_are_split_by_version_weights_and_a_canary_step_keeps_open_ones(tmp_path):
    port = free_port()
    a, b, c = TinyModule("a", "v1"), TinyModule("b", "v1"), TinyModule("c", "v2")
    async with nlb_process(tmp_path, listener(port, v1=75, v2=25)) as (_, stub), registered(stub, a, b, c):
        assert (await versions_of(port, 200))["v2"] == pytest.approx(50, abs=2)
        assert 60 <= a.seen.total() <= 90  # two equal instances share their version's part
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"before\n")
        before = (await reader.readline()).split()[0]

        answer = await configure(stub, listener(port, v1=20, v2=80))

        assert answer.success, answer
        assert (await versions_of(port, 200))["v2"] == pytest.approx(160, abs=2)
        writer.write(b"after\n")
        assert (await reader.readline()).split()[0] == before
        await close(writer)


async def test_a_killed_nlb_is_replaced_without_a_failed_request(tmp_path):
    port = free_port()
    a, b = TinyModule("a"), TinyModule("b", "v2")
    async with nlb_process(tmp_path, listener(port)) as (nlb, stub), registered(stub, a, b, beats=0.2):
        envoy = httpx.get(f"http://127.0.0.1:{nlb.admin_port}/server_info").json()["uptime_all_epochs"]
        answered, failed, done = 0, [], asyncio.Event()

        async def load() -> None:
            nonlocal answered
            while not done.is_set():
                try:
                    await ask(port)
                    answered += 1
                except (OSError, TimeoutError) as error:
                    failed.append(repr(error))
                await asyncio.sleep(0.002)

        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(load())
            for round_ in (1, 2):
                await asyncio.sleep(0.5)
                await nlb.kill()
                await asyncio.sleep(0.5)
                await nlb.start()
                await until(lambda wanted=round_ + 1: _registered_times(wanted, a, b))
                await until(lambda: gets_traffic(stub, 2))
            done.set()
        assert failed == []
        assert answered > 200
        members = (await stub.ListModules(nlb_pb2.ListModulesRequest())).modules
        assert [m.registration_id for m in members] == [a.registration_id, b.registration_id]
        after = httpx.get(f"http://127.0.0.1:{nlb.admin_port}/server_info").json()["uptime_all_epochs"]
        assert float(after[:-1]) >= float(envoy[:-1]) + 1  # the same Envoy all along


async def _registered_times(times: int, *wanted: TinyModule) -> bool:
    return all(module.registrations >= times for module in wanted)


async def test_a_module_that_dies_without_a_word_costs_no_request(tmp_path):
    port = free_port()
    a, b = TinyModule("a"), TinyModule("b")
    async with nlb_process(tmp_path, listener(port), heartbeat=60) as (_, stub), registered(stub, a):
        async with modules(b):
            await b.register(stub)
            await until(lambda: gets_traffic(stub, 2))
        # b's sockets are gone, its registration is not
        names = [(await ask(port))[0] for _ in range(60)]
        assert set(names) == {"a"}


async def test_missed_heartbeats_take_traffic_then_the_place(tmp_path):
    port = free_port()
    a, b = TinyModule("a"), TinyModule("b")
    async with (
        nlb_process(tmp_path, listener(port), heartbeat=0.4) as (_, stub),
        registered(stub, a, beats=0.1),
        modules(b),
    ):
        await b.register(stub)
        await until(lambda: gets_traffic(stub, 2))
        await until(lambda: gets_traffic(stub, 1))  # 3 missed
        unhealthy = await stub.GetModuleInfo(nlb_pb2.GetModuleInfoRequest(instance_id="b"))
        assert unhealthy.instance.health_status == types_pb2.HEALTH_STATUS_UNHEALTHY
        assert {(await ask(port))[0] for _ in range(10)} == {"a"}
        await until(lambda: _members(stub, {"a"}))  # 6 missed
        assert not (await b.beat(stub)).acknowledged


async def _members(stub, names: set[str]) -> bool:
    return {m.instance_id for m in (await stub.ListModules(nlb_pb2.ListModulesRequest())).modules} == names


async def test_a_graceful_unregister_waits_for_open_connections(tmp_path):
    port = free_port()
    a, b = TinyModule("a", "v1"), TinyModule("b", "v2")
    async with nlb_process(tmp_path, listener(port, v1=100, v2=0)) as (_, stub), modules(a, b):
        await a.register(stub)
        await b.register(stub)
        await until(lambda: gets_traffic(stub, 1))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"one\n")
        assert (await reader.readline()).startswith(b"a ")
        assert (await configure(stub, listener(port))).success
        await until(lambda: gets_traffic(stub, 2))
        async with asyncio.TaskGroup() as group:
            leaving = group.create_task(_unregister(stub, a))
            await until(lambda: gets_traffic(stub, 1))
            assert {(await ask(port))[0] for _ in range(10)} == {"b"}
            writer.write(b"still here\n")
            assert (await reader.readline()).startswith(b"a ")
            assert not leaving.done()
            await close(writer)
            answer = await leaving
        assert answer.success, answer
        assert answer.active_connections_drained == 1
        assert await _members(stub, {"b"})


async def _unregister(stub, module: TinyModule) -> nlb_pb2.UnregisterModuleResponse:
    request = nlb_pb2.UnregisterModuleRequest(
        instance_id=module.name,
        registration_id=module.registration_id,
        graceful=True,
        drain_timeout_seconds=10,
    )
    return await stub.UnregisterModule(request)


async def test_a_port_in_use_is_refused_with_name_and_port_and_nothing_changes(tmp_path):
    port, taken = free_port(), socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # as another Envoy would have it
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    other = taken.getsockname()[1]
    a = TinyModule("a")
    with taken:
        async with nlb_process(tmp_path, listener(port)) as (_, stub), registered(stub, a):
            before = await stub.GetNLBConfig(nlb_pb2.GetNLBConfigRequest())
            answer = await configure(stub, listener(port), listener(other, "second"))
            assert not answer.success
            assert (
                f'listener "second": cannot listen on 127.0.0.1:{other}: already in use'
                in answer.error.message
            )
            after = await stub.GetNLBConfig(nlb_pb2.GetNLBConfigRequest())
            assert after.configs[0].config_data == before.configs[0].config_data
            assert (await ask(port))[0] == "a"


async def test_an_nlb_whose_port_is_taken_says_so_and_leaves_the_running_one_alone(tmp_path):
    port = free_port()
    a = TinyModule("a")
    async with nlb_process(tmp_path, listener(port)) as (nlb, stub), registered(stub, a):
        second = NlbProcess(tmp_path, nlb.desired, grpc_port=nlb.grpc_port)
        assert await second.start(expect_ready=False) == ""
        assert (
            f"nlb.grpc: cannot listen on 127.0.0.1:{nlb.grpc_port}: already in use" in await second.failure()
        )
        third = NlbProcess(tmp_path, nlb.desired)  # other ports, the same directory
        assert await third.start(expect_ready=False) == ""
        await third.failure()
        assert (await ask(port))[0] == "a"
        assert (await configure(stub, listener(port, v1=100))).success  # its Envoy still listens to it


async def test_sigterm_ends_envoy_and_a_changed_configuration_outlives_a_restart(tmp_path):
    port, added = free_port(), free_port()
    a = TinyModule("a")
    async with nlb_process(tmp_path, listener(port)) as (nlb, stub), registered(stub, a, beats=0.2):
        assert (await configure(stub, listener(port), listener(added, "added"))).success
        nlb.process.send_signal(signal.SIGTERM)
        await nlb.process.wait()
        assert nlb.process.returncode == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{nlb.admin_port}/ready")
        await nlb.start()
        await until(lambda: gets_traffic(stub, 1))
        assert (await ask(added))[0] == "a"


async def test_operations_endpoint_tells_what_is_forwarded(tmp_path):
    port = free_port()
    a = TinyModule("a")
    async with nlb_process(tmp_path, listener(port)) as (nlb, stub), registered(stub, a):
        base = f"http://127.0.0.1:{nlb.metrics_port}"
        assert httpx.get(f"{base}/readyz").json()["ready"] is True
        await versions_of(port, 5)
        text = httpx.get(f"{base}/metrics").text
        assert 'marchproxy_nlb_modules{health="healthy",standing="active",type="alb"} 1.0' in text
        assert 'marchproxy_nlb_connections{listener="web"}' in text
        assert 'marchproxy_nlb_plan_applies_total{result="ok"}' in text
        await until(lambda: _requests(stub, 5))  # counts are at most a second old


async def _requests(stub, wanted: int) -> bool:
    return (await stub.GetNLBStatus(nlb_pb2.GetNLBStatusRequest())).total_requests == wanted


async def test_plain_clients_see_the_standard_health_service(tmp_path):
    async with (
        nlb_process(tmp_path, listener(free_port())) as (nlb, _),
        grpc.aio.insecure_channel(f"127.0.0.1:{nlb.grpc_port}") as channel,
    ):
        answer = await health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service="marchproxy.NLBService")
        )
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_an_envoy_that_is_killed_is_back_with_the_same_plan(tmp_path):
    port = free_port()
    a = TinyModule("a")
    async with nlb_process(tmp_path, listener(port)) as (nlb, stub), registered(stub, a):
        health = await stub.CheckHealth(nlb_pb2.CheckHealthRequest(deep_check=True))
        pid = int(health.checks["data plane envoy"].split("pid ")[1].split(",")[0])
        os.kill(pid, signal.SIGKILL)
        await until(lambda: _answers(port))
        assert nlb.process.returncode is None


async def _answers(port: int) -> bool:
    try:
        return (await ask(port))[0] == "a"
    except OSError:
        return False


async def test_an_nlb_that_cannot_take_over_leaves_what_is_forwarded_alone(tmp_path):
    port, taken = free_port(), socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    a = TinyModule("a")
    async with nlb_process(tmp_path, listener(port)) as (nlb, stub), registered(stub, a):
        good = nlb.desired
        await nlb.kill()
        nlb.desired = DesiredState(listeners=(listener(port), listener(taken.getsockname()[1], "second")))
        with taken:
            assert await nlb.start(expect_ready=False) == ""
            assert 'listener "second": cannot listen' in await nlb.failure()
        assert (await ask(port))[0] == "a"
        nlb.desired = good
        await nlb.start()
        assert (await ask(port))[0] == "a"


async def test_a_listener_whose_port_is_taken_keeps_the_nlb_from_starting(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        nlb = NlbProcess(tmp_path, DesiredState(listeners=(listener(port),)))
        assert await nlb.start(expect_ready=False) == ""
        assert f'listener "web": cannot listen on 127.0.0.1:{port}: already in use' in await nlb.failure()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{nlb.admin_port}/ready")
