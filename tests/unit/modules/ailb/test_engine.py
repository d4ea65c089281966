"""What Envoy and the decider are told, in which order, and how it is taken back."""

from dataclasses import replace

import pytest

from marchproxy.model.ai import AiPool, AiRoute, Model, ModelTarget
from marchproxy.model.module import HealthStatus, PoolName
from marchproxy.model.plan import Verdict
from marchproxy.model.pool import BackendPool, Endpoint
from marchproxy.model.problem import Problem, RefusalCode, Refused
from marchproxy.model.route import Route, RouteId
from marchproxy.model.state import DesiredState
from marchproxy.modules.ailb.engine import AilbEngine
from marchproxy.modules.ailb.supervisor.probing import Probe
from marchproxy.modules.ailb.talk import Counts
from marchproxy.modules.base.engine import EngineHealth, Isolate
from marchproxy.modules.base.observation import EndpointSeen, Observation, PoolSeen

NO = Refused(RefusalCode.INVALID_ARGUMENT, "no")


class Doubles:
    """A gateway and a crew; `refuses`: who will, once, and what."""

    instances = 1
    healthy = False

    def __init__(self):
        self.told, self.refuses, self.isolated, self.moved = [], None, (), []
        self.decider = "ok"
        self.probes = {}
        self.known, self.trouble, self.bad = (), "no NVML", {}

    def unfit(self, addresses):
        """As GPUs."""
        return {address: self.bad[address] for address in addresses if address in self.bad}

    def _tell(self, who, state):
        self.told.append(
            (who, tuple(route.route_id for route in state.routes), tuple(pool.name for pool in state.pools))
        )
        if self.refuses == self.told[-1]:
            self.refuses = None
            raise NO

    def gateway(self):
        return _Gateway(self)

    def crew(self):
        return _Crew(self)


class _Gateway:
    instances = 1

    def __init__(self, doubles):
        self.doubles = doubles

    async def apply(self, state, isolate):
        self.doubles._tell("gateway", state)
        return self.doubles.isolated

    def served(self, state):
        return replace(state, pools=state.pools[:1])

    def can_handle(self, state, route, context):
        return Verdict(can_handle=True, reason="yes", details={"route_id": "r"})

    def health(self):
        return EngineHealth(HealthStatus.HEALTHY, "serving", {"envoy": "ok"})

    async def check(self):
        return EngineHealth(HealthStatus.HEALTHY, "serving", {"pool:a": "1 of 1 endpoints are healthy"})

    async def observe(self):
        down = PoolSeen(endpoints=(EndpointSeen("10.0.0.1:1", healthy=self.doubles.healthy),))
        return Observation(pools={"a": down}, cpu_percent=1.0, memory_mb=2.0)


class _Crew:
    def __init__(self, doubles):
        self.doubles = doubles

    async def apply(self, state):
        self.doubles._tell("crew", state)

    def divide(self, instances):
        self.doubles.shares = instances

    def health(self):
        return {"decider": self.doubles.decider}

    async def move(self, moved):
        self.doubles.moved.append(moved)

    async def count(self):

        return 1, Counts(cpu_percent=10.0, memory_mb=20.0)


def state(route, *pools):
    model = Model("m", tuple(ModelTarget(PoolName(name)) for name in pools))
    return DesiredState(
        routes=(Route(RouteId(route), ai=AiRoute((model,))),),
        pools=tuple(
            BackendPool(PoolName(name), endpoints=(Endpoint("10.0.0.1:1"),), ai=AiPool()) for name in pools
        ),
    )


@pytest.fixture
def doubles():
    return Doubles()


@pytest.fixture
def engine(doubles):
    async def probe(pools):
        return {pool.name: doubles.probes[pool.name] for pool in pools if pool.name in doubles.probes}

    return AilbEngine(doubles.gateway(), doubles.crew(), doubles, probe)


BEFORE, AFTER = state("r", "a"), state("s", "b")
WIDER = ("gateway", ("r",), ("a", "b"))
CREW_AFTER, GATEWAY_AFTER = ("crew", ("s",), ("b",)), ("gateway", ("s",), ("b",))
CREW_BEFORE, GATEWAY_BEFORE = ("crew", ("r",), ("a",)), ("gateway", ("r",), ("a",))


