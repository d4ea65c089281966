"""A crew of workers that are none: told all or nothing, started again, replaced, and what is said of them."""

import asyncio
import socket
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from marchproxy.engines.workers import words
from marchproxy.engines.workers.files import read_files
from marchproxy.engines.workers.seat import Seat, WorkerUnavailable
from marchproxy.kit.clock import VirtualClock
from marchproxy.kit.settings import HostPort
from marchproxy.model.http import Authentication, AuthenticationKind
from marchproxy.model.module import Protocol
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.model.route import RouteId
from marchproxy.modules.dblb import talk
from marchproxy.modules.dblb.plan import files_of
from marchproxy.modules.dblb.supervisor.workforce import Workforce
from marchproxy.modules.dblb.tally import TallyKey
from marchproxy.modules.dblb.totals import Entry
from marchproxy.modules.reception.port import Port
from marchproxy.modules.reception.serving import Serving
from tests.ports import free_port
from tests.unit.modules.dblb.echo_service import state

KEY = TallyKey("redis", "r", "p", "0", "me")
ROUTE = RouteId("r")


class FakeProcess:
    """Answers as a worker would; `refuses` is its next answer to Apply, `mute` keeps it from answering at all."""

    def __init__(self, number):
        self.number, self.pid = number, None
        self.log = self
        self.heard, self.refuses, self.mute, self.fails = [], [], False, 0
        self.running, self.starts, self.retired = False, 0, []
        self.queries, self.clients = 0, 0
        self.ports = (HostPort("127.0.0.1", 1),)
        self._end = asyncio.Event()

    @property
    def plan(self):
        return [one for one in self.heard if isinstance(one, talk.Apply)][-1]

    async def adopt(self):
        if self.running:
            self.pid = 100 + self.number
        return self.running

    async def start(self):
        if self.fails:
            self.fails -= 1
            raise WorkerUnavailable("it cannot be started")
        self.starts += 1
        self.pid = 1000 * self.starts + self.number
        self.queries, self._end, self.heard = 0, asyncio.Event(), []

    async def ask(self, question):
        if self.mute or self.pid is None:
            raise WorkerUnavailable("no answer")
        self.heard.append(question)
        match question:
            case talk.Apply() if self.refuses:
                return self.refuses.pop(0)
            case words.Count():
                entries = (Entry(KEY, {"queries": self.queries}),)
                return talk.Counts(entries, clients=self.clients, ports=self.ports)
            case talk.Servers(ask):
                reports = [
                    talk.ServerReport("p", "s:1", "primary", fault="down" if self.number and ask else "")
                ]
                return talk.Seen(tuple(reports))
            case talk.Busy():
                return talk.Number(self.number + 1)
        return words.Done()

    async def ended(self):
        if self.pid is not None:
            await self._end.wait()
            self.pid = None

    def die(self):
        self._end.set()

    def kill(self):
        self.die()
        self.pid = None

    def retire(self):
        self.retired.append(self.pid)
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
    def __init__(self, count=2):
        self.clock = VirtualClock()
        self.processes = [FakeProcess(number) for number in range(count)]
        self.port = Port("redis", Protocol.REDIS, HostPort("127.0.0.1", free_port()))
        self.faulty = ""
        seats = [Seat(process, clock=self.clock) for process in self.processes]
        self.crew = Workforce(seats, self, clock=self.clock)

    # as Doors

    def serving(self):
        return Serving((self.port,), drain_seconds=9.0)

    def look(self):
        return False

    def trouble(self):
        return self.faulty

    async def settle(self, done, seconds=0.0):
        """Let time pass until a condition holds."""
        self.clock.advance(seconds)
        async with asyncio.timeout(10):
            while not done():
                await asyncio.sleep(0)

    async def apply(self, wanted=None):
        wanted = wanted or state()
        await self.crew.apply(wanted, read_files(files_of(wanted)))


@asynccontextmanager
async def crew(**options):
    rig = Rig(**options)
    async with rig.crew.running():
        yield rig


async def test_all_are_started_and_told():
    async with crew() as rig:
        await rig.apply()
        assert [process.starts for process in rig.processes] == [1, 1]
        assert rig.processes[0].plan == rig.processes[1].plan
        assert rig.crew.health() == {"worker:0": "ok", "worker:1": "ok", "files": "ok"}
        rig.faulty = "/c: holds no certificate"
        assert rig.crew.health()["files"] == "/c: holds no certificate"
    assert [process.pid for process in rig.processes] == [None, None]


async def test_what_one_refuses_none_does():
    async with crew() as rig:
        await rig.apply()
        before = rig.processes[0].plan
        rig.processes[1].refuses = [words.Refused("no such thing")]
        with pytest.raises(Refused, match="no such thing") as caught:
            await rig.apply(replace(state(), routes=()))
        assert caught.value.code is RefusalCode.INVALID_ARGUMENT
        assert [process.plan for process in rig.processes] == [before, before]


async def test_a_port_may_become_free():
    async with crew() as rig:
        rig.processes[0].refuses = [words.Refused("in use", in_use=True)]
        applying = asyncio.create_task(rig.apply())
        await rig.settle(lambda: rig.processes[0].heard)
        await rig.settle(applying.done, 0.1)
        await applying


async def test_a_port_that_somebody_has_is_not_shared():
    async with crew() as rig:
        with socket.create_server(("127.0.0.1", rig.port.address.port)):
            applying = asyncio.create_task(rig.apply())
            while not applying.done():
                rig.clock.advance(0.5)
                await asyncio.sleep(0)
            with pytest.raises(Refused, match=r"redis: cannot listen on .* already in use"):
                await applying
        assert rig.processes[0].starts == 0


