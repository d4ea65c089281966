"""Answers that hold for a while, and one question for all who want to know the same."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from marchproxy.kit.clock import VirtualClock
from marchproxy.modules.rtmp.plan import Way
from marchproxy.modules.rtmp.policy import remembering
from marchproxy.modules.rtmp.policy.claim import Claim, Refusal
from marchproxy.modules.rtmp.policy.remembering import GRANTED_SECONDS, REFUSED_SECONDS, Remembering
from tests.unit.modules.rtmp.policy.crafted import callback, claim

NO = Refusal("denied", "no")
WAY = callback()


class Service:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer: Refusal | None = None
        self.ready = asyncio.Event()
        self.ready.set()

    async def ask(self, way: Way, asked: Claim) -> Refusal | None:
        assert way is WAY
        self.asked.append(asked.query)
        await self.ready.wait()
        return self.answer


@asynccontextmanager
async def remembering_of(service: Service, clock: VirtualClock) -> AsyncIterator[Remembering]:
    async with asyncio.TaskGroup() as group:
        yield Remembering(service.ask, group=group, clock=clock)


@pytest.mark.parametrize(("answer", "seconds"), [(None, GRANTED_SECONDS), (NO, REFUSED_SECONDS)])
async def test_an_answer_holds_for_a_while(answer: Refusal | None, seconds: float) -> None:
    service, clock = Service(), VirtualClock()
    service.answer = answer
    async with remembering_of(service, clock) as one:
        for passed, asked in ((0, 1), (seconds - 0.1, 1), (0.2, 2), (1, 2)):
            await clock.elapse(passed)
            assert await one.ask(WAY, claim("a")) == answer
            assert len(service.asked) == asked
        await one.ask(WAY, claim("b"))
        assert service.asked == ["a", "a", "b"]


async def test_all_who_want_to_know_wait_for_one_answer() -> None:
    service = Service()
    service.ready.clear()
    async with remembering_of(service, VirtualClock()) as one, asyncio.TaskGroup() as group:
        waiting = [group.create_task(one.ask(WAY, claim("a"))) for _ in range(3)]
        for _ in range(3):
            await asyncio.sleep(0)
        waiting[0].cancel()  # its viewer has gone
        await asyncio.sleep(0)
        service.answer = NO
        service.ready.set()
        assert [await task for task in waiting[1:]] == [NO, NO]
        assert (waiting[0].cancelled(), service.asked) == (True, ["a"])


async def test_not_more_is_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembering, "MOST_REMEMBERED", 3)
    service = Service()
    async with remembering_of(service, VirtualClock()) as one:
        for query in ("a", "b", "c", "d", "d", "a"):
            await one.ask(WAY, claim(query))
        assert (len(one), service.asked) == (3, ["a", "b", "c", "d", "a"])