async def test_no_attempt_meets_a_pool_that_is_not_there(doubles, engine):
    await engine.apply(BEFORE)
    assert doubles.told == [CREW_BEFORE, GATEWAY_BEFORE]
    doubles.told.clear()
    await engine.apply(AFTER)
    assert doubles.told == [WIDER, CREW_AFTER, GATEWAY_AFTER]


async def test_a_change_of_routes_alone_is_told_once(doubles, engine):
    await engine.apply(BEFORE)
    doubles.told.clear()
    await engine.apply(replace(BEFORE, routes=()))
    assert doubles.told == [("crew", (), ("a",)), ("gateway", (), ("a",))]


@pytest.mark.parametrize(
    ("who", "told"),
    [
        (WIDER, [WIDER]),
        (CREW_AFTER, [WIDER, CREW_AFTER, CREW_BEFORE, GATEWAY_BEFORE]),
        (GATEWAY_AFTER, [WIDER, CREW_AFTER, GATEWAY_AFTER, CREW_BEFORE, GATEWAY_BEFORE]),
    ],
)
async def test_when_one_refuses_both_go_by_what_was_before(doubles, engine, who, told):
    await engine.apply(BEFORE)
    doubles.told.clear()
    doubles.refuses = who
    with pytest.raises(Refused):
        await engine.apply(AFTER)
    assert doubles.told == told
    doubles.told.clear()
    await engine.apply(AFTER)
    assert doubles.told == [WIDER, CREW_AFTER, GATEWAY_AFTER]


async def test_the_decider_names_no_pool_that_envoy_has_not(doubles, engine):
    doubles.isolated = (Problem("pools[1]", "bad"),)
    assert await engine.apply(state("r", "a", "b"), Isolate.FAULTY) == doubles.isolated
    assert doubles.told[-1] == ("crew", ("r",), ("a",))


async def test_health_has_the_decider_s(doubles, engine):
    assert engine.health().status is HealthStatus.HEALTHY
    assert engine.health().checks == {"envoy": "ok", "decider": "ok", "gpus": "none seen: no NVML"}
    doubles.decider = "died"
    assert engine.health().status is HealthStatus.DEGRADED
    assert engine.health().checks["decider"] == "decider: died"


async def test_limits_are_divided_in_both(doubles, engine):
    assert doubles.shares == 1


async def test_what_is_seen_is_told_and_judged_by(doubles, engine):
    await engine.apply(BEFORE)
    seen = await engine.observe()
    assert (seen.cpu_percent, seen.memory_mb) == (11.0, 22.0)
    assert doubles.moved[0].out == {"a": ("10.0.0.1:1",)}
    assert not engine.can_handle(BEFORE, BEFORE.routes[0], {"model": "m"}).can_handle
    assert engine.can_handle(BEFORE, BEFORE.routes[0], {}).can_handle


async def test_who_has_a_bad_gpu_is_not_asked_and_says_why(doubles, engine):
    doubles.healthy, doubles.trouble, doubles.bad = True, "", {"10.0.0.1:1": "GPU 0 is lost"}
    await engine.apply(BEFORE)
    assert engine.health().checks["gpus"] == "ok"
    await engine.observe()
    assert doubles.moved[0].out == {"a": ("10.0.0.1:1",)}
    assert engine.health().status is HealthStatus.DEGRADED
    assert engine.health().checks["gpus"] == "not asked: 10.0.0.1:1: GPU 0 is lost"
    verdict = engine.can_handle(BEFORE, BEFORE.routes[0], {"model": "m"})
    assert not verdict.can_handle
    assert verdict.reason.endswith("pool a: 10.0.0.1:1: GPU 0 is lost")


@pytest.mark.parametrize(
    ("probe", "status"),
    [(Probe(True, "200"), HealthStatus.HEALTHY), (Probe(False, "401"), HealthStatus.DEGRADED)],
)
async def test_a_deep_check_asks_each_pool(doubles, engine, probe, status):
    doubles.probes = {"a": probe, "unknown": probe}
    await engine.apply(BEFORE)
    health = await engine.check()
    assert health.status is status
    assert health.checks["pool:a"] == f"1 of 1 endpoints are healthy; {probe.words}"
    assert "pool:unknown" not in health.checks
