"""What every store does with revisions."""

import asyncio

import pytest

from marchproxy.kit.clock import VirtualClock
from marchproxy.model.problem import Refused
from marchproxy.model.revision import RevisionHead, RevisionNumber
from marchproxy.store import Moved, Store
from tests.store_suite.place import Place, committed, draft


class RevisionSuite:
    async def test_an_empty_store_has_none(self, store: Store):
        assert await store.head() is None
        assert await store.pending() is None
        assert await store.revisions() == ()
        assert await store.revision(RevisionNumber(1)) is None

    async def test_one_is_in_force_when_it_is_committed(self, place: Place):
        clock = VirtualClock()
        async with place.open(clock=clock) as store:
            begun = await store.begin(draft())
            given = draft()
            assert begun == RevisionHead(
                number=1,
                parent=None,
                created_at=clock.now(),
                author=given.author,
                reason=given.reason,
                checksum=given.checksum,
                summary=given.summary,
            )
            assert await store.head() is None
            assert await store.revision(begun.number) is None
            pending = await store.pending()
            assert pending is not None
            assert (pending.head, pending.document) == (begun, given.document)
            assert await store.commit(begun.number) == begun
            assert await store.pending() is None
            assert await store.head() == begun
            kept = await store.revision(begun.number)
            assert kept is not None
            assert (kept.head, kept.document) == (begun, given.document)

    async def test_commit_and_abandon_may_be_repeated(self, store: Store):
        first = await store.begin(draft())
        assert await store.commit(first.number) == await store.commit(first.number)
        second = await store.begin(draft(1))
        await store.abandon(second.number)
        await store.abandon(second.number)
        assert await store.head() == first

    async def test_what_is_decided_stays_so(self, store: Store):
        await committed(store)
        abandoned = await store.begin(draft(1))
        await store.abandon(abandoned.number)
        with pytest.raises(Refused, match="is committed"):
            await store.abandon(RevisionNumber(1))
        for number in (abandoned.number, RevisionNumber(77)):
            with pytest.raises(Refused, match="is not pending"):
                await store.commit(number)

    @pytest.mark.parametrize("parent", [None, 1, 3])
    async def test_one_follows_the_head_only(self, store: Store, parent: int | None):
        head = await committed(store, count=2)
        with pytest.raises(Moved) as told:
            await store.begin(draft(parent))
        assert (told.value.head, told.value.pending) == (head, False)
        assert await store.pending() is None

    async def test_one_at_most_is_pending(self, store: Store):
        head = await committed(store)
        await store.begin(draft(1))
        with pytest.raises(Moved) as told:
            await store.begin(draft(1))
        assert (told.value.head, told.value.pending) == (head, True)

    async def test_a_number_is_never_used_again(self, store: Store):
        await committed(store)
        for expected in (2, 3):
            begun = await store.begin(draft(1))
            assert begun.number == expected
            await store.abandon(begun.number)
        assert (await committed(store)).number == 4
        assert (await committed(store)).number == 5
        assert [head.number for head in await store.revisions()] == [5, 4, 1]

    async def test_pages_of_them_begin_with_the_newest(self, store: Store):
        await committed(store, count=5)
        await store.begin(draft(5))
        assert [head.number for head in await store.revisions(limit=2)] == [5, 4]
        assert [head.number for head in await store.revisions(before=4, limit=2)] == [3, 2]
        assert await store.revisions(before=1) == ()

    async def test_of_several_at_once_one_is_taken(self, store: Store):
        for parent in (None, 1, 2):
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(_tried(store, parent)) for _ in range(6)]
            (taken,) = [task.result() for task in tasks if task.result() is not None]
            await store.commit(taken.number)
        assert [head.parent for head in await store.revisions()] == [2, 1, None]

    async def test_a_document_is_sealed(self, place: Place, store: Store):
        secret = b"rtmp://origin/live?key=hunter2 " * 2000
        begun = await store.begin(draft(None, secret))
        await store.commit(begun.number)
        (kept,) = place.values("select document from revisions")
        assert b"hunter2" not in bytes(kept)
        assert len(kept) < len(secret) / 10
        found = await store.revision(begun.number)
        assert found is not None
        assert found.document == secret


async def _tried(store: Store, parent: int | None) -> RevisionHead | None:
    try:
        return await store.begin(draft(parent))
    except Moved:
        return None
