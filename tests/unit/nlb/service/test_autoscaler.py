"""The autoscaler over a virtual clock, with launchers that do as they are told."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from marchproxy.kit.clock import VirtualClock
from marchproxy.kit.tasks import every
from marchproxy.model.autoscaling import Decision, Kind
from marchproxy.model.listener import Listener
from marchproxy.model.module import HealthStatus, InstanceId, ModuleInstance, ModuleType
from marchproxy.model.problem import InvalidValue, Refused
from marchproxy.model.scaling import ScalingConfig, ScalingLimits
from marchproxy.model.state import DesiredState
from marchproxy.nlb.dataplane.plane import ConnectionCounts, TrafficCounts
from marchproxy.nlb.service.asker import ModuleSilent
from marchproxy.nlb.service.autoscaler import SCALE_SECONDS, Autoscaler, Means
from marchproxy.nlb.service.core import Core, Surroundings
from marchproxy.nlb.service.gauges import NlbGauges
from marchproxy.nlb.service.journal import MOST_ENTRIES, Entry, Journal
from marchproxy.nlb.service.memory import Saved, Saver
from marchproxy.nlb.state.registry import Beat, Patience
from tests.unit.nlb.nlb_double import PlaneDouble

CONFIG = ScalingConfig(ModuleType.ALB, ScalingLimits(1, 4), connections=10, cooldown=60.0)
WEB = Listener("web", "127.0.0.1", 8000)
NOW = datetime(2030, 1, 1, tzinfo=UTC)


class Launchers:
    """Modules that answer Scale as `answers` says by address: text is a refusal, an error is raised, else it is done."""

    def __init__(self):
        self.asked = []
        self.answers = {}
        self.gate = asyncio.Event()
        self.gate.set()

    async def scale(self, address, count, *, timeout):
        self.asked.append((address, count))
        assert timeout == SCALE_SECONDS
        await self.gate.wait()
        match self.answers.get(address):
            case None:
                return True, "done", count, count
            case Exception() as error:
                raise error
            case str() as why:
                return False, why, 1, count

    async def forget(self, address):
        pass


class Rig:
    def __init__(self, path, *configs):
        self.clock = VirtualClock()
        self.modules = Launchers()
        self.prometheus = CollectorRegistry()
        gauges = self.gauges = NlbGauges(self.prometheus)
        around = Surroundings(PlaneDouble(), self.modules, Saver(path), gauges, self.clock, Patience())
        self.core = Core(around, Saved(), DesiredState(listeners=(WEB,), scaling=configs or (CONFIG,)))
        self.traffic = TrafficCounts()
        self.journal = Journal()  # none on disk: a thread knows no virtual time
        means = Means(self.modules, gauges, self.journal, lambda: self.traffic)
        self.scaler = Autoscaler(self.core, means, window=90.0)

    def join(self, name):
        instance = ModuleInstance(name, ModuleType.ALB, f"{name}:1", health=HealthStatus.HEALTHY)
        self.core.register(instance, ())

    def beat(self, **connections):
        self.clock.advance(1)
        for name, count in connections.items():
            registration = self.core.member(name).registration_id
            self.core.heartbeat(Beat(name, registration, HealthStatus.HEALTHY, connections=count))

    @property
    def last(self):
        return self.scaler.entries(ModuleType.ALB)[-1]


@pytest.fixture
def rig(tmp_path):
    return Rig(tmp_path)


async def test_more_load_asks_for_more_and_tells(rig):
    rig.join("a")
    rig.beat(a=25)
    await rig.scaler.look()
    assert rig.modules.asked == [("a:1", 3)]
    assert rig.scaler.wanted(ModuleType.ALB) == 3
    assert rig.scaler.facts() == {"scaling alb": "up 1 → 3: connections 25.0 of 10 on 1 ready (a: done)"}
    metrics = generate_latest(rig.prometheus).decode()
    assert 'marchproxy_nlb_scaling_decisions_total{decision="up",type="alb"} 1.0' in metrics
    assert 'marchproxy_nlb_scaling_wanted{type="alb"} 3.0' in metrics
    rig.join("b")
    rig.join("c")
    assert rig.scaler.wanted(ModuleType.ALB) is None  # they are there


async def test_launchers_that_refuse_are_asked_last_and_cost_no_cooldown(rig):
    for name in ("a", "b"):
        rig.join(name)
    rig.modules.answers = {"a:1": "no launcher", "b:1": "no launcher"}
    rig.beat(a=15, b=15)
    await rig.scaler.look()
    assert rig.modules.asked == [("a:1", 2), ("b:1", 2)]
    assert "failed: a refused: no launcher; b refused: no launcher" in rig.last.outcome
    rig.modules.asked.clear()
    rig.modules.answers = {"a:1": "no launcher"}
    await rig.scaler.look()
    await rig.scaler.look()  # now there is a cooldown
    assert rig.modules.asked == [("a:1", 2), ("b:1", 2)]
    assert (rig.last.decision.kind, "cooldown" in rig.last.decision.reason) == (Kind.HOLD, True)
    rig.modules.asked.clear()
    await rig.scaler.request(ModuleType.ALB, 4)
    assert rig.modules.asked == [("b:1", 3)]


async def test_nobody_else_is_asked_in_place_of_one_that_may_be_at_work(rig):
    for name in ("a", "b"):
        rig.join(name)
    rig.modules.answers = {"a:1": ModuleSilent("a:1: DEADLINE_EXCEEDED")}
    rig.beat(a=15, b=15)
    await rig.scaler.look()
    assert rig.modules.asked == [("a:1", 2)]
    assert "DEADLINE_EXCEEDED" in rig.last.outcome


async def test_a_change_under_way_is_visible(rig):
    rig.join("a")
    rig.beat(a=25)
    rig.modules.gate.clear()
    async with asyncio.TaskGroup() as group:
        group.create_task(rig.scaler.look())
        while not rig.modules.asked:
            await asyncio.sleep(0)
        assert rig.last.outcome == "under way"
        assert rig.scaler.wanted(ModuleType.ALB) == 3
        rig.modules.gate.set()
    assert rig.last.outcome == "a: done"


async def test_fewer_only_when_all_reported_and_the_window_is_over(rig):
    for name in ("a", "a.2"):
        rig.join(name)
    rig.beat(a=1)
    async with asyncio.TaskGroup() as group:
        loop = group.create_task(every(30, rig.scaler.look, clock=rig.clock, name="scale"))
        await rig.clock.elapse(300)
        assert rig.modules.asked == []
        assert "missing" in rig.last.decision.reason
        rig.beat(**{"a": 1, "a.2": 1})
        await rig.clock.elapse(30)
        loop.cancel()
    assert rig.modules.asked[0] == ("a:1", 1)


async def test_requests_are_recorded_and_their_bounds_hold_until_the_next_configuration(rig):
    rig.join("a")
    scaled = await rig.scaler.request(ModuleType.ALB, 2)
    assert (scaled.current, scaled.desired) == (2, 2)
    assert (rig.last.manual, str(rig.last)) == (True, "by request, up 1 → 2: 2 asked for (a: done)")
    rig.scaler.override(ScalingConfig(ModuleType.ALB, ScalingLimits(2, 3)))
    assert rig.scaler.config(ModuleType.ALB).limits == ScalingLimits(2, 3)
    with pytest.raises(InvalidValue, match="max_instances"):
        rig.scaler.override(ScalingConfig(ModuleType.ALB, ScalingLimits(3, 2)))
    await rig.core.configure(DesiredState(scaling=(ScalingConfig(ModuleType.ALB, ScalingLimits(1, 9)),)))
    assert rig.scaler.config(ModuleType.ALB).limits == ScalingLimits(1, 9)
    rig.modules.answers = {"a:1": "no"}
    with pytest.raises(Refused, match="a refused: no"):
        await rig.scaler.request(ModuleType.ALB, 2)


async def test_one_that_was_not_reached_is_passed_over(rig):
    for name in ("a", "b"):
        rig.join(name)
    rig.modules.answers = {"a:1": ModuleSilent("connection refused", sent=False, refused=True)}
    rig.beat(a=15, b=15)
    await rig.scaler.look()
    assert rig.modules.asked == [("a:1", 2), ("b:1", 2)]
    assert rig.last.outcome == "b: done"


async def test_what_may_be_at_work_counts_as_a_change(rig):
    rig.join("a")
    rig.modules.answers = {"a:1": ModuleSilent("a:1: DEADLINE_EXCEEDED")}
    rig.beat(a=25)
    await rig.scaler.look()
    rig.beat(a=25)
    await rig.scaler.look()
    assert "cooldown" in rig.last.decision.reason
    assert len(rig.modules.asked) == 1


@pytest.mark.parametrize(
    "counts",
    [
        TrafficCounts({}, {("web", InstanceId("a")): ConnectionCounts(total=8, failed=2)}),
        TrafficCounts({"web": ConnectionCounts(total=10, failed=2)}),
    ],
    ids=["connects to an instance", "connections that reached nobody"],
)
async def test_failures_that_the_data_plane_sees_bring_an_instance(tmp_path, counts):
    rig = Rig(tmp_path, replace(CONFIG, max_error_percent=10))
    rig.join("a")
    rig.beat(a=1)
    await rig.scaler.look()
    assert rig.modules.asked == []
    rig.traffic = counts
    rig.beat(a=1)
    await rig.scaler.look()
    assert rig.last.decision.reason == "errors 20.0 % of 10 % allowed"
    assert rig.modules.asked == [("a:1", 2)]


async def test_questions_that_led_nowhere_bring_an_instance(tmp_path):
    rig = Rig(tmp_path, replace(CONFIG, max_error_percent=10))
    rig.join("a")
    for routed in (True, True, True, False):
        rig.gauges.decided("web", routed=routed)
    rig.beat(a=1)
    await rig.scaler.look()
    assert rig.last.decision.reason == "errors 25.0 % of 10 % allowed"


async def test_of_decisions_that_change_nothing_the_last_is_kept(rig):
    rig.join("a")
    for _ in range(3):
        rig.clock.advance(30)
        await rig.scaler.look()
    assert [entry.at for entry in rig.scaler.entries(ModuleType.ALB)] == [rig.clock.now()]


def test_the_journal_is_bounded():
    journal = Journal()
    for number in range(MOST_ENTRIES + 50):
        journal.add(ModuleType.ALB, Entry(NOW, Decision(Kind.UP, number, number + 1, "load")))
    assert [journal.of(ModuleType.ALB)[index].decision.from_ for index in (0, -1)] == [50, 149]


async def test_the_journal_outlives_a_restart(tmp_path):
    journal = Journal(tmp_path / "scaling.json")
    done = Entry(NOW, Decision(Kind.UP, 1, 3, "load"), "a: done", manual=True)
    journal.add(ModuleType.ALB, done)
    journal.add(ModuleType.ALB, Entry(NOW, Decision(Kind.DOWN, 3, 2, "no load")).begun())
    journal.add(ModuleType.RTMP, Entry(NOW, Decision(Kind.HOLD, 1, 1, "steady")))
    await journal.save()
    again = Journal(tmp_path / "scaling.json")
    assert again.of(ModuleType.ALB)[0] == done
    assert again.of(ModuleType.ALB)[1].outcome == "abandoned: the NLB was restarted"
    assert again.of(ModuleType.RTMP) == journal.of(ModuleType.RTMP)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": 9}', '{"format": 1, "entries": [{}]}'])
def test_a_damaged_journal_is_left_behind(tmp_path, content):
    path = tmp_path / "scaling.json"
    path.write_text(content)
    assert Journal(path).all() == []
