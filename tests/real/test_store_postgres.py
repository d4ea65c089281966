"""PostgreSQL does what every store does, for several managers, and through its failures."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import psutil
import pytest
import pytest_asyncio

from marchproxy.kit.tasks import beside
from marchproxy.model.revision import RevisionHead, RevisionNumber
from marchproxy.store import TOPICS, Moved, Store, StoreUnavailable, StoreUnusable
from tests.real.support.postgres_cluster import Node, postgres_cluster
from tests.real.support.waiting import until
from tests.store_suite.identities import IdentitySuite
from tests.store_suite.migrations import MigrationSuite
from tests.store_suite.place import Place, committed, draft, event
from tests.store_suite.records import RecordSuite
from tests.store_suite.revisions import RevisionSuite
from tests.store_suite.sealing import SealingSuite
from tests.store_suite.sharing import SharingSuite

_WITHIN = 30.0

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Node]:
    async with postgres_cluster(replicas=0) as cluster:
        yield cluster.primary


@pytest_asyncio.fixture(loop_scope="module")
async def place(node: Node, tmp_path, request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """A schema of a test's own: fleets that share a database do not meet."""
    schema = f"test{abs(hash(request.node.nodeid)):x}"
    await node.ask(f"create schema {schema}")
    where = f"postgresql://app@{node.address}/app"
    options = f"options=-csearch_path%3D{schema}"
    yield Place(f"{where}?search_path={schema}", f"{where}?{options}".replace("://", "+psycopg://"), tmp_path)
    await node.ask(f"drop schema {schema} cascade")


@pytest_asyncio.fixture(loop_scope="module")
async def store(place: Place) -> AsyncIterator[Store]:
    async with place.open() as store:
        yield store


class TestRevisions(RevisionSuite):
    pass


class TestIdentities(IdentitySuite):
    pass


class TestRecords(RecordSuite):
    pass


class TestSharing(SharingSuite):
    pass


class TestMigrations(MigrationSuite):
    pass


class TestSealing(SealingSuite):
    pass


async def test_managers_that_start_together_migrate_once(place: Place):
    async def start() -> str | None:
        async with place.open() as store:
            await store.write_event(event())
            return await store.meta("store.sealed")

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(start()) for _ in range(5)]
    assert len({task.result() for task in tasks}) == 1
    assert place.values("select count(*) from events") == [5]


async def test_of_several_managers_one_is_followed(place: Place):
    async def tried(store: Store, parent: int | None) -> RevisionHead | None:
        try:
            return await store.begin(draft(parent))
        except Moved:
            return None

    async with place.open() as one, place.open() as two:
        for parent in (None, *range(1, 15)):
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(tried(store, parent)) for store in (one, two) * 3]
            (taken,) = [task.result() for task in tasks if task.result() is not None]
            await two.commit(taken.number)
        assert [head.parent for head in await one.revisions()] == [*range(14, 0, -1), None]


async def test_a_change_is_told_to_other_managers(place: Place):
    async with place.open() as one, place.open() as two:
        told = two.changes()
        await _told_everything(told)
        await one.set_meta("a", "b")
        async with asyncio.timeout(_WITHIN):
            assert await anext(told) == "meta"


async def test_what_is_no_topic_is_not_told(place: Place, store: Store, node: Node):
    told = store.changes()
    await _told_everything(told)
    await node.ask("select pg_notify('marchproxy', 'of a newer version')")
    await store.set_meta("a", "b")
    async with asyncio.timeout(_WITHIN):
        assert await anext(told) == "meta"


async def test_exclusive_and_leadership_are_of_all_managers(place: Place):
    async with place.open() as one, place.open() as two:
        async with one.exclusive():
            with pytest.raises(StoreUnavailable, match="of another manager has been under way"):
                async with two.exclusive(within=0.1):
                    pytest.fail("two are inside")
        order = []

        async def lead() -> None:
            async with two.leadership():
                order.append("two")

        async with asyncio.timeout(_WITHIN), asyncio.TaskGroup() as group, one.leadership():
            group.create_task(lead())
            await two.set_meta("a", "b")
            order.append("one")
        assert order == ["one", "two"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("/app?", "/none?"), "does not exist; create the database"),
        (("app@", "eve@"), "does not exist; see its user"),
        (("@127.0.0.1", "@127.0.0.1:1,127.0.0.1"), None),
    ],
)
async def test_a_database_that_cannot_be(place: Place, change, words):
    wrong = Place(place.url.replace(*change), "", place.folder)
    if words is None:  # the second of two hosts answers
        async with wrong.open() as store:
            assert await store.head() is None
        return
    with pytest.raises(StoreUnusable, match=words):
        async with wrong.open():
            pytest.fail("it was opened")


