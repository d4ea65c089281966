"""Shifts by hand and gradual promotions, on a clock that the test owns."""

from pathlib import Path

import pytest

from marchproxy.kit.clock import VirtualClock
from marchproxy.model.judging import RolloutLimits
from marchproxy.model.module import PoolName, Version
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.model.rollout import Phase
from marchproxy.model.route import BackendRef
from marchproxy.modules.base.core import ModuleCore
from marchproxy.modules.base.deployment import Deployment
from marchproxy.modules.base.keeper import Keeper
from marchproxy.modules.base.observation import Latency, Observation, Traffic
from marchproxy.modules.base.running import Running
from marchproxy.modules.base.sampler import Sampler
from tests.unit.modules.doubles import EngineDouble, make_core, running_core

V1, V2 = Version("v1"), Version("v2")
LIMITS = RolloutLimits(step_percent=40, interval=10, min_requests=10, max_p99_latency_ms=100)


class Bench:
    """One module whose time and counts the test controls."""

    def __init__(self, core: ModuleCore, engine: EngineDouble, clock: VirtualClock) -> None:
        self.core, self.engine, self.clock = core, engine, clock
        self.sampler = Sampler(engine, clock=clock)
        self.deployment = Deployment(core, self.sampler, clock=clock)
        self.notes: list[Running] = []
        core.on_change(self.notes.append)
        self.blue = self.green = Traffic()

    async def window(
        self, *, green: tuple[int, int], blue: tuple[int, int] = (100, 0), p99: float = 1
    ) -> None:
        """Let one interval pass in which each pool had so many (requests, failures), and decide."""
        self.blue = Traffic(self.blue.requests + blue[0], self.blue.failures + blue[1])
        self.green = Traffic(
            self.green.requests + green[0], self.green.failures + green[1], latency=Latency(p99=p99)
        )
        self.engine.count(blue=self.blue, green=self.green)
        self.clock.advance(LIMITS.interval)
        await self.deployment.advance()

    def share(self) -> int:
        return self.deployment.split("shop").share(V2)

    def ramp(self) -> tuple[Phase, str]:
        rollout = self.core.running.ramps["shop"].rollout
        return rollout.phase, rollout.reason


@pytest.fixture
async def bench() -> Bench:
    engine, clock = EngineDouble(), VirtualClock()
    return Bench(await running_core(engine, clock), engine, clock)


async def test_set_weight_reaches_the_engine(bench: Bench) -> None:
    await bench.deployment.set_weight(V2, 25)
    assert [b.weight for b in bench.engine.applied[-1].routes[0].backends] == [75, 25]
    assert bench.core.running.shifts[""].baseline == V1


async def test_set_weights_per_backend(bench: Bench) -> None:
    weights = (BackendRef(PoolName("blue"), 10), BackendRef(PoolName("green"), 90))
    await bench.deployment.set_weights("shop", weights)
    assert bench.share() == 90


@pytest.mark.parametrize("weights", [{"blue": 50, "green": 20}, {"blue": 120, "green": -20}, {"green": 100}])
async def test_shares_that_do_not_add_up_are_refused(bench: Bench, weights: dict[str, int]) -> None:
    before = bench.core.running
    with pytest.raises(Refused, match='weights: route "shop"') as refused:
        await bench.deployment.set_weights(
            "shop", tuple(BackendRef(PoolName(name), weight) for name, weight in weights.items())
        )
    assert refused.value.code is RefusalCode.INVALID_ARGUMENT
    assert bench.core.running == before


async def test_an_engine_that_refuses_leaves_everything_as_it_was(bench: Bench) -> None:
    before = bench.core.running
    bench.engine.refusal = Refused(RefusalCode.UNAVAILABLE, "no answer")
    with pytest.raises(Refused, match="no answer"):
        await bench.deployment.set_weight(V2, 25)
    assert bench.core.running == before


async def test_roll_back_to_what_was_before_the_shift(bench: Bench) -> None:
    await bench.deployment.set_weight(V2, 25)
    await bench.deployment.set_weight(V2, 60)
    assert await bench.deployment.roll_back(Version("")) == (V2, V1)
    assert bench.share() == 0


async def test_a_promotion_said_twice_can_still_be_rolled_back(bench: Bench) -> None:
    await bench.deployment.promote(V2)
    await bench.deployment.promote(V2)
    assert await bench.deployment.roll_back(Version("")) == (V2, V1)


