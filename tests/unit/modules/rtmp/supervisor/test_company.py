from contextlib import asynccontextmanager

import pytest

from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.model.state import DesiredState
from marchproxy.modules.rtmp.crew import Counted, Seen
from marchproxy.modules.rtmp.supervisor.company import Company

ONE, TWO = DesiredState(), DesiredState(pools=())


class Force:
    """A workforce that notes what it is told."""

    def __init__(self, name, *, refuses=False, away=False):
        self.name, self.refuses, self.away = name, refuses, away
        self.instances = 1
        self.told = []
        self.running_now = False

    @asynccontextmanager
    async def running(self):
        self.running_now = True
        yield self
        self.running_now = False

    async def apply(self, state, files):
        if self.refuses:
            raise Refused(RefusalCode.UNAVAILABLE, f"{self.name} does not answer")
        self.told.append((state, files))

    def divide(self, instances):
        self.instances = instances

    def health(self):
        return {"worker:0": f"{self.name} ok", "files": f"{self.name} files"}

    async def count(self):
        if self.away:
            raise Refused(RefusalCode.UNAVAILABLE, "away")
        return Counted(clients=2, accepted=3, cpu_percent=4.0, memory_mb=5.0)

    async def look(self, *, ask=False):
        return Seen()

    async def renew(self, finish_seconds):
        self.told.append(finish_seconds)
        return f"{self.name} renewed"

    async def drain(self, seconds):
        self.told.append(seconds)
        return 1


async def test_both_run_and_follow_the_same():
    streams, viewers = Force("streams"), Force("viewers")
    async with Company(streams, viewers).running() as company:
        assert streams.running_now
        assert viewers.running_now
        await company.apply(ONE, {})
        company.divide(3)
    assert streams.told == viewers.told == [(ONE, {})]
    assert (streams.instances, viewers.instances, company.instances) == (3, 3, 3)


async def test_what_one_refuses_the_other_takes_back():
    streams, viewers = Force("streams"), Force("viewers")
    company = Company(streams, viewers)
    await company.apply(ONE, {"f": b"1"})
    viewers.refuses = True
    with pytest.raises(Refused, match="viewers does not answer"):
        await company.apply(TWO, {"f": b"2"})
    assert streams.told == [(ONE, {"f": b"1"}), (TWO, {"f": b"2"}), (ONE, {"f": b"1"})]


async def test_clients_are_those_of_both():
    assert await Company(Force("a"), Force("b")).count() == Counted({}, 4, 6, 8.0, 10.0)
    assert await Company(Force("a"), Force("b", away=True)).count() == Counted({}, 2, 3, 4.0, 5.0)
    with pytest.raises(Refused):
        await Company(Force("a", away=True), Force("b")).count()


def test_the_process_for_viewers_has_a_check_of_its_own():
    assert Company(Force("a"), Force("b")).health() == {
        "worker:0": "a ok",
        "files": "a files",
        "playback": "b ok",
    }


async def test_viewers_are_let_go_after_publishers():
    streams, viewers = Force("streams"), Force("viewers")
    company = Company(streams, viewers)
    assert await company.drain(7.0) == 2
    assert (streams.told, viewers.told) == ([7.0], [0.0])
    assert await company.renew(5.0) == "streams renewed"
    assert viewers.told == [0.0, 5.0]
