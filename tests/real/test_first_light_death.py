"""What dies comes back, and traffic does not notice: Envoys, and the processes that program them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from marchproxy.contract.pb import module_pb2, nlb_pb2, types_pb2
from tests.real.support.backends import serving
from tests.real.support.load import Tally, ask, load
from tests.real.support.system import System, running, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with serving("blue", "green") as (blue, green):
        state = {
            "routes": [{"id": "web", "backends": [{"pool": "blue", "weight": 100}, {"pool": "green", "weight": 0}]}],
            "pools": [
                {"name": "blue", "version": "v1", "endpoints": [blue.address]},
                {"name": "green", "version": "v2", "endpoints": [green.address]},
            ],
        }  # fmt: skip
        # an ALB may take long to come back on a busy machine; until then it is not to be given up
        patience = {"missed_unhealthy": 15, "missed_removed": 30}
        async with running(tmp_path_factory.mktemp("death"), state, nlb_settings=patience) as system:
            yield system


@dataclass
class Traffic:
    """Keep-alive connections and connections for one request."""

    kept: Tally = field(default_factory=Tally)
    new: Tally = field(default_factory=Tally)

    async def more(self) -> None:
        """Wait until both have seen further answers."""
        await self.kept.more(100)
        await self.new.more(30)

    def bad(self) -> list[str]:
        return self.kept.bad() + self.new.bad()


@asynccontextmanager
async def traffic(port: int) -> AsyncIterator[Traffic]:
    async with AsyncExitStack() as stack:
        kept = await stack.enter_async_context(load(port, pause=0.003))
        new = await stack.enter_async_context(load(port, connections=2, pause=0.005, keep_alive=False))
        both = Traffic(kept, new)
        await both.more()
        yield both


async def serves(system: System) -> bool:
    """Whether a new connection gets an answer."""
    try:
        async with asyncio.timeout(0.5):
            return (await ask(system.port, 1)).bad() == []
    except (OSError, asyncio.IncompleteReadError, TimeoutError):
        return False


@pytest.mark.parametrize("name", ["alb", "nlb"])
async def test_an_envoy_killed_serves_again(system: System, name: str) -> None:
    part = system.nlb if name == "nlb" else system.alb
    for _ in range(2):  # the second death in a row is waited for longer
        killed = part.envoy()
        killed.kill()
        killed.wait(5)
        await until(lambda: serves(system))
        assert part.envoy().pid != killed.pid
    assert part.process.running
    await system.targets({"alb-1"})


async def test_the_nlb_killed_and_started_again_costs_no_request(system: System) -> None:
    stub = system.nlb_stub()
    request = nlb_pb2.GetModuleInfoRequest(instance_id="alb-1")
    envoy = system.nlb.envoy().pid
    before = await stub.GetModuleInfo(request, timeout=20)
    plan = await system.plan()
    async with traffic(system.port) as both:
        await system.nlb.kill()
        await asyncio.sleep(4)  # long enough for the module to call it less often
        await both.more()  # nobody is there, and Envoy goes on
        await system.nlb.start()
        assert await system.plan() == plan  # at once, not when the module has come back

        async def again() -> bool:
            after = await stub.GetModuleInfo(request, timeout=20)
            new = after.instance.registration_id != before.instance.registration_id
            return new and after.details["standing"] == "active"

        await until(again)  # before the NLB gives it up
        await both.more()
    assert both.bad() == []
    assert await system.plan() == plan
    assert system.nlb.envoy().pid == envoy


async def test_the_alb_killed_and_started_again_costs_no_request(system: System) -> None:
    """And it goes on with what was changed over gRPC."""
    stub = system.alb_stub()
    half = module_pb2.SetTrafficWeightRequest(version="v2", weight=50, route_id="web")
    assert (await stub.SetTrafficWeight(half, timeout=20)).success
    await asyncio.sleep(0.5)  # the state is written shortly after the change, not with it
    envoy = system.alb.envoy().pid
    async with traffic(system.port) as both:
        await system.alb.kill()
        await both.more()
        await system.alb.start()
        await system.targets({"alb-1"})
        both.kept.answers.clear()
        await both.kept.more(600)
        await both.more()
    assert both.bad() == []
    assert both.kept.share("green") == pytest.approx(50, abs=9)
    assert system.alb.envoy().pid == envoy
    active = await stub.GetActiveVersion(module_pb2.GetActiveVersionRequest(route_id="web"), timeout=20)
    assert dict(active.version_weights) == {"v1": 50, "v2": 50}
    back = module_pb2.SetTrafficWeightRequest(version="v2", weight=0, route_id="web")
    assert (await stub.SetTrafficWeight(back, timeout=20)).success


async def test_both_killed_together_and_started_in_either_order(system: System) -> None:
    async with traffic(system.port) as both:
        for first, second in ((system.alb, system.nlb), (system.nlb, system.alb)):
            await system.nlb.kill()
            await system.alb.kill()
            await both.more()
            await first.start()
            await both.more()
            await second.start()
            await system.targets({"alb-1"})
            await both.more()
    assert both.bad() == []
    status = await system.nlb_stub().CheckHealth(
        nlb_pb2.CheckHealthRequest(deep_check=True, check_modules=True), timeout=5
    )
    assert status.status == types_pb2.HEALTH_STATUS_HEALTHY, status
