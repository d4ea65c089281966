"""Clients and modules built from the contract as it was once fixed work with the servers of today."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.real.support.load import ask
from tests.real.support.old_contract import WIRE, OldContract
from tests.real.support.system import System, two_versions

pytestmark = pytest.mark.asyncio(loop_scope="module")

OLD = OldContract()
HEALTHY = OLD.value("HEALTH_STATUS_HEALTHY")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with two_versions(tmp_path_factory.mktemp("old")) as system:
        yield system


async def statuses(port: int, count: int, path: str = "/") -> Counter[int]:
    return Counter([status for status, _ in (await ask(port, count, path=path)).answers.elements()])


async def test_an_old_module_registers_is_listed_and_gets_no_traffic(system: System) -> None:
    """It says nothing of traffic endpoints, because the contract knew none."""
    nlb = system.channel(system.nlb.grpc)
    instance = OLD.message(
        "ModuleInstance",
        instance_id="old-1",
        module_type=OLD.value("MODULE_TYPE_ALB"),
        address=f"127.0.0.1:{system.alb.grpc}",  # something that answers CanHandle
        health_status=HEALTHY,
        version="v1",
        max_connections=100,
    )
    registered = await OLD.call(nlb, "NLBService.RegisterModule", instance=instance)
    assert registered.success, registered
    beat = await OLD.call(
        nlb,
        "NLBService.Heartbeat",
        instance_id="old-1",
        registration_id=registered.registration_id,
        status=HEALTHY,
        current_stats=OLD.message("ModuleStats", instance_id="old-1", active_connections=3),
    )
    assert beat.acknowledged, beat
    listed = await OLD.call(nlb, "NLBService.ListModules")
    assert {module.instance_id for module in listed.modules} == {"alb-1", "old-1"}
    async with asyncio.timeout(20):
        while "gets no connections" not in (await system.plan())["old-1"]:
            await asyncio.sleep(0.02)
    assert await statuses(system.port, 30) == {200: 30}
    status = await OLD.call(nlb, "NLBService.GetNLBStatus", include_modules=True)
    assert (status.status, status.registered_modules) == (HEALTHY, 2)
    gone = await OLD.call(
        nlb, "NLBService.UnregisterModule", instance_id="old-1", registration_id=registered.registration_id
    )
    assert gone.success, gone
    left = await OLD.call(nlb, "NLBService.ListModules")
    assert [module.instance_id for module in left.modules] == ["alb-1"]


async def test_an_old_client_shifts_versions(system: System) -> None:
    alb = system.channel(system.alb.grpc)
    shifted = await OLD.call(alb, "ModuleService.SetTrafficWeight", version="v2", weight=100)
    assert shifted.success, shifted
    assert set((await ask(system.port, 20)).answers) == {(200, "green")}
    active = await OLD.call(alb, "ModuleService.GetActiveVersion")
    assert (active.active_version, dict(active.version_weights)) == ("v2", {"v1": 0, "v2": 100})
    back = await OLD.call(alb, "ModuleService.Rollback")
    assert (back.success, back.previous_version, back.current_version) == (True, "v2", "v1"), back
    assert set((await ask(system.port, 20)).answers) == {(200, "blue")}


async def test_an_old_client_limits_a_route(system: System) -> None:
    alb = system.channel(system.alb.grpc)
    limit = OLD.message("RateLimit", limit_id="slow", target="web", requests_per_second=1, enabled=True)
    answer = await OLD.call(alb, "ModuleService.SetRateLimit", limit=limit)
    assert answer.success, answer
    assert (await statuses(system.port, 20))[429] >= 15
    listed = await OLD.call(alb, "ModuleService.GetRateLimits", target="web")
    assert [(item.limit_id, item.requests_per_second) for item in listed.limits] == [("slow", 1)]
    answer = await OLD.call(alb, "ModuleService.RemoveRateLimit", limit_id="slow")
    assert answer.success, answer
    assert await statuses(system.port, 20) == {200: 20}


async def test_an_old_client_reads_and_removes_routes(system: System) -> None:
    """It can change a route only to what the contract could say: one without backends is refused, not broken."""
    alb = system.channel(system.alb.grpc)
    known = await OLD.call(alb, "ModuleService.GetRoutes")
    assert [route.route_id for route in known.routes] == ["web"]
    new = OLD.message("Route", route_id="old", path_pattern="/old", protocol=OLD.value("PROTOCOL_HTTP"))
    refused = await OLD.call(alb, "ModuleService.UpdateRoutes", routes=[new])
    assert not refused.success
    assert "routes[0].backends" in refused.error.details
    # what it read, sent back: the parts that it does not know travel along as unknown fields
    known.routes[0].priority = 7
    answer = await OLD.call(alb, "ModuleService.UpdateRoutes", routes=known.routes)
    assert answer.success, answer
    assert set((await ask(system.port, 10)).answers) == {(200, "blue")}
    nothing = await OLD.call(alb, "ModuleService.DeleteRoute", route_id="old")
    assert (nothing.success, nothing.error.code) == (False, OLD.value("STATUS_CODE_NOT_FOUND"))


def _reading_rpcs() -> list[str]:
    """Every RPC that works without arguments and changes nothing."""
    services = ((name, rpcs) for part in WIRE["files"].values() for name, rpcs in part["services"].items())
    reading = ("Get", "List", "Stream", "CheckHealth", "HealthCheck")
    all_rpcs = [f"{service}.{rpc}" for service, rpcs in services for rpc in rpcs if rpc.startswith(reading)]
    elsewhere = {
        "NLBService.GetModuleInfo",
        "NLBService.GetModuleMetrics",
        "ModuleService.GetRateLimits",
    }
    return sorted(set(all_rpcs) - elsewhere)


@pytest.mark.parametrize("rpc", _reading_rpcs())
async def test_an_old_client_reads_everything(system: System, rpc: str) -> None:
    port = system.nlb.grpc if rpc.startswith("NLB") else system.alb.grpc
    answer = await OLD.call(system.channel(port), rpc)
    assert answer.ListFields(), f"{rpc} answered nothing"


@pytest.mark.parametrize("rpc", ["GetModuleInfo", "GetModuleMetrics"])
async def test_an_old_client_asks_the_nlb_for_one_module(system: System, rpc: str) -> None:
    answer = await OLD.call(system.channel(system.nlb.grpc), f"NLBService.{rpc}", instance_id="alb-1")
    assert answer.ListFields()