async def test_roll_back_to_a_name(bench: Bench) -> None:
    await bench.deployment.set_weight(V2, 25, "shop")
    assert await bench.deployment.roll_back(V2, "shop") == (V1, V2)
    assert bench.share() == 100


async def test_roll_back_without_a_shift_is_refused(bench: Bench) -> None:
    with pytest.raises(Refused, match="no traffic shift to roll back; name a version"):
        await bench.deployment.roll_back(Version(""))


async def test_a_healthy_canary_is_promoted_step_by_step(bench: Bench) -> None:
    await bench.deployment.promote_gradually(V2, LIMITS, "shop")
    assert bench.share() == 40
    await bench.deployment.advance()
    assert bench.share() == 40  # its window has not passed
    await bench.window(green=(50, 0))
    assert bench.share() == 80
    await bench.window(green=(50, 0))
    assert (bench.share(), bench.ramp()[0]) == (100, Phase.PROMOTED)
    await bench.window(green=(50, 50))
    assert bench.share() == 100  # it is decided


async def test_without_traffic_it_holds_and_says_so_once(bench: Bench) -> None:
    await bench.deployment.promote_gradually(V2, LIMITS, "shop")
    await bench.window(green=(9, 0))
    assert (bench.share(), bench.ramp()) == (40, (Phase.RAMPING, "held at 40 %: 9 of 10 requests seen"))
    said = len(bench.notes)
    for _ in range(5):
        bench.clock.advance(0.5)
        await bench.deployment.advance()
    assert len(bench.notes) == said
    bench.green = Traffic(10)
    await bench.window(green=(0, 0))  # the window went on until there was enough
    assert bench.share() == 80


@pytest.mark.parametrize(
    ("green", "blue", "p99", "why"),
    [
        ((100, 20), (100, 20), 1, "20.00 % errors, the limit is 5.00 %"),
        ((200, 6), (3800, 0), 1, "3.00 % errors against 0.00 % of the baseline (p = 1.5e-08)"),
        ((100, 0), (100, 0), 101, "p99 is 101.0 ms, the limit is 100.0 ms"),
    ],
)
async def test_a_faulty_canary_is_rolled_back(
    bench: Bench, green: tuple[int, int], blue: tuple[int, int], p99: float, why: str
) -> None:
    await bench.deployment.promote_gradually(V2, LIMITS, "shop")
    await bench.window(green=green, blue=blue, p99=p99)
    phase, reason = bench.ramp()
    assert (bench.share(), phase) == (0, Phase.ROLLED_BACK)
    assert why in reason


LLM = b"""
routes:
  - id: llm
    path: /v1
    ai: {models: [{name: fast, targets: [blue, {pool: green, weight: 0}, {pool: spare, tier: 1}]}]}
pools: [{name: blue, ai: {}}, {name: green, version: v2, ai: {}}, {name: spare, ai: {}}]
"""


async def test_the_canary_of_a_model_is_compared_with_its_tier_alone(bench: Bench) -> None:
    await bench.core.load_document(LLM)
    await bench.deployment.promote_gradually(V2, LIMITS, "llm")
    assert bench.deployment.split("llm").share(V2) == 40
    # were those that stand in for the others the baseline, 3 % would be no worse than it
    bench.engine.count(blue=Traffic(3800, 0), green=Traffic(200, 6), spare=Traffic(1000, 500))
    bench.clock.advance(LIMITS.interval)
    await bench.deployment.advance()
    assert bench.deployment.split("llm").share(V2) == 0
    assert "3.00 % errors against 0.00 % of the baseline" in bench.core.running.ramps["llm"].rollout.reason


async def test_a_difference_that_may_be_chance_is_watched_for_longer(bench: Bench) -> None:
    await bench.deployment.promote_gradually(V2, LIMITS, "shop")
    await bench.window(green=(200, 6), blue=(200, 0))
    phase, reason = bench.ramp()
    assert (bench.share(), phase) == (40, Phase.RAMPING)
    assert "it may be chance" in reason
    bench.clock.advance(LIMITS.interval / 2)
    await bench.deployment.advance()
    assert bench.ramp() == (phase, reason)  # another interval, not the next beat
    await bench.window(green=(200, 6), blue=(200, 0))  # the evidence adds up
    assert (bench.share(), bench.ramp()[0]) == (0, Phase.ROLLED_BACK)


