"""Instances that leave, over a virtual clock."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from marchproxy.kit.clock import VirtualClock
from marchproxy.model.module import HealthStatus, InstanceId, ModuleInstance, ModuleType
from marchproxy.model.state import DesiredState
from marchproxy.nlb.service.core import Core, Surroundings
from marchproxy.nlb.service.gauges import NlbGauges
from marchproxy.nlb.service.leaving import Departure, Doorkeeper
from marchproxy.nlb.service.memory import Saved, Saver
from marchproxy.nlb.service.modules import GrpcModules
from marchproxy.nlb.service.observer import Observer
from marchproxy.nlb.state.registry import Patience
from tests.unit.nlb.nlb_double import PlaneDouble

A, B = InstanceId("a"), InstanceId("b")


class Rig:
    def __init__(self, path):
        self.clock, self.plane, self.prometheus = VirtualClock(), PlaneDouble(), CollectorRegistry()
        gauges = NlbGauges(self.prometheus)
        around = Surroundings(
            self.plane, GrpcModules(None), Saver(path), gauges, self.clock, Patience(interval=1000.0)
        )
        self.core = Core(around, Saved(), DesiredState())
        self.keeper = Doorkeeper(self.core, Observer(self.plane, self.core, self.clock), self.clock, gauges)
        for name in (A, B):
            self.join(name)

    def join(self, name):
        return self.core.register(
            ModuleInstance(name, ModuleType.ALB, f"{name}:1", health=HealthStatus.HEALTHY), ()
        )

    async def after(self, seconds, **connections):
        """Let time pass, and so many connections be open from then on."""
        await self.clock.elapse(seconds)
        self.plane.connections |= connections


@pytest.fixture
async def rig(tmp_path):
    rig = Rig(tmp_path)
    async with asyncio.TaskGroup() as group:
        applying = group.create_task(rig.core.applier.run())
        yield rig
        applying.cancel()


@pytest.mark.parametrize(
    ("seconds", "steps", "departure", "took"),
    [
        (10.0, [(2.0, 1), (3.0, 0)], Departure(3, 0, in_plan=False), 5.25),
        (4.0, [(2.0, 1), (9.0, 0)], Departure(2, 1, in_plan=False), 4.0),
        (0.0, [], Departure(0, 3, in_plan=False), 0.0),
        (10.0, [(1.0, 5), (1.0, 0)], Departure(5, 0, in_plan=False), 2.25),
    ],
    ids=["all end", "the deadline", "not graceful", "late arrivals"],
)
async def test_connections_are_waited_for_up_to_the_deadline(rig, seconds, steps, departure, took):
    rig.plane.connections = {"a": 3, "b": 7}
    async with asyncio.TaskGroup() as group:
        leaving = group.create_task(rig.keeper.see_off(A, "", seconds))
        await rig.clock.elapse(0)
        for pause, left in steps:
            await rig.after(pause, a=left)
        await rig.clock.elapse(20)
    assert leaving.result() == departure
    assert rig.core.member(A) is None
    metrics = generate_latest(rig.prometheus).decode()
    assert f'drained_connections_total{{result="ended"}} {departure.drained:.1f}' in metrics
    assert f'drained_connections_total{{result="left"}} {departure.left:.1f}' in metrics


async def test_several_leave_at_once_each_by_its_own_deadline(rig):
    rig.plane.connections = {"a": 1, "b": 1}
    async with asyncio.TaskGroup() as group:
        first = group.create_task(rig.keeper.see_off(A, "", 2.0))
        second = group.create_task(rig.keeper.see_off(B, "", 30.0))
        await rig.clock.elapse(5)
        assert (first.done(), second.done()) == (True, False)
        await rig.after(1, b=0)
        await rig.clock.elapse(1)
    assert (first.result(), second.result()) == (
        Departure(0, 1, in_plan=False),
        Departure(1, 0, in_plan=False),
    )


async def test_the_same_instance_may_be_seen_off_twice(rig):
    rig.plane.connections = {"a": 1}
    async with asyncio.TaskGroup() as group:
        both = [group.create_task(rig.keeper.see_off(A, "", seconds)) for seconds in (9.0, 30.0)]
        await rig.after(3, a=0)
        await rig.clock.elapse(1)
    assert [task.result().left for task in both] == [0, 0]


async def test_one_that_is_back_under_its_name_ends_the_wait(rig):
    rig.plane.connections = {"a": 4}
    async with asyncio.TaskGroup() as group:
        leaving = group.create_task(rig.keeper.see_off(A, "", 60.0))
        await rig.clock.elapse(1)
        again = rig.join(A)
        await rig.clock.elapse(1)
        assert leaving.done()
    assert rig.core.member(A) == again


async def test_a_wait_that_is_cancelled_still_removes(rig):
    rig.plane.connections = {"a": 4}
    async with asyncio.TaskGroup() as group:
        leaving = group.create_task(rig.keeper.see_off(A, "", 60.0))
        await rig.clock.elapse(1)
        leaving.cancel()
    assert rig.core.member(A) is None
