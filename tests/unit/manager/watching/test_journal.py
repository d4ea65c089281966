"""Events go into the store, and from there to who reads along."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from marchproxy.kit.clock import SystemClock
from marchproxy.kit.tasks import beside
from marchproxy.manager.watching.journal import Journal
from marchproxy.manager.watching.subscription import Subscription
from marchproxy.model.record import Event
from marchproxy.store import Sealer, Store, StoreSettings, StoreUnavailable, open_store
from tests.unit.manager.watching.seen import NOW


class Quick(SystemClock):
    """One that does not wait long."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01))


def event(number: int) -> Event:
    return Event(NOW, "instance.came", f"alb-{number}", "hello")


@asynccontextmanager
async def stored(folder: Path) -> AsyncIterator[Store]:
    settings = StoreSettings(f"sqlite:///{folder / 'manager.db'}")
    async with open_store(settings, Sealer.of_file(folder / "key")) as store:
        yield store


async def take(reader: Subscription, count: int) -> list[str]:
    found = []
    async with asyncio.timeout(10):
        async for one in reader:
            assert one.id
            found.append(one.subject)
            if len(found) == count:
                break
    return found


async def written(store: Store, count: int) -> None:
    async with asyncio.timeout(10):
        while len(await store.events(limit=1000)) < count:
            await asyncio.sleep(0.01)


async def test_what_is_noted_is_written_and_told(tmp_path: Path) -> None:
    async with stored(tmp_path) as store:
        await store.write_event(event(0))  # long ago: nobody is told of it
        journal = Journal(store, Quick())
        with journal.subscribe(10) as reader:
            async with beside(journal.run(), name="journal"):
                await asyncio.sleep(0.05)  # it has found out what is the newest
                journal.note([event(1), event(2)])
                assert await take(reader, 2) == ["alb-1", "alb-2"]
                await store.write_event(event(3))  # by another manager, or another room
                assert await take(reader, 1) == ["alb-3"]
        assert [one.subject for one in await store.events()] == ["alb-3", "alb-2", "alb-1", "alb-0"]


async def test_a_store_that_is_away_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stored(tmp_path) as store:
        write, failures = store.write_event, 3

        async def failing(one: Event) -> Event:
            nonlocal failures
            if failures:
                failures -= 1
                raise StoreUnavailable("the database is away")
            return await write(one)

        monkeypatch.setattr(store, "write_event", failing)
        journal = Journal(store, Quick())
        journal.note([event(1), event(2)])
        async with beside(journal.run(), name="journal"):
            await written(store, 2)
        assert failures == 0


async def test_of_too_many_that_wait_the_oldest_are_lost(tmp_path: Path) -> None:
    async with stored(tmp_path) as store:
        journal = Journal(store, Quick(), most=3)
        journal.note(event(number) for number in range(5))
        async with beside(journal.run(), name="journal"):
            await written(store, 3)
        assert [one.subject for one in await store.events()] == ["alb-4", "alb-3", "alb-2"]


async def test_a_reader_who_is_slow_is_told_so() -> None:
    reader = Subscription(most=2)
    for number in range(3):
        reader.put(replace(event(number), id=number + 1))
    assert [one async for one in reader] == []
    assert reader.lagged


async def test_a_reader_gets_what_was_there_when_it_ended() -> None:
    reader = Subscription()
    reader.put(replace(event(1), id=1))
    reader.close()
    assert [one.subject async for one in reader] == ["alb-1"]
    assert not reader.lagged
