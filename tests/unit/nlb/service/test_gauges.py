"""The NLB's own metrics, as a scrape sees them."""

from dataclasses import replace
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, generate_latest

from marchproxy.model.judging import RolloutLimits
from marchproxy.model.module import HealthStatus, InstanceId, ModuleInstance, ModuleType, Version
from marchproxy.model.ramp import Ramp
from marchproxy.model.rollout import begin
from marchproxy.nlb.service.gauges import NlbGauges
from marchproxy.nlb.state.member import Moment, Trouble
from marchproxy.nlb.state.registry import Registry, note_trouble, register
from marchproxy.nlb.state.world import World

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def scraped(world: World, act=lambda gauges: None) -> dict[str, float]:
    registry = CollectorRegistry()
    gauges = NlbGauges(registry)
    gauges.watch(lambda: world)
    act(gauges)
    lines = [line.rsplit(" ", 1) for line in generate_latest(registry).decode().splitlines()]
    return {name.removeprefix("marchproxy_nlb_"): float(value) for name, value in lines if name[0] != "#"}


def test_members_and_their_troubles():
    instance = ModuleInstance(InstanceId("a"), ModuleType.ALB, "h:1", health=HealthStatus.HEALTHY)
    registry, _ = register(Registry(), instance, "r", Moment(0.0, NOW))
    registry, _ = note_trouble(registry, instance.instance_id, Trouble.CALLS, "silent")
    found = scraped(World(registry=registry))
    assert found['modules{health="degraded",standing="active",type="alb"}'] == 1
    assert found['modules_in_trouble{trouble="calls"}'] == 1
    assert found['modules_in_trouble{trouble="connects"}'] == 0


def test_rollouts():
    rollout, _ = begin(Version("v2"), 5, RolloutLimits(), 0.0, target="web")
    world = World()
    world = replace(world, progress=world.progress.with_ramp(Ramp(rollout, RolloutLimits(), NOW)))
    found = scraped(world)
    assert (found['rollouts{phase="ramping"}'], found['rollouts{phase="rolled_back"}']) == (1, 0)
    assert found['rollout_percent{listener="web",version="v2"}'] == rollout.percent


def test_what_happens_is_counted():
    def act(gauges: NlbGauges) -> None:
        gauges.call_failed("refused")
        gauges.drained(ended=3, left=1)
        gauges.shed(closed=2, left=4)
        gauges.cut_off(yes=True)
        gauges.decided("web", routed=False)

    found = scraped(World(), act)
    assert found['module_calls_total{result="refused"}'] == 1
    assert found['drained_connections_total{result="ended"}'] == 3
    assert found['drained_connections_total{result="left"}'] == 1
    assert found['shed_connections_total{result="closed"}'] == 2
    assert found["cut_off"] == 1
    assert found['route_requests_total{listener="web",routed="false"}'] == 1
