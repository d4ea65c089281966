"""PostgreSQL's protocol before a real server: psql, pgbench, psycopg and asyncpg, on connections that they share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import psycopg
import pytest
import pytest_asyncio

from marchproxy.modules.dblb.postgres.service import PostgresService
from marchproxy.wire.postgres import encode, startup
from tests.real.support.databases import postgres, run
from tests.real.support.dblb_services import serving
from tests.real.support.postgres_plan import plan_before

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[int]:
    async with postgres() as port:
        yield port


@asynccontextmanager
async def proxied(
    server: int, *, method: str = "", secret: str = "hidden", **pool: object
) -> AsyncIterator[int]:
    """A service before the server; its port. The only user is `app`."""
    async with serving(PostgresService, plan_before(server, method=method, secret=secret, **pool)) as served:
        yield served.port


def dsn(port: int, password: str = "hidden") -> str:
    return f"host=127.0.0.1 port={port} user=app dbname=app password={password} sslmode=disable"


async def connect(port: int, *, autocommit: bool = True) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(dsn(port), autocommit=autocommit)


async def value(connection: psycopg.AsyncConnection, query: str, *values: object) -> object:
    row = await (await connection.execute(query, values)).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize("method", ["scram-sha-256", "md5"])
async def test_who_proves_the_password_is_let_in(server, method):
    async with proxied(server, method=method) as port:
        async with await connect(port) as connection:
            assert await value(connection, "select 41 + %s::int", 1) == 42
        with pytest.raises(psycopg.OperationalError, match='password authentication failed for user "app"'):
            await psycopg.AsyncConnection.connect(dsn(port, "guessed"))


async def test_psql(server):
    async with proxied(server, secret="") as port:
        where = ("-X", "-At", "-h", "127.0.0.1", "-p", str(port), "-U", "app", "-d", "app")
        assert (await run("psql", *where, "-c", "select 1; select 'two'")).split() == ["1", "two"]


# to prepare, pgbench stands still with all its clients: one that waits for another's session would wait for ever
@pytest.mark.parametrize(("protocol", "size"), [("simple", 4), ("extended", 4), ("prepared", 12)])
async def test_pgbench(server, protocol, size):
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    async with proxied(server, secret="", size=size) as port:
        where = ("-h", "127.0.0.1", "-p", str(port), "-U", "app", "app")
        await run(str(programs / "pgbench"), "-i", "-q", "-s", "1", *where)
        said = await run(str(programs / "pgbench"), "-n", "-c", "12", "-t", "50", "-M", protocol, *where)
        assert "number of transactions actually processed: 600/600" in said


async def test_prepared_statements_follow_their_client(server):
    async with proxied(server, size=2) as port:
        clients = [await connect(port) for _ in range(6)]

        async def work(number: int, client: psycopg.AsyncConnection) -> None:
            for turn in range(30):
                row = await client.execute("select %s::int * 1000 + %s::int", (number, turn), prepare=True)
                assert await row.fetchone() == (number * 1000 + turn,)

        async with asyncio.TaskGroup() as group:
            for number, client in enumerate(clients):
                group.create_task(work(number, client))
        for client in clients:
            await client.close()


async def test_a_pipeline_and_an_error_in_it(server):
    async with proxied(server, size=1) as port, await connect(port) as connection:
        async with connection.pipeline():
            cursors = [await connection.execute("select %s::int", (number,)) for number in range(50)]
            assert [await cursor.fetchone() for cursor in cursors] == [(number,) for number in range(50)]
        with pytest.raises(psycopg.errors.DivisionByZero):
            await failing_pipeline(connection)
        assert await value(connection, "select 7") == 7


async def failing_pipeline(connection: psycopg.AsyncConnection) -> None:
    async with connection.pipeline():
        await connection.execute("select 1")
        await connection.execute("select 1 / 0")
        await connection.execute("select 2")


async def test_copy_both_ways_and_one_that_fails(server):
    async with proxied(server, size=1) as port, await connect(port) as connection:
        await connection.execute("create table copied (number int, words text)")
        async with connection.cursor().copy("copy copied from stdin") as copy:
            for number in range(5000):
                await copy.write_row((number, "x" * 50))
        async with connection.cursor().copy("copy copied to stdout") as copy:
            assert len([row async for row in copy.rows()]) == 5000
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            async with connection.cursor().copy("copy copied from stdin") as copy:
                await copy.write(b"not a number\tx\n" * 1000)
        assert await value(connection, "select count(*) from copied") == 5000


async def test_what_is_cancelled_is_the_clients_own_query(server):
    async with proxied(server, size=2) as port:
        first, second = await connect(port), await connect(port)
        sleeping = asyncio.create_task(value(second, "select 5 from pg_sleep(1)"))
        long = asyncio.create_task(value(first, "select pg_sleep(30)"))
        await asyncio.sleep(0.2)
        await first.cancel_safe()
        with pytest.raises(psycopg.errors.QueryCanceled):
            await long
        assert await sleeping == 5
        assert await value(first, "select 1") == 1
        await first.close()
        await second.close()


async def test_settings_follow_their_client(server):
    async with proxied(server, size=1) as port, await connect(port) as one, await connect(port) as other:
        await one.execute("set timezone to 'Asia/Tokyo'")
        await one.execute("set application_name to 'it''s \\mine'")
        for _ in range(3):
            assert await value(one, "show timezone") == "Asia/Tokyo"
            assert await value(one, "show application_name") == "it's \\mine"
            assert await value(other, "show timezone") != "Asia/Tokyo"


async def test_who_leaves_in_a_transaction_leaves_nothing_behind(server):
    async with proxied(server, size=1) as port:
        async with await connect(port) as connection:
            await connection.execute("create table kept (number int)")
        leaving = await connect(port, autocommit=False)
        await leaving.execute("insert into kept values (1)")
        await leaving.close()
        async with await connect(port) as connection:
            assert await value(connection, "select count(*) from kept") == 0


async def test_more_clients_than_sessions_and_one_that_waits_too_long(server):
    async with (
        proxied(server, size=1, wait=1.0) as port,
        await connect(port, autocommit=False) as holder,
        await connect(port) as patient,
    ):
        await holder.execute("select 1")  # its transaction keeps the only session
        with pytest.raises(psycopg.errors.TooManyConnections, match="no session on the server became free"):
            await patient.execute("select 2")
        await holder.rollback()
        assert await value(patient, "select 3") == 3


async def test_a_pool_of_asyncpg(server):
    async with proxied(server, size=5) as port:
        where = {
            "host": "127.0.0.1",
            "port": port,
            "user": "app",
            "password": "hidden",
            "database": "app",
            "ssl": False,
        }
        async with (
            asyncpg.create_pool(**where, min_size=20, max_size=20) as pool,
            asyncio.TaskGroup() as group,
        ):

            async def work(number: int) -> None:
                for turn in range(10):
                    async with pool.acquire() as connection:
                        assert (
                            await connection.fetchval("select $1::int + $2::int", number, turn)
                            == number + turn
                        )
                        async with connection.transaction():
                            rows = [
                                row[0] async for row in connection.cursor("select generate_series(1, 120)")
                            ]
                            assert rows == list(range(1, 121))

            for number in range(30):
                group.create_task(work(number))


async def test_a_session_that_the_server_ends_is_replaced(server):
    async with proxied(server, size=1) as port, await connect(port) as connection:
        number = await value(connection, "select pg_backend_pid()")
        async with await psycopg.AsyncConnection.connect(dsn(server), autocommit=True) as direct:
            await direct.execute("select pg_terminate_backend(%s)", (number,))
        async with asyncio.timeout(20):
            while True:
                # it may be asked before it ends, and then says that
                with suppress(psycopg.errors.AdminShutdown):
                    async with await connect(port) as other:
                        if await value(other, "select pg_backend_pid()") != number:
                            break


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0\0\0\4",
        b"\xff" * 64,
        encode.startup({"user": "app", "database": "app"}) + encode.query("select 1"),
        encode.startup({"user": "nobody"}) + b"p\xff\xff\xff\xff",
    ],
)
async def test_garbage_is_refused_and_harms_nobody(server, sent):
    async with proxied(server) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        async with asyncio.timeout(20):
            answer = await reader.read()
        assert b"E" in answer[:40]
        writer.close()
        async with await connect(port) as connection:
            assert await value(connection, "select 1") == 1


async def test_encryption_is_declined_in_words(server):
    async with proxied(server) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(encode.SSL_REQUEST)
        assert await reader.readexactly(1) == b"N"
        assert startup.read_opening(encode.SSL_REQUEST) == (startup.SslRequest(), 8)
        writer.close()
