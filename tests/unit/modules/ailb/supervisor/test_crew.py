"""A decider and a relay that are none: told all or nothing, started again, and what is said of them."""

import asyncio
from contextlib import asynccontextmanager, contextmanager

import pytest

from marchproxy.engines.workers import words
from marchproxy.engines.workers.seat import Seat, WorkerUnavailable
from marchproxy.kit.clock import VirtualClock
from marchproxy.model.module import PoolName
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.model.route import Route, RouteId
from marchproxy.model.state import DesiredState
from marchproxy.modules.ailb import talk
from marchproxy.modules.ailb.supervisor.crew import Crew
from marchproxy.modules.ailb.supervisor.keys_file import KeysFile

KEYS = b'virtual_keys: [{id: a, hash: "%064d"}]\n'


class FakeProcess:
    """Answers as a process would; `refuses` are its next answers to Apply."""

    def __init__(self, told, name):
        self.name, self.told, self.pid, self.log = name, told, None, self
        self.refuses, self.running, self.starts, self.mute = [], False, 0, False
        self._end = asyncio.Event()

    async def adopt(self):
        self.pid = 1 if self.running else None
        return self.running

    async def start(self):
        self.starts += 1
        self.pid, self._end = 10 + self.starts, asyncio.Event()

    async def ask(self, question):
        if self.pid is None or self.mute:
            raise WorkerUnavailable("no answer")
        if isinstance(question, talk.Apply) and self.refuses:
            return self.refuses.pop(0)
        self.told.append((self.name, question))
        return talk.Counts(under_way=7) if isinstance(question, words.Count) else words.Done()

    async def ended(self):
        await self._end.wait()
        self.pid = None

    def die(self):
        self._end.set()

    def kill(self):
        self.pid = None

    def reap(self):
        pass

    async def end(self, seconds):
        self.kill()

    def let_go(self):
        self.pid = None

    async def trim(self):
        pass


class Rig:
    def __init__(self, keys=None):
        self.clock, self.told = VirtualClock(), []
        self.decider, self.relay = FakeProcess(self.told, "decider"), FakeProcess(self.told, "relay")
        self.standing = []
        self.crew = Crew(
            Seat(self.decider, clock=self.clock, meanwhile=self.stand_by),
            [Seat(self.relay, clock=self.clock)],
            KeysFile(keys),
            clock=self.clock,
        )

    @contextmanager
    def stand_by(self):
        self.standing.append("begins")
        try:
            yield
        finally:
            self.standing.append("ends")

    async def settle(self, done, seconds=0.0):
        self.clock.advance(seconds)
        async with asyncio.timeout(10):
            while not done():
                await asyncio.sleep(0)

    def names(self):
        return [(name, question.kind) for name, question in self.told]


@asynccontextmanager
async def running(keys=None):
    rig = Rig(keys)
    async with rig.crew.running():
        yield rig


def state(name="r"):
    return DesiredState(routes=(Route(RouteId(name)),))


async def test_relays_hear_of_a_document_before_the_decider_may_name_them_pools():
    async with running() as rig:
        await rig.crew.apply(state())
        assert rig.names() == [("relay", "apply"), ("decider", "apply")]
        assert '"r"' in rig.told[0][1].document
        assert rig.crew.health() == {"relay:0": "ok", "decider": "ok", "keys_file": "ok"}


@pytest.mark.parametrize("who", ["relay", "decider"])
async def test_when_one_refuses_all_go_by_what_was_before(who):
    async with running() as rig:
        await rig.crew.apply(state("old"))
        rig.told.clear()
        getattr(rig, who).refuses = [words.Refused("no")]
        with pytest.raises(Refused, match="no") as refused:
            await rig.crew.apply(state("new"))
        assert refused.value.code is RefusalCode.INVALID_ARGUMENT
        last = dict(rig.told)
        assert {name: "old" in question.document for name, question in last.items()} == {
            "relay": True,
            "decider": True,
        }


async def test_one_that_dies_is_started_again_and_told_what_holds():
    async with running() as rig:
        await rig.crew.apply(state())
        await rig.settle(lambda: rig.crew.health()["decider"] == "ok")
        rig.told.clear()
        rig.standing.clear()
        rig.decider.die()
        await rig.settle(lambda: rig.standing == ["begins", "ends"])
        assert rig.names() == [("decider", "apply")]
        assert rig.decider.starts == 2


async def test_somebody_stands_by_until_a_new_decider_was_told():
    async with running() as rig:
        assert rig.standing == ["begins"]
        await rig.crew.apply(state())
        assert rig.standing == ["begins", "ends"]


async def test_what_runs_is_adopted():
    rig = Rig()
    rig.decider.running = rig.relay.running = True
    async with rig.crew.running():
        await rig.crew.apply(state())
        assert (rig.decider.starts, rig.relay.starts) == (0, 0)
        assert rig.standing == []


async def test_endpoints_that_moved_are_told_once():
    async with running() as rig:
        await rig.crew.apply(state())
        rig.told.clear()
        moved = talk.Move(out={PoolName("p"): ("10.0.0.1:1",)})
        await rig.crew.move(moved)
        await rig.crew.move(moved)
        assert rig.names() == [("relay", "move"), ("decider", "move")]


async def test_endpoints_are_told_again_to_one_that_did_not_hear():
    async with running() as rig:
        await rig.crew.apply(state())
        moved = talk.Move(out={PoolName("p"): ("10.0.0.1:1",)})
        rig.decider.mute = True
        await rig.crew.move(moved)
        rig.decider.mute = False
        rig.told.clear()
        await rig.crew.move(moved)
        assert ("decider", "move") in rig.names()


async def test_keys_in_a_file_and_shares_are_told_when_they_change(tmp_path):
    path = tmp_path / "keys.yaml"
    path.write_bytes(KEYS % 1)
    async with running(path) as rig:
        await rig.crew.apply(state())
        assert rig.told[-1][1].keys == KEYS % 1
        rig.crew.divide(3)
        await rig.settle(lambda: rig.told[-1][1].instances == 3, seconds=1.0)
        path.write_bytes(KEYS % 22)
        for _ in range(2):  # a change counts once it was left alone from one look to the next
            await rig.settle(lambda: True, seconds=1.0)
            await asyncio.sleep(0)
        await rig.settle(lambda: rig.told[-1][1].keys == KEYS % 22, seconds=1.0)
        assert rig.told[-1][1].keys_file == str(path)


async def test_a_decider_that_was_started_again_is_told_who_is_out():
    async with running() as rig:
        await rig.crew.apply(state())
        moved = talk.Move(out={PoolName("p"): ("10.0.0.1:1",)})
        await rig.crew.move(moved)
        before = rig.decider.starts
        rig.decider.die()
        await rig.settle(lambda: rig.decider.starts > before and rig.crew.health()["decider"] == "ok")
        rig.told.clear()
        await rig.crew.move(moved)
        assert rig.told[-1] == ("decider", moved)


async def test_counts_are_the_last_ones_while_the_decider_is_silent():
    async with running() as rig:
        await rig.crew.apply(state())
        pid, counts = await rig.crew.count()
        rig.decider.mute = True
        assert await rig.crew.count() == (pid, counts)
        assert counts.under_way == 7
