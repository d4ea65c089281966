"""CanHandle is asked once, again after a failure, and anew after a new registration."""

import asyncio
from contextlib import asynccontextmanager

from marchproxy.kit.clock import VirtualClock
from marchproxy.model.module import InstanceId
from marchproxy.model.plan import Verdict
from marchproxy.model.route import Route, RouteId
from marchproxy.nlb.service.asker import Asker, ModuleSilent
from marchproxy.nlb.state.verdicts import LISTENER, Asking, Subject


def question(instance: str = "a", registration: str = "r1", name: str = "web") -> Asking:
    return Asking(
        InstanceId(instance), f"{instance}:1", registration, Subject(LISTENER, name), Route(RouteId(""))
    )


class Modules:
    """Answers yes, unless told to be silent or to hang."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.forgotten: list[str] = []
        self.silent = 0
        self.hanging: set[str] = set()

    async def can_handle(self, address, route, *, timeout):
        self.asked.append(address)
        if address in self.hanging:
            await asyncio.Event().wait()
        if self.silent:
            self.silent -= 1
            raise ModuleSilent("not now")
        return Verdict(can_handle=True)

    async def forget(self, address):
        self.forgotten.append(address)


class Scene:
    def __init__(self, *wanted: Asking) -> None:
        self.modules, self.clock = Modules(), VirtualClock()
        self.wanted = list(wanted)
        self.answered: list[Asking] = []
        self.asker = Asker(self.modules, lambda: list(self.wanted), self.record, clock=self.clock)

    def record(self, asking: Asking, verdict: Verdict) -> None:
        self.answered.append(asking)
        if asking in self.wanted:
            self.wanted.remove(asking)

    async def settle(self) -> None:
        await self.clock.elapse(0)

    @asynccontextmanager
    async def running(self):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.asker.run())
            self.asker.wake()
            await self.settle()
            yield
            task.cancel()


async def test_each_question_is_asked_once():
    scene = Scene(*(question(name=str(number)) for number in range(20)), question("b"))
    async with scene.running():
        for _ in range(3):
            scene.asker.wake()
            await scene.settle()
    assert len(scene.modules.asked) == 21
    assert scene.wanted == []


async def test_silence_is_met_with_patience_and_growing_pauses():
    scene = Scene(question())
    scene.modules.silent = 3
    async with scene.running():
        await scene.clock.elapse(0.05)
        assert len(scene.modules.asked) == 1
        await scene.clock.elapse(2)
    assert len(scene.modules.asked) == 4
    assert len(scene.answered) == 1


async def test_one_that_hangs_delays_nobody_and_is_not_asked_twice_meanwhile():
    scene = Scene(*(question("slow", name=str(number)) for number in range(9)), question("quick"))
    scene.modules.hanging.add("slow:1")
    async with scene.running():
        scene.asker.wake()
        await scene.settle()
        assert [asking.instance_id for asking in scene.answered] == ["quick"]
        assert scene.modules.asked.count("slow:1") == 4


async def test_a_new_registration_is_asked_at_once_whatever_its_predecessor_did():
    scene = Scene(question())
    scene.modules.silent = 1_000
    async with scene.running():
        await scene.clock.elapse(20)
        scene.modules.silent = 0
        scene.wanted[:] = [question(registration="r2")]
        scene.asker.wake()
        await scene.settle()
        assert [asking.registration_id for asking in scene.answered] == ["r2"]
        assert scene.modules.forgotten == ["a:1", "a:1"]


async def test_one_that_is_gone_is_no_longer_asked():
    scene = Scene(question())
    scene.modules.silent = 1_000
    async with scene.running():
        scene.wanted.clear()
        scene.asker.wake()
        await scene.settle()
        asked = len(scene.modules.asked)
        await scene.clock.elapse(60)
        assert len(scene.modules.asked) == asked


async def test_a_question_that_fails_while_the_list_is_renewed_is_not_lost():
    scene = Scene(question())
    scene.modules.silent = 1
    async with scene.running():
        scene.asker.wake()
        await scene.settle()
        await scene.clock.elapse(1)
    assert len(scene.answered) == 1
