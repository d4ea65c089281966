"""The applier: the last wish counts, a refusal leaves the last good plan, a lost data plane is tried again."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from marchproxy.kit.clock import SystemClock
from marchproxy.model.listener import Listener
from marchproxy.model.plan import ForwardingPlan, ListenerPlan
from marchproxy.nlb.dataplane.plane import Forwarding, PlaneRefused
from marchproxy.nlb.service.applier import Applier
from marchproxy.nlb.service.gauges import NlbGauges
from tests.unit.nlb.nlb_double import PlaneDouble


def wish(*ports: int) -> Forwarding:
    listeners = (Listener(f"p{port}", "127.0.0.1", port) for port in ports)
    return Forwarding(ForwardingPlan(tuple(ListenerPlan(listener, ()) for listener in listeners)))


class Scene:
    def __init__(self) -> None:
        self.plane, self.wanted = PlaneDouble(), wish()
        self.remembered = 0
        self.applier = Applier(
            self.plane,
            lambda: self.wanted,
            remember=self.remember,
            clock=SystemClock(),
            gauges=NlbGauges(CollectorRegistry()),
        )

    async def remember(self) -> None:
        assert self.wanted not in self.plane.applied  # before, not after
        self.remembered += 1

    def want(self, forwarding: Forwarding) -> None:
        self.wanted = forwarding
        self.applier.wake()


async def test_the_first_plan_is_applied_even_when_empty_and_an_equal_one_is_not():
    scene = Scene()
    await scene.applier.apply_wanted()
    await scene.applier.apply_wanted()
    assert scene.plane.applied == [wish()]
    assert scene.remembered == 0


async def test_what_a_plan_rests_on_is_remembered_before_it_is_applied():
    scene = Scene()
    for forwarding in (wish(1), wish(1), wish(2)):
        scene.want(forwarding)
        await scene.applier.apply_wanted()
    assert scene.remembered == 2


async def test_of_several_changes_the_last_counts():
    scene = Scene()
    async with asyncio.TaskGroup() as group:
        loop = group.create_task(scene.applier.run())
        for port in (1, 2, 3):
            scene.want(wish(port))
        assert await scene.applier.settled(5)
        loop.cancel()
    assert scene.plane.applied == [wish(3)]
    assert scene.applier.forwarding == wish(3)


async def test_a_refused_plan_leaves_the_last_good_one_until_the_wish_changes():
    scene = Scene()
    async with asyncio.TaskGroup() as group:
        loop = group.create_task(scene.applier.run())
        scene.want(wish(1))
        assert await scene.applier.settled(5)
        scene.plane.refusal = "port 2 is taken"
        scene.want(wish(2))
        assert not await scene.applier.settled(0.05)
        assert (scene.applier.forwarding, scene.applier.fault) == (wish(1), "port 2 is taken")
        scene.plane.refusal = ""
        scene.want(wish(3))
        assert await scene.applier.settled(5)
        loop.cancel()
    assert scene.plane.applied == [wish(1), wish(3)]
    assert scene.applier.fault == ""


async def test_a_data_plane_that_comes_back_gets_the_plan_without_being_asked():
    scene = Scene()
    scene.plane.away = True
    async with asyncio.TaskGroup() as group:
        loop = group.create_task(scene.applier.run())
        scene.want(wish(1))
        assert not await scene.applier.settled(0.05)
        scene.plane.away = False
        assert await scene.applier.settled(5)
        loop.cancel()
    assert scene.plane.applied == [wish(1)]


async def test_an_exclusive_change_keeps_others_waiting():
    scene = Scene()
    async with asyncio.TaskGroup() as group:
        loop = group.create_task(scene.applier.run())
        async with scene.applier.exclusive() as apply:
            await apply(wish(7))
            scene.want(wish(8))
            assert not await scene.applier.settled(0.05)
            scene.plane.refusal = "no"
            with pytest.raises(PlaneRefused):
                await apply(wish(9))
            scene.plane.refusal = ""
        assert await scene.applier.settled(5)
        loop.cancel()
    assert scene.plane.applied == [wish(7), wish(8)]
