"""Chaos: routes change, endpoints come and go, harmful changes are refused and processes are killed, all under load.

A request fails here when it gets no answer, or another than 200, that a correct configuration would have given it. Only
a killed Envoy takes with it what its own connections carried at that moment.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import count

import grpc
import pytest
import pytest_asyncio

from marchproxy.contract.pb import module_pb2, module_pb2_grpc, types_pb2
from tests.real.support.alb import pool
from tests.real.support.backends import Backend, serving
from tests.real.support.load import Tally, ask, load
from tests.real.support.system import System, running, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

_ALBS = ("alb-1", "alb-2")
_CHANGES, _CHURNS, _REFUSALS = 1000, 100, 20  # of both together
_KEPT, _NEW = 4, 2  # connections
_REGEX = types_pb2.PATH_MATCH_KIND_REGEX


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def backends() -> AsyncIterator[list[Backend]]:
    async with serving("a", "b", "c", "d") as backends:
        yield backends


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory, backends: list[Backend]) -> AsyncIterator[System]:
    """Two ALBs behind one NLB, with a route for the traffic and two pools that share it."""
    addresses = [backend.address for backend in backends]
    state = {
        "routes": [{"id": "web", "backends": [{"pool": "blue", "weight": 50}, {"pool": "green", "weight": 50}]}],
        "pools": [
            {"name": "blue", "version": "v1", "endpoints": addresses[:2]},
            {"name": "green", "version": "v2", "endpoints": addresses[2:]},
        ],
    }  # fmt: skip
    # on a busy machine a part may take long to come back; until then it is not to be given up
    patience = {"missed_unhealthy": 15, "missed_removed": 30}
    versions = dict.fromkeys(_ALBS, "v1")
    folder = tmp_path_factory.mktemp("chaos")
    async with running(folder, state, versions, nlb_settings=patience) as system:
        yield system


@asynccontextmanager
async def traffic(port: int) -> AsyncIterator[tuple[Tally, Tally]]:
    """Keep-alive connections and connections for one request."""
    async with AsyncExitStack() as stack:
        kept = await stack.enter_async_context(load(port, connections=_KEPT, pause=0.005))
        new = await stack.enter_async_context(load(port, connections=_NEW, pause=0.01, keep_alive=False))
        await kept.more(100)
        yield kept, new
        await kept.more(100)
        await new.more(30)


def web(weight: int) -> types_pb2.Route:
    """The route of the traffic, with this share for blue."""
    shares = {"blue": weight, "green": 100 - weight}
    backends = [types_pb2.BackendRef(pool=name, weight=share) for name, share in shares.items()]
    return types_pb2.Route(route_id="web", backends=backends)


async def change_routes(stub: module_pb2_grpc.ModuleServiceStub, dice: random.Random, times: int) -> None:
    """The traffic's route gets other weights; other routes are added, changed and removed around it."""
    there: list[str] = []
    for number in range(times):
        match dice.randrange(4):
            case 0 if there:
                gone = there.pop(dice.randrange(len(there)))
                answer = await stub.DeleteRoute(module_pb2.DeleteRouteRequest(route_id=gone), timeout=20)
            case 1:
                answer = await update(stub, web(dice.randrange(101)))
            case _:
                there.append(f"other-{number}")
                other = types_pb2.Route(route_id=there[-1], hosts=[f"{there[-1]}.test"], path_pattern="/x")
                other.backends.add(pool=dice.choice(["blue", "green"]), weight=100)
                answer = await update(stub, other)
        assert answer.success, answer


async def update(
    stub: module_pb2_grpc.ModuleServiceStub, route: types_pb2.Route
) -> module_pb2.UpdateRoutesResponse:
    return await stub.UpdateRoutes(module_pb2.UpdateRoutesRequest(routes=[route]), timeout=20)


