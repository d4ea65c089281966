import asyncio
import gc

from marchproxy.store.topics import Topics


async def test_each_is_told_once_however_often_it_changed():
    topics = Topics()
    told = topics.subscribe()
    for _ in range(1000):
        topics.tell(("events", "users"))
    topics.tell(("events",))
    assert [await anext(told), await anext(told)] == ["events", "users"]
    topics.tell(("events",))
    assert await anext(told) == "events"


async def test_who_waits_is_woken():
    topics = Topics()
    told = topics.subscribe()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(anext(told))
        await asyncio.sleep(0)
        topics.tell(("users",))
    assert waiting.result() == "users"


async def test_who_has_left_is_forgotten():
    topics = Topics()
    topics.subscribe()
    gc.collect()
    assert not topics._subscriptions