async def test_a_password_is_in_no_message(place: Place):
    wrong = Place(place.url.replace("app@", "eve:hunter2@"), "", place.folder)
    with pytest.raises(StoreUnusable) as told:
        async with wrong.open():
            pytest.fail("it was opened")
    assert "hunter2" not in str(told.value)


async def test_a_database_that_crashes_and_comes_back(place: Place, node: Node):
    async with place.open(seconds=5.0) as store:
        told = store.changes()
        await _told_everything(told)
        begun = await store.begin(draft())
        async with store.exclusive() as lost, store.leadership() as deposed:
            await node.crash()
            async with asyncio.timeout(_WITHIN):
                await lost.wait()
                await deposed.wait()
        with pytest.raises(StoreUnavailable, match="see whether it runs"):
            await store.commit(begun.number)
        with pytest.raises(StoreUnavailable):
            async with store.exclusive(within=1.0):
                pytest.fail("nobody is there to ask")
        led = asyncio.Event()

        async def lead() -> None:
            async with store.leadership():
                led.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(lead())
            await asyncio.sleep(0)
            await node.start()
            assert await store.pending() is not None
            await store.commit(begun.number)
            async with asyncio.timeout(_WITHIN):
                await led.wait()
        await _told_everything(told)
        assert (await committed(store)).number == 2


async def test_a_database_that_is_killed_has_what_was_committed(place: Place, node: Node):
    async with place.open(seconds=5.0) as store:
        kept: list[RevisionHead] = []

        async def work() -> None:
            while True:
                kept.append(await committed(store))

        with pytest.raises(StoreUnavailable):
            async with beside(_crash_after(node, kept, 10), name="crash"):
                await work()
        await node.process.ended(_WITHIN)
        await node.start()
        head, pending = await store.head(), await store.pending()
        assert head is not None
        assert head.number - kept[-1].number in {0, 1}
        if pending is not None:
            assert (await store.commit(pending.head.number)).parent == head.number
        assert (await committed(store)).number > head.number


async def _crash_after(node: Node, kept: list[RevisionHead], count: int) -> None:
    await until(lambda: len(kept) >= count, _WITHIN)
    await node.crash()


async def test_a_database_that_stands_still(place: Place, node: Node):
    async with place.open(seconds=1.0) as store:
        await committed(store)
        async with store.exclusive() as lost:
            with _standing_still(node):
                with pytest.raises(StoreUnavailable, match="did not answer within 1 s"):
                    await store.begin(draft(1))
                with pytest.raises(StoreUnavailable):
                    async with store.exclusive(within=0.5):
                        pytest.fail("it answered")
                async with asyncio.timeout(_WITHIN):
                    await lost.wait()

        async def goes_on() -> bool:
            try:
                pending = await store.pending()
                if pending is not None:  # it came to be begun after all
                    await store.abandon(pending.head.number)
                return bool(await committed(store))
            except (StoreUnavailable, Moved):
                return False

        await until(goes_on, _WITHIN)


async def test_a_database_that_takes_no_writes(place: Place, node: Node):
    async with place.open() as store:
        await committed(store)
        await _set_read_only(node, "on")
        try:
            assert await store.revision(RevisionNumber(1)) is not None
            with pytest.raises(StoreUnavailable, match="read-only"):
                await store.set_meta("a", "b")
        finally:
            await _set_read_only(node, "off")
        await store.set_meta("a", "b")


async def _set_read_only(node: Node, value: str) -> None:
    """For the sessions that begin from now on; those that are there are ended."""
    await node.ask(f"alter system set default_transaction_read_only = {value}")
    await node.ask("select pg_reload_conf()")
    await node.until("show default_transaction_read_only", lambda shown: shown == value)
    others = "pid <> pg_backend_pid() and usename = 'app'"
    await node.ask(f"select pg_terminate_backend(pid, 10000) from pg_stat_activity where {others}")


async def _told_everything(told: AsyncIterator[str]) -> None:
    missing = set(TOPICS)
    async with asyncio.timeout(_WITHIN):
        while missing:
            missing.discard(await anext(told))


@contextmanager
def _standing_still(node: Node) -> Iterator[None]:
    family = [psutil.Process(node.process.pid), *psutil.Process(node.process.pid).children(recursive=True)]
    for process in family:
        process.suspend()
    try:
        yield
    finally:
        for process in family:
            process.resume()