async def churn_endpoints(
    stub: module_pb2_grpc.ModuleServiceStub, dice: random.Random, times: int, addresses: list[str]
) -> None:
    """Pools lose endpoints and get others; each keeps at least one."""
    for _ in range(times):
        chosen = dice.sample(addresses, dice.randint(1, len(addresses)))
        name, version = dice.choice([("blue", "v1"), ("green", "v2")])
        request = module_pb2.UpdateBackendsRequest(pools=[pool(name, *chosen, version=version)])
        answer = await stub.UpdateBackends(request, timeout=20)
        assert answer.success, answer
        await asyncio.sleep(0.05)


def harmful() -> Iterator[types_pb2.Route]:
    """Changes that must not be taken: the first kind is plain to us, only Envoy sees what is wrong with the second."""
    for number in count():
        name = f"harmful-{number}"
        yield types_pb2.Route(route_id=name, backends=[types_pb2.BackendRef(pool="nowhere", weight=100)])
        expression = types_pb2.Route(route_id=name, path_pattern="/(?!x).*", path_match=_REGEX)
        expression.backends.add(pool="blue", weight=100)
        yield expression


async def refuse(stub: module_pb2_grpc.ModuleServiceStub, times: int) -> None:
    """Each is refused, and its author told which route it is about."""
    for _, route in zip(range(times), harmful(), strict=False):
        answer = await update(stub, route)
        assert not answer.success
        assert route.route_id in str(answer.error) or "routes[0]" in str(answer.error), answer
        await asyncio.sleep(0.2)


@pytest.mark.timeout(420)  # a machine that others use too takes its time
async def test_a_thousand_changes_cost_no_request(system: System, backends: list[Backend]) -> None:
    addresses = [backend.address for backend in backends]
    dice = random.Random(4)
    async with traffic(system.port) as (kept, new), asyncio.timeout(400), asyncio.TaskGroup() as group:
        for name in _ALBS:
            stub, own = system.alb_stub(name), random.Random(dice.random())
            group.create_task(change_routes(stub, own, _CHANGES // len(_ALBS)))
            group.create_task(churn_endpoints(stub, own, _CHURNS // len(_ALBS), addresses))
            group.create_task(refuse(stub, _REFUSALS // len(_ALBS)))
    assert kept.bad() + new.bad() == []
    assert {body for _, body in kept.answers} == {backend.name for backend in backends}


async def test_control_planes_killed_while_routes_change(system: System) -> None:
    """Whoever is gone answers no calls, its Envoy goes on; who comes back takes changes again."""
    async with traffic(system.port) as (kept, new), asyncio.TaskGroup() as group:
        changing = [group.create_task(_go_on_changing(system, name)) for name in _ALBS]
        for part in (system.albs["alb-1"], system.nlb, system.albs["alb-2"]):
            await part.kill()
            await kept.more(50)
            await part.start()
            await system.targets(set(_ALBS))
        for task in changing:
            task.cancel()
    assert kept.bad() + new.bad() == []
    for name in _ALBS:
        answer = await update(system.alb_stub(name), web(50))
        assert answer.success, answer


async def _go_on_changing(system: System, name: str) -> None:
    stub = system.alb_stub(name)
    for number in count():
        with suppress(grpc.aio.AioRpcError):  # it is killed and started again meanwhile
            await update(stub, web(number % 101))
        await asyncio.sleep(0.02)


async def test_an_envoy_killed_costs_only_what_it_carried(system: System) -> None:
    """Each connection may be cut once; its next request is served by the other ALB, or by the Envoy that came back.

    Who connects anew may meet the dying one again: the kernel takes its connections away before it stops listening.
    """
    async with traffic(system.port) as (kept, new):
        killed = system.albs["alb-2"].envoy()
        killed.kill()
        await asyncio.to_thread(killed.wait, 5)
        await kept.more(200)
        await until(lambda: _came_back(system))
        await system.targets(set(_ALBS))
    assert not [status for tally in (kept, new) for status, _ in tally.answers if status != 200]
    assert len(kept.failures) <= _KEPT, kept.failures
    assert len(new.failures) <= 2 * _NEW, new.failures
    assert (await ask(system.port, 20)).bad() == []


async def _came_back(system: System) -> bool:
    try:
        system.albs["alb-2"].envoy()
    except ValueError:
        return False
    return True
