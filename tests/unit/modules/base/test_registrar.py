"""One instance and one NLB over real gRPC, the beat as short as the loop allows."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from marchproxy.contract.pb import nlb_pb2, types_pb2
from marchproxy.kit.breaker import BreakerLimits
from marchproxy.kit.clock import SystemClock
from marchproxy.kit.grpc import ChannelPool
from marchproxy.model.module import ModuleType
from marchproxy.model.route import Route, RouteId
from marchproxy.modules.base.fleet import NlbFleet
from marchproxy.modules.base.registrar import CALL_ERRORS, Advice, Registrar
from tests.unit.modules.base.nlb_double import NlbDouble, serving

BEAT = 0.02


class ReporterDouble:
    def registration(self) -> nlb_pb2.RegisterModuleRequest:
        return nlb_pb2.RegisterModuleRequest(instance=types_pb2.ModuleInstance(instance_id="alb-1"))

    def heartbeat(self, registration_id: str) -> nlb_pb2.HeartbeatRequest:
        return nlb_pb2.HeartbeatRequest(instance_id="alb-1", registration_id=registration_id)

    routes: tuple[Route, ...] = ()

    def announced(self) -> tuple[Route, ...]:
        return self.routes

    def routing(self, told: Sequence[Route] | None) -> nlb_pb2.UpdateRoutingRequest | None:
        """The routes that were told stand in the request, so that a test can see them."""
        if told == self.routes:
            return None
        known = [types_pb2.Route(route_id=route.route_id) for route in told or ()]
        return nlb_pb2.UpdateRoutingRequest(
            source_instance_id="alb-1", replace_all=told is None, routes=known
        )


@pytest.fixture
async def nlb() -> AsyncIterator[NlbDouble]:
    async with serving(NlbDouble()) as nlb:
        yield nlb


@pytest.fixture
async def pool() -> AsyncIterator[ChannelPool]:
    pool = ChannelPool(clock=SystemClock())
    yield pool
    await pool.close()


@asynccontextmanager
async def running(registrar: Registrar) -> AsyncIterator[Registrar]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(registrar.run())
        yield registrar
        task.cancel()


def make(
    nlb: str,
    pool: ChannelPool,
    *,
    beat: float = BEAT,
    advised: list[Advice] | None = None,
    reporter: ReporterDouble | None = None,
) -> Registrar:
    async def on_advice(advice: Advice) -> None:
        if advised is not None:
            advised.append(advice)

    reporter = reporter or ReporterDouble()
    return Registrar(nlb, reporter, pool, clock=SystemClock(), interval=beat, on_advice=on_advice)


FIRST, SECOND, THIRD = ((Route(RouteId(name)),) for name in ("first", "second", "third"))


def told(request: Any) -> tuple[bool, list[str]]:
    """Whether an update replaces everything, and what the NLB was thought to have."""
    return request.replace_all, [route.route_id for route in request.routes]


async def test_registers_and_beats(nlb: NlbDouble, pool: ChannelPool) -> None:
    async with running(make(nlb.address, pool)) as registrar:
        beat = await nlb.until("Heartbeat", 3)
        assert beat.registration_id in nlb.known
        assert registrar.registered
    assert nlb.names()[:2] == ["RegisterModule", "Heartbeat"]
    assert nlb.names().count("RegisterModule") == 1


async def test_an_nlb_that_forgot_is_told_at_once(nlb: NlbDouble, pool: ChannelPool) -> None:
    async with running(make(nlb.address, pool)):
        await nlb.until("Heartbeat")
        nlb.known.clear()
        await nlb.until("RegisterModule", 2)
        beats = nlb.names().count("Heartbeat")
        assert (await nlb.until("Heartbeat", beats + 1)).registration_id in nlb.known
    calls = nlb.names()
    second = len(calls) - 1 - calls[::-1].index("RegisterModule")
    assert calls[second - 1] == "Heartbeat"  # nothing in between


async def test_an_nlb_that_is_down_is_told_of_once(pool: ChannelPool) -> None:
    nlb, refusals = NlbDouble(), set()

    class Refusing(ChannelPool):
        async def call(self, *words: Any, **options: Any) -> Any:
            try:
                return await super().call(*words, **options)
            except CALL_ERRORS as error:
                refusals.add(type(error))
                raise

    async with serving(nlb):
        address = nlb.address
    refusing = Refusing(clock=SystemClock(), breaker_limits=BreakerLimits(failures=2, open_seconds=0.05))
    with capture_logs() as logs:
        async with running(make(address, refusing)), asyncio.timeout(20):
            while len(refusals) < len(CALL_ERRORS):
                await asyncio.sleep(BEAT)
            async with serving(nlb, address):
                await nlb.until("Heartbeat")
    await refusing.close()
    states = [line["state"] for line in logs if line["event"] == "NLB registration"]
    assert states == ["no answer", "registered"]


async def test_an_nlb_that_is_down_is_asked_until_it_is_there(pool: ChannelPool) -> None:
    nlb = NlbDouble()
    async with serving(nlb):
        address = nlb.address
    async with running(make(address, pool)) as registrar:
        await asyncio.sleep(0)
        assert not registrar.registered
        async with serving(nlb, address):
            await nlb.until("Heartbeat")
            assert registrar.registered


async def test_an_nlb_that_refuses_is_asked_with_growing_pauses(nlb: NlbDouble, pool: ChannelPool) -> None:
    nlb.refuse_registration = True
    registrar = make(nlb.address, pool, beat=10)
    loop = asyncio.get_running_loop()
    times = []
    async with running(registrar):
        for number in (1, 2, 3):
            await nlb.until("RegisterModule", number)
            times.append(loop.time())
        assert not registrar.registered
    first, second = times[1] - times[0], times[2] - times[1]
    assert first > 0.25  # 0.4 s less the jitter
    assert second > first


async def test_changed_routes_are_sent_without_waiting_for_the_beat(
    nlb: NlbDouble, pool: ChannelPool
) -> None:
    reporter = ReporterDouble()
    reporter.routes = FIRST
    async with running(make(nlb.address, pool, beat=30, reporter=reporter)) as registrar:
        await nlb.until("RegisterModule")
        reporter.routes = SECOND
        registrar.hurry()
        assert told(await nlb.until("UpdateRouting")) == (False, ["first"])
        await nlb.until("Heartbeat")
        reporter.routes = THIRD
        registrar.hurry()
        assert told(await nlb.until("UpdateRouting", 2)) == (False, ["second"])
        await nlb.until("Heartbeat", 2)
        registrar.hurry()  # and yet they are the same
        await nlb.until("Heartbeat", 3)
    assert nlb.names().count("UpdateRouting") == 2


async def test_routes_that_could_not_be_sent_are_sent_again(nlb: NlbDouble, pool: ChannelPool) -> None:
    reporter = ReporterDouble()
    async with running(make(nlb.address, pool, reporter=reporter)) as registrar:
        await nlb.until("Heartbeat")
        nlb.routes_fail = 1
        reporter.routes = FIRST
        registrar.hurry()
        # whether they arrived is not known: so all of them
        assert told(await nlb.until("UpdateRouting", 2)) == (True, [])
        assert registrar.registered


async def test_routes_that_were_refused_are_all_sent_with_the_next_change(
    nlb: NlbDouble, pool: ChannelPool
) -> None:
    reporter = ReporterDouble()
    async with running(make(nlb.address, pool, reporter=reporter)) as registrar:
        await nlb.until("Heartbeat")
        nlb.routes_refused = 1
        reporter.routes = FIRST
        registrar.hurry()
        await nlb.until("UpdateRouting")
        await nlb.until("Heartbeat", nlb.names().count("Heartbeat") + 1)
        reporter.routes = SECOND
        registrar.hurry()
        assert told(await nlb.until("UpdateRouting", 2)) == (True, [])


async def test_advice(nlb: NlbDouble, pool: ChannelPool) -> None:
    advised: list[Advice] = []
    nlb.reload_to = "abc"
    async with running(make(nlb.address, pool, advised=advised)):
        await nlb.until("Heartbeat", 2)
    assert advised[0] == Advice(nlb.address, should_reload=True, wanted_checksum="abc")


async def test_leaves(nlb: NlbDouble, pool: ChannelPool) -> None:
    async with running(make(nlb.address, pool)) as registrar:
        await nlb.until("Heartbeat")
    await registrar.unregister(2.0)
    request = await nlb.until("UnregisterModule")
    assert (request.instance_id, request.graceful, request.drain_timeout_seconds) == ("alb-1", True, 2)
    assert request.registration_id in nlb.known
    assert not registrar.registered
    await registrar.unregister(2.0)
    assert nlb.names().count("UnregisterModule") == 1


async def test_leaving_an_nlb_that_is_gone_is_no_error(pool: ChannelPool) -> None:
    async with serving(NlbDouble()) as nlb, running(make(nlb.address, pool)) as registrar:
        await nlb.until("Heartbeat")
    await registrar.unregister(0)
    assert not registrar.registered


async def test_fleet_asks_the_first_nlb_that_answers(nlb: NlbDouble, pool: ChannelPool) -> None:
    nlb.modules = [types_pb2.ModuleInstance(instance_id="alb-7")]
    async with serving(NlbDouble()) as gone:
        dead = gone.address
    fleet = NlbFleet(pool, ModuleType.ALB)
    assert await fleet.instances() == []
    fleet.join([make(dead, pool), make(nlb.address, pool)])
    assert [item.instance_id for item in await fleet.instances()] == ["alb-7"]
    assert fleet.connected() == {dead: False, nlb.address: False}


async def test_fleet_registers_tells_and_leaves_everywhere(pool: ChannelPool) -> None:
    async with serving(NlbDouble()) as one, serving(NlbDouble()) as other, asyncio.TaskGroup() as group:
        fleet = NlbFleet(pool, ModuleType.ALB)
        fleet.join([make(one.address, pool, beat=30), make(other.address, pool, beat=30)])
        task = group.create_task(fleet.run())
        for nlb in (one, other):
            await nlb.until("RegisterModule")
        fleet.routes_changed()
        for nlb in (one, other):
            await nlb.until("Heartbeat")
        assert fleet.connected() == {one.address: True, other.address: True}
        task.cancel()
        await fleet.leave(0)
        assert [nlb.names()[-1] for nlb in (one, other)] == ["UnregisterModule"] * 2


async def test_the_size_of_the_fleet_is_the_most_that_an_nlb_knows_and_outlives_it(pool: ChannelPool) -> None:
    sizes: asyncio.Queue[int] = asyncio.Queue()
    async with serving(NlbDouble()) as one, serving(NlbDouble()) as other, asyncio.TaskGroup() as group:
        fleet = NlbFleet(pool, ModuleType.ALB, sizes.put_nowait)
        fleet.join([make(one.address, pool), make(other.address, pool)])
        assert fleet.size == 1
        task = group.create_task(fleet.run())
        await one.until("Heartbeat")
        assert fleet.size == 1  # they are of a release that tells nothing
        async with asyncio.timeout(5):
            one.instances = 3
            assert await sizes.get() == 3
            other.instances = 2
            await other.until("Heartbeat", other.names().count("Heartbeat") + 2)
            one.instances = 1
            assert await sizes.get() == 2
        one.instances = other.instances = 0
        await one.until("Heartbeat", one.names().count("Heartbeat") + 2)
        assert fleet.size == 2
        task.cancel()
    assert sizes.empty()
