"""Work that waits for its turn."""

import asyncio

import pytest

from marchproxy.manager.revising import Busy
from marchproxy.manager.revising.turns import Turns


async def work(turns: Turns) -> None:
    while True:
        await turns.next(within=60)


async def answer(value: int) -> int:
    return value


async def test_each_has_its_turn_and_its_own_answer():
    turns = Turns()
    under_way = 0

    async def alone(value: int) -> int:
        nonlocal under_way
        under_way += 1
        await asyncio.sleep(0)
        assert under_way == 1
        under_way -= 1
        if value % 2:
            raise ValueError(value)
        return value

    async with asyncio.TaskGroup() as group:
        worker = group.create_task(work(turns))
        asked = [group.create_task(caught(turns, lambda n=n: alone(n))) for n in range(6)]
        found = [await task for task in asked]
        worker.cancel()
    assert [str(one) for one in found] == ["0", "1", "2", "3", "4", "5"]
    assert [isinstance(one, ValueError) for one in found] == [False, True] * 3


async def caught(turns: Turns, make) -> object:
    try:
        return await turns.take(make)
    except (ValueError, Busy) as error:
        return error


async def test_a_full_queue_refuses_at_once():
    turns = Turns(most=1)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(turns.take(lambda: answer(1)))
        await asyncio.sleep(0)
        with pytest.raises(Busy, match="1 changes wait already"):
            await turns.take(lambda: answer(2))
        assert await turns.next(within=60)
        assert await waiting == 1


async def test_who_waits_too_long_is_told_and_loses_the_turn():
    turns, done = Turns(seconds=0.01), []

    async def note() -> None:
        done.append(1)

    with pytest.raises(Busy, match="not done within"):
        await turns.take(note)
    assert await turns.next(within=60)
    assert done == []


async def test_what_has_begun_is_carried_through_though_its_asker_left():
    turns, begun, go_on, done = Turns(), asyncio.Event(), asyncio.Event(), []

    async def slow() -> None:
        begun.set()
        await go_on.wait()
        done.append(1)

    async with asyncio.TaskGroup() as group:
        asker = group.create_task(turns.take(slow))
        worker = group.create_task(turns.next(within=60))
        await begun.wait()
        asker.cancel()
        await asyncio.sleep(0)
        go_on.set()
        assert await worker
    assert done == [1]


async def test_closing_answers_everybody():
    turns = Turns()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(caught(turns, lambda: answer(1)))
        await asyncio.sleep(0)
        turns.close()
        assert isinstance(await waiting, Busy)
    with pytest.raises(Busy, match="stopping"):
        await turns.take(lambda: answer(1))


async def test_waking_ends_the_wait_and_does_nothing():
    turns = Turns()
    turns.wake()
    assert not await turns.next(within=60)
    assert not await turns.next(within=0.001)
