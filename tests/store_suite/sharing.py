"""What every store does for those who wait: for changes, and for each other."""

import asyncio

import pytest

from marchproxy.store import Store, StoreUnavailable
from tests.store_suite.place import certificate, committed, draft, entry, event, key, user

_WITHIN = 20.0

CHANGES = {
    "begin": ("revisions", lambda store: store.begin(draft())),
    "user": ("users", lambda store: store.add_user(user())),
    "key": ("keys", lambda store: store.add_key(key(1))),
    "audit": ("audit", lambda store: store.write_audit(entry())),
    "event": ("events", lambda store: store.write_event(event())),
    "certificate": ("certificates", lambda store: store.put_certificate(certificate())),
    "meta": ("meta", lambda store: store.set_meta("a", "b")),
}


class SharingSuite:
    @pytest.mark.parametrize("name", CHANGES)
    async def test_a_change_is_told(self, store: Store, name: str):
        topic, change = CHANGES[name]
        told = store.changes()
        await change(store)
        async with asyncio.timeout(_WITHIN):
            while await anext(told) != topic:
                pass  # at the beginning every topic may be told

    async def test_exclusive_keeps_others_out(self, store: Store):
        inside = 0
        most = 0

        async def work() -> None:
            nonlocal inside, most
            async with store.exclusive(within=_WITHIN) as lost:
                inside += 1
                most = max(most, inside)
                await committed(store)
                assert not lost.is_set()
                inside -= 1

        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(work())
        assert most == 1
        head = await store.head()
        assert head is not None
        assert head.number == 5

    async def test_exclusive_is_not_waited_for_for_ever(self, store: Store):
        async with store.exclusive():
            with pytest.raises(StoreUnavailable, match=r"has been under way for 0\.05 s"):
                async with store.exclusive(within=0.05):
                    pytest.fail("two are inside")
        async with store.exclusive(within=_WITHIN):
            pass

    async def test_exclusive_ends_with_what_fails_inside(self, store: Store):
        with pytest.raises(KeyError, match="bare"):
            async with store.exclusive():
                raise KeyError("bare")
        async with store.exclusive(within=_WITHIN):
            pass

    async def test_there_is_one_leader(self, store: Store):
        order = []

        async def lead(name: str, until: asyncio.Event) -> None:
            async with store.leadership() as lost:
                order.append(name)
                first.set()
                await until.wait()
                assert not lost.is_set()

        first, resign, done = asyncio.Event(), asyncio.Event(), asyncio.Event()
        done.set()
        async with asyncio.timeout(_WITHIN), asyncio.TaskGroup() as group:
            group.create_task(lead("first", resign))
            await first.wait()
            group.create_task(lead("second", done))
            await committed(store)  # an apply needs no leadership
            assert order == ["first"]
            resign.set()
        assert order == ["first", "second"]

    async def test_who_is_cancelled_harms_nobody(self, store: Store):
        await committed(store)
        for turns in range(0, 60, 3):
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(store.set_meta("turns", str(turns)))
                reader = group.create_task(store.revisions())
                for _ in range(turns):
                    await asyncio.sleep(0)
                writer.cancel()
                reader.cancel()
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(store.set_meta("after", str(number)))
                group.create_task(store.head())
        assert await store.meta("after") is not None
