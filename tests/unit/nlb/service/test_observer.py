"""What the observer concludes from counts, over a virtual clock."""

import pytest
from prometheus_client import CollectorRegistry

from marchproxy.kit.clock import VirtualClock
from marchproxy.model.limit import LimitId
from marchproxy.model.module import HealthStatus, InstanceId, ModuleInstance, ModuleType
from marchproxy.model.state import DesiredState
from marchproxy.nlb.dataplane.plane import ConnectionCounts, LimitCounts, TrafficCounts
from marchproxy.nlb.service.core import Core, Surroundings
from marchproxy.nlb.service.gauges import NlbGauges
from marchproxy.nlb.service.memory import Saved, Saver
from marchproxy.nlb.service.modules import GrpcModules
from marchproxy.nlb.service.observer import SAMPLE_SECONDS, Observer
from marchproxy.nlb.state.member import Trouble
from marchproxy.nlb.state.registry import Patience
from tests.unit.nlb.nlb_double import PlaneDouble

A = InstanceId("a")


class Counting(PlaneDouble):
    """A data plane whose counts are what a test says."""

    def __init__(self):
        super().__init__()
        self.endpoint = ConnectionCounts()
        self.carries = True

    async def counts(self, *, max_age=1.0):
        return TrafficCounts(
            {"web": ConnectionCounts(1, 2, 3, 4, 5, 6)},
            {("web", A): self.endpoint} if self.carries else {},
            {LimitId("l"): LimitCounts(7, 8)},
        )


class Rig:
    def __init__(self, path):
        self.clock, self.plane = VirtualClock(), Counting()
        around = Surroundings(
            self.plane,
            GrpcModules(None),
            Saver(path),
            NlbGauges(CollectorRegistry()),
            self.clock,
            Patience(),
        )
        self.core = Core(around, Saved(), DesiredState())
        self.observer = Observer(self.plane, self.core, self.clock)
        self.core.register(ModuleInstance(A, ModuleType.ALB, "a:1", health=HealthStatus.HEALTHY), ())

    async def sample(self, opened=0, failed=0):
        """Let so many more connections be opened, and fail, before the next sample."""
        self.plane.endpoint += ConnectionCounts(total=opened, failed=failed)
        self.clock.advance(SAMPLE_SECONDS)
        await self.observer.sample()
        return self.core.member(A)


@pytest.fixture
def rig(tmp_path):
    return Rig(tmp_path)


async def test_an_endpoint_that_does_not_answer_degrades_its_instance(rig):
    await rig.sample()
    assert (await rig.sample(9, 1)).troubles == {}
    member = await rig.sample(4, 4)
    assert member.troubles == {Trouble.CONNECTS: "4 attempts to connect failed"}
    assert member.effective.health is HealthStatus.DEGRADED
    assert (await rig.sample()).troubles  # no news is no good news
    assert (await rig.sample(5, 0)).effective.health is HealthStatus.HEALTHY


async def test_without_news_the_mark_wears_off(rig):
    await rig.sample()
    await rig.sample(0, 5)
    for _ in range(11):
        assert (await rig.sample()).troubles
    assert (await rig.sample()).troubles == {}


async def test_an_instance_that_nobody_connects_to_any_more_has_no_such_trouble(rig):
    await rig.sample()
    assert (await rig.sample(0, 5)).troubles
    rig.plane.carries = False
    assert (await rig.sample()).troubles == {}


async def test_counts_become_points(rig):
    points = {(point.name, point.labels): point.value for point in await rig.observer.newest()}
    web, limit = (("listener", "web"),), (("limit", "l"),)
    assert points[("connections_active", web)] == 1
    assert points[("connections_total", web)] == 2
    assert points[("connections_failed_total", web)] == 3
    assert points[("connections_denied_total", web)] == 4
    assert points[("bytes_received_total", web)] == 5
    assert points[("bytes_sent_total", web)] == 6
    assert points[("limit_allowed_total", limit)] == 7
    assert points[("limit_denied_total", limit)] == 8
    assert {point.name for point in await rig.observer.newest(["routes"])} == {"routes"}


async def test_who_has_left_is_remembered_for_an_hour(rig):
    member = await rig.sample()
    rig.core.forget(member)
    await rig.sample()
    assert [gone.instance.instance_id for gone in rig.observer.gone()] == ["a"]
    rig.clock.advance(3600)
    assert rig.observer.gone() == []
    rig.core.register(member.instance, ())
    await rig.sample()
    rig.core.forget(rig.core.member(A))
    await rig.sample()
    rig.core.register(member.instance, ())
    assert rig.observer.gone() == []  # it is back
