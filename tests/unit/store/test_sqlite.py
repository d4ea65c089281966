"""SQLite does what every store does, and what only a file can."""

import os
import sqlite3
import stat

import pytest

from marchproxy.store import StoreUnavailable, StoreUnusable
from tests.store_suite.identities import IdentitySuite
from tests.store_suite.migrations import MigrationSuite
from tests.store_suite.place import Place, committed, draft, user
from tests.store_suite.records import RecordSuite
from tests.store_suite.revisions import RevisionSuite
from tests.store_suite.sealing import SealingSuite
from tests.store_suite.sharing import SharingSuite


@pytest.fixture
def place(tmp_path):
    path = tmp_path / "state.db"
    return Place(f"sqlite:///{path}", f"sqlite:///{path}", tmp_path)


@pytest.fixture
async def store(place):
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


async def test_its_files_are_for_its_owner_alone(tmp_path):
    path = tmp_path / "new" / "state.db"
    place = Place(f"sqlite:///{path}", f"sqlite:///{path}", tmp_path / "new")
    async with place.open() as store:
        await committed(store)
        files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert {"state.db", "state.db-wal", "state.db-shm", "state.db.lock", "secret.key"} <= set(files)
    assert set(files.values()) == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_file_belongs_to_one_manager(place):
    async with place.open() as store:
        with pytest.raises(StoreUnavailable, match=f"in use by process {os.getpid()}: .*need PostgreSQL"):
            async with place.open(seconds=0.2):
                pytest.fail("it was opened twice")
        await committed(store)
    async with place.open():
        pass


async def test_while_another_program_writes_it_is_locked(place):
    async with place.open(seconds=0.4) as store:
        await committed(store)
        other = sqlite3.connect(place.folder / "state.db", isolation_level=None)
        other.execute("begin immediate")
        with pytest.raises(StoreUnavailable, match=r"state\.db: is locked; .*end that"):
            await store.begin(draft(1))
        assert await store.head() is not None
        other.close()
        assert (await committed(store)).number == 2


@pytest.mark.parametrize(
    ("content", "words"), [(b"no database at all " * 100, "is no database"), (None, "is damaged")]
)
async def test_a_file_that_is_damaged(place, content, words):
    path = place.folder / "state.db"
    async with place.open() as store:
        await committed(store, count=20)
    good = path.read_bytes()
    path.write_bytes(content or good[:4096] + b"\xa5" * (len(good) - 4096))
    with pytest.raises(StoreUnusable, match=rf"{words}; restore it from a backup"):
        async with place.open() as store:
            await store.revisions()


async def test_a_place_where_no_file_can_be(tmp_path):
    (tmp_path / "state.db").mkdir()
    place = Place(f"sqlite:///{tmp_path}/state.db", "", tmp_path)
    with pytest.raises(StoreUnusable, match="cannot be used: Is a directory"):
        async with place.open():
            pytest.fail("it was opened")


async def test_what_fails_says_nothing_of_values(place, store):
    await store.add_user(user("ada"))
    with place.engine().begin() as connection:
        connection.exec_driver_sql("drop table api_keys")
        connection.exec_driver_sql("alter table users rename column password to gone")
    with pytest.raises(Exception, match="users") as told:
        await store.add_user(user("bob"))
    assert "argon2" not in f"{told.value} {told.value.__cause__}"
