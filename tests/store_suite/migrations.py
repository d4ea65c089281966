"""What every store does with a database that an earlier version has filled."""

import zlib
from collections.abc import Callable, Mapping

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from marchproxy.model.revision import RevisionNumber
from marchproxy.store import Sealer, StoreUnusable
from marchproxy.store.migrating import VERSION_TABLE, migrate, version, versions
from marchproxy.store.tables import metadata
from tests.store_suite.place import Place, certificate, committed, event

_AT = "'2030-01-01 12:30:15.123456+00:00'"


def _fill_0001(connection: sa.Connection, sealer: Sealer) -> None:
    document = sealer.seal(zlib.compress(b"of 0001"))
    statements = (
        f"insert into users values ('ada', 'admin', 'hash', {_AT}, false, true, null)",
        f"insert into sessions values ('token', 'ada', 'csrf', {_AT}, {_AT}, {_AT}, '192.0.2.1')",
        f"""insert into api_keys values ('k', 'deploys', 'h', 'viewer', '["routes"]', 'ada', {_AT}, null, null)""",
        (
            "insert into audit (at, who, how, address, action, target, outcome, detail) "
            f"values ({_AT}, 'ada', 'session', '', 'routes.update', 'routes/shop', 'done', '')"
        ),
        (
            "insert into events (at, kind, subject, message, severity) "
            f"values ({_AT}, 'instance.came', 'alb-1', 'it came', 'info')"
        ),
        "insert into meta values ('file_checksum', 'c')",
    )
    for statement in statements:
        connection.exec_driver_sql(statement)
    insert = f"insert into revisions values (1, null, 'committed', {_AT}, 'ada', 'user', 'r', 'c', 1, 2, 3, :document)"
    connection.execute(sa.text(insert), {"document": document})


#: How each version but the newest is filled; a new migration adds the one before it.
FILLED: Mapping[str, Callable[[sa.Connection, Sealer], None]] = {"0001": _fill_0001}


class MigrationSuite:
    async def test_every_earlier_version_is_known(self):
        assert tuple(FILLED) == versions()[:-1]

    @pytest.mark.parametrize("earlier", FILLED)
    async def test_what_an_earlier_version_kept_is_there(self, place: Place, earlier: str):
        with place.engine().begin() as connection:
            migrate(connection, earlier)
            FILLED[earlier](connection, place.sealer)
            assert version(connection) == earlier
        async with place.open(keep_days=100_000) as store:
            kept = await store.revision(RevisionNumber(1))
            assert kept is not None
            assert kept.document == f"of {earlier}".encode()
            assert [user.name for user in await store.users()] == ["ada"]
            assert await store.session("token") is not None
            assert [key.scopes for key in await store.keys()] == [("routes",)]
            assert [one.who for one in await store.audit()] == ["ada"]
            assert [one.subject for one in await store.events()] == ["alb-1"]
            assert await store.meta("file_checksum") == "c"
            await store.put_certificate(certificate())
            await store.write_event(event())
            assert (await committed(store)).number == 2

    async def test_the_newest_version_is_that_of_the_tables(self, place: Place):
        async with place.open():
            pass
        with place.engine().connect() as connection:
            options = {"version_table": VERSION_TABLE, "compare_type": True}
            context = MigrationContext.configure(connection, opts=options)
            assert compare_metadata(context, metadata) == []
            assert version(connection) == versions()[-1]

    async def test_a_newer_version_is_left_alone(self, place: Place):
        async with place.open():
            pass
        with place.engine().begin() as connection:
            connection.exec_driver_sql(f"update {VERSION_TABLE} set version_num = '9999'")
        with pytest.raises(StoreUnusable, match=r"version 9999.*start the newer one"):
            async with place.open():
                pytest.fail("it was opened")
        assert place.values(f"select version_num from {VERSION_TABLE}") == ["9999"]

    async def test_a_migration_that_fails_leaves_what_was(self, place: Place):
        with place.engine().begin() as connection:
            migrate(connection, "0001")
            connection.exec_driver_sql("create table started_rollouts (in_the_way int)")
        with pytest.raises(Exception, match="started_rollouts"):
            async with place.open():
                pytest.fail("it was opened")
        with place.engine().connect() as connection:
            assert version(connection) == "0001"
            assert "certificates" not in sa.inspect(connection).get_table_names()