async def test_gross_failure_ends_it_before_the_window_does(bench: Bench) -> None:
    await bench.deployment.promote_gradually(V2, LIMITS, "shop")
    bench.engine.count(blue=Traffic(100), green=Traffic(12, 11))
    bench.clock.advance(2.0)
    await bench.deployment.advance()
    assert (bench.share(), bench.ramp()[0]) == (0, Phase.ROLLED_BACK)
    assert "11 of the first 12 requests failed" in bench.ramp()[1]


async def test_what_askers_do_wrong_on_both_sides_keeps_nobody_back(bench: Bench) -> None:
    await bench.deployment.promote_gradually(V2, LIMITS, "shop")
    bench.engine.count(blue=Traffic(1000, 200, rejected=200), green=Traffic(100, 20, rejected=20))
    bench.clock.advance(LIMITS.interval)
    await bench.deployment.advance()
    assert (bench.share(), bench.ramp()[1]) == (80, "100 requests, 20.00 % errors: 80 %")
    # what is counted a moment too early, or too late, is never more than all
    bench.engine.count(blue=Traffic(2000, 400, rejected=400), green=Traffic(100, 32, rejected=31))
    bench.clock.advance(LIMITS.interval)
    await bench.deployment.advance()
    assert bench.ramp() == (Phase.ROLLED_BACK, "rolled back: 12 of the first 12 requests failed")


async def test_what_was_counted_before_the_window_does_not_count(bench: Bench) -> None:
    bench.engine.count(blue=Traffic(1000), green=Traffic(1000, 900))
    bench.green = Traffic(1000, 900)
    bench.blue = Traffic(1000)
    bench.clock.advance(60)  # what the sampler saw last is older than that
    await bench.deployment.promote_gradually(V2, LIMITS, "shop")
    await bench.window(green=(50, 0))
    assert bench.share() == 80


async def test_an_engine_that_refuses_a_step_holds_the_rollout(bench: Bench) -> None:
    await bench.deployment.promote_gradually(V2, LIMITS, "shop")
    bench.engine.refusal = Refused(RefusalCode.UNAVAILABLE, "no answer")
    await bench.window(green=(50, 0))
    assert bench.ramp() == (Phase.RAMPING, "held at 40 %: no answer")
    bench.engine.refusal = None
    await bench.window(green=(50, 0))
    assert bench.share() == 80


async def test_a_shift_by_hand_ends_the_promotion(bench: Bench) -> None:
    await bench.deployment.promote_gradually(V2, LIMITS, "shop")
    await bench.deployment.set_weight(V2, 10, "shop")
    await bench.window(green=(50, 0))
    assert (bench.share(), bench.core.running.ramps) == (10, {})


async def test_a_shift_by_hand_during_a_step_has_the_last_word(bench: Bench) -> None:
    await bench.deployment.promote_gradually(V2, LIMITS, "shop")
    look = bench.engine.observe

    async def observe() -> Observation:
        bench.engine.observe = look
        await bench.deployment.set_weight(V2, 10, "shop")  # while the step asks the engine
        return await look()

    bench.engine.count(blue=Traffic(100), green=Traffic(50))
    bench.clock.advance(LIMITS.interval)
    bench.engine.observe = observe
    await bench.deployment.advance()
    assert (bench.share(), bench.core.running.ramps) == (10, {})


async def test_a_route_that_goes_ends_nothing_else(bench: Bench) -> None:
    await bench.deployment.promote_gradually(V2, LIMITS, "shop")
    gone = bench.core.desired.__class__(routes=bench.core.desired.routes[1:], pools=bench.core.desired.pools)
    await bench.core.change(lambda _: gone)
    await bench.window(green=(50, 0))  # no exception: there is nothing left to shift


async def test_it_goes_on_after_a_restart(bench: Bench, tmp_path: Path) -> None:
    await bench.deployment.promote_gradually(V2, LIMITS, "shop")
    keeper = Keeper(tmp_path / "state.json")
    keeper.keep(bench.core.running)
    keeper.flush()

    kept = keeper.load()
    assert kept is not None
    engine, clock = EngineDouble(), VirtualClock()
    core = make_core(engine, clock)
    await core.restore(kept)
    after = Bench(core, engine, clock)
    await after.deployment.advance()  # opens the window anew
    assert after.share() == 40
    await after.window(green=(50, 0))
    await after.window(green=(50, 0))
    assert (after.share(), after.ramp()[0]) == (100, Phase.PROMOTED)
    assert await after.deployment.roll_back(Version(""), "shop") == (V2, V1)