async def test_one_that_dies_is_started_again_and_told():
    async with crew() as rig:
        await rig.apply()
        died = rig.processes[1]
        died.queries = 5
        await rig.crew.count()
        died.fails = 1
        died.die()
        await rig.settle(lambda: "cannot be started again" in rig.crew.health()["worker:1"])
        await rig.apply(replace(state(), scaling=()))  # the others go on, and it is told when it is back
        await rig.settle(lambda: rig.crew.health()["worker:1"] == "ok", 6.0)
        assert died.plan == rig.processes[0].plan
        died.queries = 1
        counted = await rig.crew.count()
        assert counted.tallies[KEY].queries == 6


async def test_one_that_never_answers_is_killed():
    async with crew() as rig:
        await rig.apply()
        rig.processes[0].mute = True
        for _ in range(3):
            await rig.crew.count()
        rig.processes[0].mute = False
        await rig.settle(lambda: rig.processes[0].starts >= 2, 6.0)
        await rig.settle(lambda: rig.crew.health()["worker:0"] == "ok", 6.0)


async def test_without_workers_nothing_can_be_asked():
    async with crew(count=1) as rig:
        for asking in (rig.crew.count(), rig.crew.check(), rig.crew.servers()):
            with pytest.raises(Refused) as caught:
                await asking
            assert caught.value.code is RefusalCode.UNAVAILABLE
        assert await rig.crew.drain(1.0) == 0


async def test_answers_are_put_together():
    async with crew() as rig:
        await rig.apply()
        assert await rig.crew.busy(ROUTE) == 3
        assert [one.fault for one in await rig.crew.servers()] == [""]
        assert [one.fault for one in await rig.crew.check()] == ["down"]


async def test_a_pause_is_kept_by_those_who_start_meanwhile():
    async with crew() as rig:
        with pytest.raises(Refused):
            await rig.crew.pause([ROUTE], 3.0)
        await rig.apply()
        await rig.crew.pause([ROUTE], 3.0)
        await rig.apply(replace(state(), routes=()))
        rig.processes[0].die()
        await rig.settle(lambda: rig.processes[0].starts == 2 and rig.processes[0].heard)
        assert [process.plan.paused for process in rig.processes] == [{ROUTE: 3.0}] * 2
        await rig.settle(lambda: rig.crew.health()["worker:0"] == "ok")
        await rig.crew.resume()
        assert [process.plan.paused for process in rig.processes] == [{}] * 2


async def test_a_drain_waits_for_clients():
    async with crew() as rig:
        await rig.apply()
        rig.processes[1].clients = 2
        draining = asyncio.create_task(rig.crew.drain(5.0))
        await rig.settle(lambda: talk.Drain() in rig.processes[1].heard)
        rig.clock.advance(5.0)
        while not draining.done():
            rig.clock.advance(0.02)
            await asyncio.sleep(0)
        assert await draining == 2


async def test_workers_are_replaced_and_the_old_ones_finish():
    async with crew() as rig:
        await rig.apply()
        before = [process.pid for process in rig.processes]
        told = rig.processes[0].plan
        assert (await rig.crew.renew(3.0)).startswith("2 workers were replaced")
        assert [process.retired for process in rig.processes] == [[pid] for pid in before]
        assert [process.plan for process in rig.processes] == [told, told]
        assert rig.crew.health()["worker:0"] == "ok"
        rig.processes[0].die()  # and it is looked after
        await rig.settle(lambda: rig.processes[0].starts == 3)


async def test_workers_that_run_are_adopted():
    rig = Rig()
    rig.processes[0].running = rig.processes[1].running = True
    async with rig.crew.running():
        assert rig.crew.health()["worker:1"] == "ok"
        await rig.apply()
        assert [process.starts for process in rig.processes] == [0, 0]


async def test_workers_that_drain_finish_beside_others():
    rig = Rig()
    rig.processes[0].running = rig.processes[1].running = True
    rig.processes[1].ports = ()
    async with rig.crew.running():
        await rig.apply()
        assert [process.starts for process in rig.processes] == [0, 1]
        assert rig.processes[1].retired == [101]


async def test_what_another_began_goes_on_when_we_fail():
    rig = Rig()
    rig.processes[0].running = True
    let_go = []
    rig.processes[0].let_go = lambda: let_go.append(1)
    with pytest.raises(ValueError, match="bad"):
        async with rig.crew.running():
            raise ValueError("bad")
    assert let_go == [1]


async def test_the_number_of_instances_is_told():
    async with crew() as rig:
        await rig.apply()
        rig.crew.divide(3)
        await rig.settle(lambda: rig.processes[1].plan.instances == 3, 1.0)


def with_users(path):
    way = Authentication("people", AuthenticationKind.USERLIST, file=str(path))
    whole = state()
    return replace(
        whole, authentication=(way,), routes=(replace(whole.routes[0], authentication=("people",)),)
    )


async def test_a_file_that_changes_is_told_and_a_bad_one_is_not(tmp_path):
    users = tmp_path / "users"
    users.write_text('"me" "one"')
    async with crew() as rig:
        await rig.apply(with_users(users))
        users.write_text('"me" "another"')

        def held():
            return rig.processes[1].plan.contents.held[str(users)]

        while held() != b'"me" "another"':
            rig.clock.advance(1.0)
            await asyncio.sleep(0)
        users.write_text("no userlist")
        while rig.crew.health()["files"] == "ok":
            rig.clock.advance(1.0)
            await asyncio.sleep(0)
        assert "line 1" in rig.crew.health()["files"]
        assert held() == b'"me" "another"'
        users.write_text('"me" "third"')
        while held() != b'"me" "third"':
            rig.clock.advance(1.0)
            await asyncio.sleep(0)
        assert rig.crew.health()["files"] == "ok"
