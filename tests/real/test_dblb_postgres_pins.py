"""What a client leaves in a server's session, which is then its own until it leaves or clears it away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psycopg
import pytest
import pytest_asyncio

from marchproxy.modules.dblb.postgres.service import PostgresService
from tests.real.support.databases import postgres
from tests.real.support.dblb_services import Served, serving
from tests.real.support.postgres_plan import plan_before

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[int]:
    async with postgres() as port:
        yield port


@asynccontextmanager
async def proxied(server: int, **pool: object) -> AsyncIterator[Served]:
    async with serving(PostgresService, plan_before(server, secret="", **pool)) as served:
        yield served


async def connect(served: Served, **more: object) -> psycopg.AsyncConnection:
    where = {"host": "127.0.0.1", "port": served.port, "user": "app", "dbname": "app", "sslmode": "disable"}
    return await psycopg.AsyncConnection.connect(**where, autocommit=True, **more)


async def value(connection: psycopg.AsyncConnection, query: str) -> object:
    row = await (await connection.execute(query)).fetchone()
    assert row is not None
    return row[0]


async def backend(connection: psycopg.AsyncConnection) -> object:
    return await value(connection, "select pg_backend_pid()")


def pins(served: Served) -> dict[str, int]:
    return {reason: n for tally in served.around.tallies.kept.values() for reason, n in tally.pins.items()}


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("listen news", "listen"),
        ("create temp table mine (number int)", "temporary table"),
        ("select 1 as one into temporary other", "temporary table"),
        ("select pg_advisory_lock(1)", "advisory lock"),
        ("prepare two as select 2", "prepare"),
        ("set statement_timeout to '30s'", "set statement_timeout"),
        ("set role app", "set role"),
        ("select set_config('work_mem', '1MB', false)", "set work_mem"),
        ("begin; declare c cursor with hold for select 1; commit", "cursor with hold"),
        ("/* why */ set search_path to public", "set search_path"),
    ],
)
@pytest.mark.parametrize("extended", [False, True])
async def test_what_stays_behind_keeps_the_server(server, statement, reason, extended):
    prepare = extended and ";" not in statement  # of which there is one at a time
    async with (
        proxied(server, size=2) as served,
        await connect(served) as one,
        await connect(served) as other,
    ):
        await one.execute(statement, prepare=prepare)
        own = await backend(one)
        assert pins(served) == {reason: 1}
        others = {await backend(other) for _ in range(3)}
        assert own not in others
        assert {await backend(one) for _ in range(3)} == {own}


@pytest.mark.parametrize(
    "statement",
    [
        "set timezone to 'Asia/Tokyo'",
        "set local statement_timeout to '30s'",
        "set extra_float_digits to 3",
        "select 1 /* temp */ where 'hold' = 'hold'",
        "update pg_temp_no_table set a = 1",
        "reset all",
        "select pg_advisory_xact_lock(7)",
        "create table if not exists templates (set_config int)",
        "discard all",
    ],
)
async def test_what_does_not_stay_behind_keeps_nothing(server, statement):
    async with (
        proxied(server, size=1) as served,
        await connect(served) as one,
        await connect(served) as other,
    ):
        with suppress(psycopg.errors.UndefinedTable):
            await one.execute(statement)
        assert not pins(served)
        assert await value(other, "select 1") == 1


async def test_the_server_is_cleared_before_the_next_client_has_it(server):
    async with proxied(server, size=1) as served:
        async with await connect(served) as one:
            await one.execute("create temp table mine (number int)")
            await one.execute("set statement_timeout to '5s'")
            await one.execute("select pg_advisory_lock(4)")
            number = await backend(one)
        async with await connect(served) as other:
            assert await backend(other) == number
            assert await value(other, "show statement_timeout") == "0"
            assert await value(other, "select to_regclass('pg_temp.mine')") is None
            assert await value(other, "select count(*) from pg_locks where locktype = 'advisory'") == 0


async def test_discard_all_gives_the_server_back(server):
    async with (
        proxied(server, size=1) as served,
        await connect(served) as one,
        await connect(served) as other,
    ):
        await one.execute("listen news")
        await one.execute("discard all")
        assert await value(other, "select 1") == 1
        assert await value(one, "select 2") == 2


async def test_notifications_arrive(server):
    async with (
        proxied(server, size=2) as served,
        await connect(served) as one,
        await connect(served) as other,
    ):
        await one.execute("listen news")
        await other.execute("notify news, 'hello'")
        async with asyncio.timeout(20):
            async for notice in one.notifies(stop_after=1):
                assert (notice.channel, notice.payload) == ("news", "hello")


async def test_who_loaded_a_library_leaves_no_session_behind(server):
    async with proxied(server, size=1) as served:
        async with await connect(served) as one:
            await one.execute("load 'auto_explain'")
            number = await backend(one)
        async with await connect(served) as other:
            assert await backend(other) != number


async def test_a_reset_that_fails_ends_the_session_on_the_server(server):
    async with proxied(server, size=1, reset="no such command") as served:
        async with await connect(served) as one:
            await one.execute("listen news")
            number = await backend(one)
        async with await connect(served) as other:
            assert await backend(other) != number


async def test_what_servers_do_not_report_is_set_for_the_client_that_begins_with_it(server):
    options = "-c statement_timeout=7s -c search_path=pg_catalog,public"
    async with (
        proxied(server, size=2) as served,
        await connect(served, options=options) as one,
        await connect(served) as other,
    ):
        for _ in range(2):
            assert await value(one, "show statement_timeout") == "7s"
            assert await value(one, "show search_path") == "pg_catalog,public"
            assert await value(other, "show statement_timeout") == "0"
        await one.execute("discard all")
        assert await value(one, "show statement_timeout") == "7s"
        assert pins(served) == {"settings that it began with": 1}


async def test_a_setting_that_is_none_ends_who_begins_with_it(server):
    async with proxied(server) as served, await connect(served, options="-c nonsense=1") as connection:
        with pytest.raises(psycopg.OperationalError, match="unrecognized configuration parameter"):
            await connection.execute("select 1")


async def test_a_statement_with_another_result_than_before_can_be_prepared_again(server):
    async with (
        proxied(server, size=1) as served,
        await connect(served) as one,
        await connect(served) as other,
    ):
        await other.execute("create table changing (a int)")
        await one.execute("select * from changing", prepare=True)
        await other.execute("alter table changing add b int")
        with pytest.raises(psycopg.errors.FeatureNotSupported):
            await one.execute("select * from changing", prepare=True)
        async with await connect(served) as third:
            cursor = await third.execute("select * from changing", prepare=True)
            assert len(cursor.description or ()) == 2
