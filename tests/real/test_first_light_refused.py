"""Bad input: a clear reason that names the field, a real gRPC status for misuse, and nothing changed."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
import pytest_asyncio

from marchproxy.contract.pb import module_pb2, nlb_pb2, types_pb2
from tests.real.support.load import load
from tests.real.support.system import System, two_versions

pytestmark = pytest.mark.asyncio(loop_scope="module")

INVALID, EXISTS = types_pb2.STATUS_CODE_INVALID_ARGUMENT, types_pb2.STATUS_CODE_ALREADY_EXISTS
SERVICES = {"NLBService": nlb_pb2, "ModuleService": module_pb2}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with two_versions(tmp_path_factory.mktemp("refused"), hosts=["web.test"]) as system:
        yield system


@asynccontextmanager
async def untouched(system: System) -> AsyncIterator[None]:
    """What both parts run, what the NLB plans, and the traffic are after the block as before it."""

    async def now() -> tuple[Any, ...]:
        module = await system.alb_stub().GetConfig(module_pb2.GetConfigRequest(), timeout=20)
        nlb = await system.nlb_stub().GetNLBConfig(nlb_pb2.GetNLBConfigRequest(), timeout=20)
        table = await system.nlb_stub().GetRoutingTable(nlb_pb2.GetRoutingTableRequest(), timeout=20)
        routes = sorted(entry.route.SerializeToString(deterministic=True) for entry in table.entries)
        return module.configs[0], nlb.configs[0], routes, await system.plan()

    before = await now()
    async with (
        load(system.port, connections=2, pause=0.002) as kept,
        load(system.port, connections=1, keep_alive=False) as new,
    ):
        yield
        await kept.more(20)
        await new.more(10)
    assert kept.bad() + new.bad() == []
    assert await now() == before


def port_of(system: System, service: str) -> int:
    return system.nlb.grpc if service == "NLBService" else system.alb.grpc


@pytest.mark.parametrize("service", SERVICES)
async def test_malformed_bytes(system: System, service: str) -> None:
    channel = system.channel(port_of(system, service))
    methods = SERVICES[service].DESCRIPTOR.services_by_name[service].methods_by_name
    async with untouched(system):
        for name, method in methods.items():
            path = f"/marchproxy.{service}/{name}"
            if method.server_streaming:
                answer = channel.unary_stream(path)(b"\x0a\xff", timeout=5).read()
            else:
                answer = channel.unary_unary(path)(b"\x0a\xff", timeout=5)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await answer
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT, (name, refused.value)
            assert name in refused.value.details()


def _asking_for(service: str, instance_id: str) -> list[tuple[str, Any]]:
    """A request for every RPC that names the instance it is meant for."""
    pb = SERVICES[service]
    found = []
    for name in pb.DESCRIPTOR.services_by_name[service].methods_by_name:
        request = getattr(pb, f"{name}Request")()
        if "instance_id" in request.DESCRIPTOR.fields_by_name:
            request.instance_id = instance_id
            found.append((name, request))
    return found


@pytest.mark.parametrize("service", SERVICES)
async def test_an_unknown_instance_id(system: System, service: str) -> None:
    stub = system.nlb_stub() if service == "NLBService" else system.alb_stub()
    asked = _asking_for(service, "nobody")
    assert len(asked) > 4
    async with untouched(system):
        for name, request in asked:
            if name in {"Heartbeat", "ReportMetrics"}:  # so a module learns that it has to register again
                assert not (await getattr(stub, name)(request, timeout=5)).acknowledged
                continue
            call = getattr(stub, name)(request, timeout=5)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await (call.read() if name.startswith("Stream") else call)
            assert refused.value.code() is grpc.StatusCode.NOT_FOUND, (name, refused.value)
            assert '"nobody"' in refused.value.details()


async def test_a_second_instance_with_the_same_id(system: System) -> None:
    other = types_pb2.ModuleInstance(
        instance_id="alb-1", module_type=types_pb2.MODULE_TYPE_ALB, address="127.0.0.1:9", version="v1"
    )
    async with untouched(system):
        answer = await system.nlb_stub().RegisterModule(nlb_pb2.RegisterModuleRequest(instance=other))
    assert (answer.success, answer.error.code) == (False, EXISTS)
    assert f"127.0.0.1:{system.alb.grpc}" in answer.message
    assert "127.0.0.1:9 " in answer.message


@pytest.mark.parametrize("weight", [-1, 101, 2**31 - 1])
async def test_weights_out_of_range(system: System, weight: int) -> None:
    alb = system.alb_stub()
    shift = module_pb2.SetTrafficWeightRequest(version="v2", weight=weight)
    route = types_pb2.Route(route_id="web", backends=[types_pb2.BackendRef(pool="blue", weight=weight)])
    instance = types_pb2.ModuleInstance(
        instance_id="new",
        module_type=types_pb2.MODULE_TYPE_ALB,
        address="127.0.0.1:9",
        version="v1",
        traffic_weight=weight,
    )
    async with untouched(system):
        answers = {
            "weight": await alb.SetTrafficWeight(shift, timeout=5),
            "routes[0].backends[0].weight": await alb.UpdateRoutes(
                module_pb2.UpdateRoutesRequest(routes=[route]), timeout=5
            ),
            "instance.traffic_weight": await system.nlb_stub().RegisterModule(
                nlb_pb2.RegisterModuleRequest(instance=instance), timeout=5
            ),
            "listeners[0].version_weights": await system.configure(
                system.state(version_weights={"v1": weight})
            ),
        }
    for field, answer in answers.items():
        assert (answer.success, answer.error.code) == (False, INVALID), (field, answer)
        assert field in answer.message, (field, answer)
        assert str(weight) in answer.message, (field, answer)


async def test_overlapping_routes_of_equal_priority(system: System) -> None:
    twin = types_pb2.Route(
        route_id="twin", hosts=["web.test"], backends=[types_pb2.BackendRef(pool="blue", weight=100)]
    )
    document = system.state()
    document["routes"] = [*document["routes"], {"id": "twin", "hosts": ["web.test"], "backends": ["blue"]}]
    async with untouched(system):
        answers = [
            await system.alb_stub().UpdateRoutes(module_pb2.UpdateRoutesRequest(routes=[twin]), timeout=20),
            await system.nlb_stub().UpdateRouting(
                nlb_pb2.UpdateRoutingRequest(routes=[types_pb2.Route(route_id="a"), types_pb2.Route(route_id="b")]),
                timeout=20,
            ),
            await system.configure(document),
        ]  # fmt: skip
    names = [("twin", "web"), ("a", "b"), ("twin", "web")]
    for answer, (one, other) in zip(answers, names, strict=True):
        assert (answer.success, answer.error.code) == (False, INVALID), answer
        assert f'"{one}"' in answer.message, answer
        assert f'"{other}"' in answer.message, answer
        assert "priority" in answer.message, answer


async def test_a_listener_on_a_port_in_use(system: System) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        document = system.state()
        document["listeners"].append({"name": "second", "address": f"127.0.0.1:{port}"})
        async with untouched(system):
            answer = await system.configure(document)
    assert not answer.success
    assert f'listener "second": cannot listen on 127.0.0.1:{port}: already in use' in answer.message
    assert (await system.configure(document)).success  # now that it is free
    assert (await system.configure(system.state())).success


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff\xfe", "UTF-8"),
        (b"listeners: [", "not readable as YAML"),
        (b"listners: []", 'listeners"?'),
        (b"routes: [{id: a, backends: [nowhere]}]", 'no pool "nowhere"'),
        (b"[]", "mapping"),
    ],
)
async def test_a_document_that_is_none(system: System, data: bytes, words: str) -> None:
    config = types_pb2.ConfigUpdate(config_data=data)
    async with untouched(system), asyncio.timeout(20):
        answers = [
            await system.nlb_stub().UpdateNLBConfig(nlb_pb2.UpdateNLBConfigRequest(config=config)),
            await system.alb_stub().UpdateConfig(module_pb2.UpdateConfigRequest(config=config)),
        ]
    for answer in answers:
        assert (answer.success, answer.validation_passed, answer.error.code) == (False, False, INVALID)
        assert any(words in error for error in answer.validation_errors), answer
