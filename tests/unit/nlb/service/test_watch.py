"""The watch over silent modules, with modules that answer probes as they are told."""

import asyncio

import pytest

from marchproxy.kit.clock import VirtualClock
from marchproxy.model.module import HealthStatus, InstanceId, ModuleInstance, ModuleType
from marchproxy.nlb.service.asker import ModuleSilent
from marchproxy.nlb.service.watch import Watch
from marchproxy.nlb.state.member import Moment
from marchproxy.nlb.state.registry import Beat, Patience, Registry, heartbeat, register

PATIENCE = Patience(interval=10.0)


class Probed:
    """`answers` by address: a health, an error; nobody else is answered in time."""

    def __init__(self):
        self.answers = {}
        self.asked = []

    async def health(self, address, *, deep, timeout):
        self.asked.append(address)
        match self.answers.get(address):
            case None:
                raise ModuleSilent("DEADLINE_EXCEEDED")
            case Exception() as error:
                raise error
            case health:
                return health, "told"


class Rig:
    def __init__(self):
        self.clock = VirtualClock()
        self.modules = Probed()
        self.registry = Registry()
        self.watch = Watch(self.modules, lambda: self.registry, PATIENCE, clock=self.clock)

    @property
    def now(self):
        return Moment(self.clock.monotonic(), self.clock.now())

    def join(self, *names):
        for name in names:
            instance = ModuleInstance(
                InstanceId(name), ModuleType.ALB, f"{name}:1", health=HealthStatus.HEALTHY
            )
            self.registry, _ = register(self.registry, instance, f"r-{name}", self.now)

    def beat(self, name):
        beat = Beat(InstanceId(name), f"r-{name}", HealthStatus.HEALTHY)
        self.registry, _ = heartbeat(self.registry, beat, self.now)


@pytest.fixture
def rig():
    rig = Rig()
    rig.join("a", "b")
    return rig


async def test_nobody_is_probed_while_somebody_is_heard(rig):
    rig.clock.advance(35)
    rig.beat("b")
    finding = await rig.watch.look()
    assert (dict(finding.reprieved), rig.modules.asked) == ({}, [])


async def test_whoever_answers_stays_and_is_probed_once_an_interval(rig):
    rig.clock.advance(35)
    rig.modules.answers = {"a:1": HealthStatus.HEALTHY}
    for _ in range(3):
        finding = await rig.watch.look()
        rig.clock.advance(1)
    assert (set(finding.reprieved), finding.cut_off) == ({"a"}, False)
    assert sorted(rig.modules.asked) == ["a:1", "b:1"]
    rig.clock.advance(10)
    await rig.watch.look()
    assert len(rig.modules.asked) == 4


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (HealthStatus.DEGRADED, True),
        (HealthStatus.UNHEALTHY, False),
        (ModuleSilent("refused", sent=False, refused=True), False),
        (ModuleSilent("UNIMPLEMENTED", alive=True), True),
        (ModuleSilent("breaker is open", sent=False), True),
        (ModuleSilent("no answer"), True),
    ],
    ids=["degraded", "unwell", "nobody listens", "an error", "not asked", "silent"],
)
async def test_what_an_answer_means_to_the_last_ones(rig, answer, kept):
    rig.modules.answers = dict.fromkeys(("a:1", "b:1"), answer)
    rig.clock.advance(35)
    assert bool((await rig.watch.look()).reprieved) is kept


async def test_being_cut_off_is_told_and_ends_with_the_first_heartbeat(rig):
    rig.clock.advance(35)
    assert (await rig.watch.look()).cut_off
    assert rig.watch.facts() == {
        "cut_off": "true",
        "silence a": "nobody is heard and nobody answers: the last plan stays",
        "silence b": "nobody is heard and nobody answers: the last plan stays",
    }
    rig.beat("b")
    finding = await rig.watch.look()
    assert (dict(finding.reprieved), rig.watch.facts()) == ({}, {})


async def test_a_probe_that_was_held_back_does_not_overwrite_an_answer(rig):
    rig.clock.advance(35)
    rig.modules.answers = dict.fromkeys(("a:1", "b:1"), ModuleSilent("x", sent=False, refused=True))
    await rig.watch.look()
    rig.clock.advance(10)
    rig.modules.answers = dict.fromkeys(("a:1", "b:1"), ModuleSilent("breaker is open", sent=False))
    assert dict((await rig.watch.look()).reprieved) == {}


async def test_a_heartbeat_during_the_probe_counts(rig):
    rig.clock.advance(35)

    async def health(address, *, deep, timeout):
        rig.beat("b")
        await asyncio.sleep(0)
        raise ModuleSilent("no answer")

    rig.modules.health = health
    finding = await rig.watch.look()
    assert (dict(finding.reprieved), finding.cut_off) == ({}, False)
