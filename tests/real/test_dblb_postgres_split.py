"""Reads on replicas: what goes there, what never does, and that a client never misses what it wrote itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import psycopg
import pytest
import pytest_asyncio

from marchproxy.modules.dblb.postgres.service import PostgresService
from marchproxy.wire.postgres import encode
from tests.real.support.dblb_services import Served, serving
from tests.real.support.postgres_cluster import Cluster, postgres_cluster
from tests.real.support.postgres_routes import connect, dsn, routed, tally, value

pytestmark = pytest.mark.asyncio(loop_scope="module")

WHERE = "/* marchproxy: replica */ select pg_is_in_recovery()"
_WITHIN = 20.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster() -> AsyncIterator[Cluster]:
    async with postgres_cluster() as cluster:
        await cluster.primary.ask("create table kept (number int, words text)")
        await cluster.primary.ask("create sequence counter")
        await cluster.primary.ask(
            "create view counting as select nextval('counter') as number, words from kept"
        )
        await cluster.primary.ask("insert into kept values (1, 'one')")
        await cluster.caught_up()
        yield cluster


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(cluster: Cluster) -> AsyncIterator[Served]:
    async with serving(PostgresService, routed(cluster, split_reads=True)) as served:
        await reading(served)
        yield served


async def reading(served: Served) -> None:
    """Until reads go to replicas: the servers were looked at, and the database's functions are known."""
    async with asyncio.timeout(_WITHIN), await connect(served) as client:
        before = tally(served).to_replicas
        while tally(served).to_replicas < before + 2:
            await value(client, "select count(*) from kept")
            await asyncio.sleep(0.02)


async def on_replica(served: Served, client: psycopg.AsyncConnection, statement: str) -> bool:
    before = tally(served).to_replicas
    await client.execute(statement)  # type: ignore[call-overload]
    return tally(served).to_replicas > before


@pytest.mark.parametrize(
    ("statement", "on"),
    [
        ("select * from kept where number = 1", True),
        ("select count(*), now(), lower('A') from kept", True),
        (WHERE, True),
        ("insert into kept values (0, 'none')", False),
        ("select * from kept for update", False),
        ("select nextval('counter')", False),
        ("select last_value from counter", False),
        ("select random()", False),
        ("select pg_is_in_recovery()", False),
        ("select * from pg_stat_activity limit 1", False),
        ("select 1; select 2", False),
        ("/* marchproxy: primary */ select 1", False),
    ],
)
async def test_what_a_replica_answers(served, statement, on):
    async with await connect(served) as client:
        assert await on_replica(served, client, statement) is on


async def test_a_transaction_that_only_reads_is_a_replicas(served):
    async with await connect(served, autocommit=False) as client:
        await client.set_read_only(True)
        for _ in range(3):
            assert await value(client, "select pg_is_in_recovery()") is True
            assert await value(client, "select words from kept where number = 1") == "one"
            await client.commit()
        await client.set_read_only(False)
        assert await value(client, "select pg_is_in_recovery()") is False
        await client.execute("insert into kept values (0, 'none')")
        await client.commit()


async def test_what_would_outlast_a_transaction_on_a_replica_is_refused(served):
    async with await connect(served) as client:
        await client.execute("begin read only")
        await client.execute("set local work_mem to '1MB'")
        await client.execute("set timezone to 'Asia/Tokyo'")
        for statement in ("set work_mem to '1MB'", "select pg_advisory_lock(1)", "listen here"):
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction, match="where this cannot be kept"):
                await client.execute(statement)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction, match="where this cannot be kept"):
            await client.execute("select pg_advisory_lock(%s)", (1,))
        assert await value(client, "select pg_is_in_recovery()") is True
        await client.execute("commit")
        assert await value(client, "show timezone") == "Asia/Tokyo"


async def test_what_is_sent_ahead_behind_a_transaction_that_reads_is_written_on_the_primary(served):
    async with await connect(served) as client, client.pipeline():
        await client.execute("begin read only")
        cursor = await client.execute("select pg_is_in_recovery()")
        await client.execute("commit")
        await client.execute("insert into kept values (0, 'ahead')")
        assert (await cursor.fetchone()) is not None


async def test_a_pipeline_with_a_write_in_it(served):
    async with await connect(served) as client:
        async with client.pipeline():
            cursors = []
            for number in range(100, 130):
                await client.execute("insert into kept values (%s, 'piped')", (number,))
                cursors.append(await client.execute("select count(*) from kept where number = %s", (number,)))
            assert [await cursor.fetchone() for cursor in cursors] == [(1,)] * 30
        await client.execute("delete from kept where words = 'piped'")


async def test_prepared_statements_of_asyncpg(served):
    where = {"host": "127.0.0.1", "port": served.port, "user": "app", "password": "hidden", "database": "app"}
    client = await asyncpg.connect(**where, ssl=False)
    try:
        before = tally(served).to_replicas
        for number in range(20):
            assert (
                await client.fetchval("select $1::int + count(*)::int - count(*)::int from kept", number)
                == number
            )
        assert tally(served).to_replicas > before
        async with client.transaction(readonly=True):
            assert await client.fetchval("select pg_is_in_recovery()") is True
            assert [row[0] async for row in client.cursor("select generate_series(1, 120)")] == list(
                range(1, 121)
            )
    finally:
        await client.close()


@pytest.mark.parametrize("prepare", [None, False, True])
async def test_what_a_replica_refuses_is_asked_of_the_primary(served, prepare):
    async with await connect(served) as client:
        for _ in range(7):
            before = tally(served).retried
            numbers = [
                await value(client, "select number from counting limit 1", prepare=prepare) for _ in range(2)
            ]
            assert numbers[0] < numbers[1]
        assert tally(served).retried > before
        with pytest.raises(psycopg.errors.UndefinedTable):
            await client.execute("select * from nothing_of_the_kind")
        assert await value(client, "select 5") == 5


async def test_settings_follow_to_a_replica(served):
    async with await connect(served) as client:
        await client.execute("set timezone to 'Asia/Tokyo'")
        for _ in range(5):
            assert (
                await value(client, "/* marchproxy: replica */ select current_setting('timezone')")
                == "Asia/Tokyo"
            )


async def test_a_read_on_a_replica_is_cancelled_and_not_asked_again(served):
    async with await connect(served) as client:
        before = tally(served).retried
        sleeping = asyncio.create_task(value(client, "/* marchproxy: replica */ select pg_sleep(60)"))
        await until_sleeping(served)
        await client.cancel_safe()
        with pytest.raises(psycopg.errors.QueryCanceled):
            await sleeping
        assert tally(served).retried == before


async def until_sleeping(served: Served, *, read: int | None = None) -> None:
    """Until a replica has something to do, or has answered: more than what was `read` before."""
    async with asyncio.timeout(_WITHIN):
        while not any(
            gauge.role == "replica" and gauge.connections > gauge.idle for gauge in served.service.gauges()
        ):
            if read is not None and tally(served).to_replicas > read:
                return
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("paused", [1, 2])
async def test_a_client_never_misses_what_it_wrote(cluster, served, paused):
    for replica in cluster.replicas[:paused]:
        await replica.pause_replay()
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(write_and_read(served, f"writer {number} of {paused}"))
    finally:
        for replica in cluster.replicas[:paused]:
            await replica.resume_replay()
    await cluster.caught_up()


async def write_and_read(served: Served, name: str) -> None:
    async with await connect(served) as client:
        for number in range(40):
            await client.execute("insert into kept values (%s, %s)", (number, name))
            read = await value(
                client, "select max(number) from kept where words = %s", name, prepare=number % 2 == 0
            )
            assert read == number


async def test_another_client_reads_what_is_old_until_it_is_too_old(cluster):
    plan = routed(cluster, split_reads=True, pool={"max_lag": 1.0, "probe_interval": 0.1})
    async with serving(PostgresService, plan) as served:
        await reading(served)
        for replica in cluster.replicas:
            await replica.pause_replay()
        try:
            async with await connect(served) as writer, await connect(served) as reader:
                await writer.execute("insert into kept values (1000, 'late')")
                async with asyncio.timeout(_WITHIN):
                    while not await value(reader, "select count(*) from kept where number = 1000"):
                        await asyncio.sleep(0.02)
                # replicas are too old now: the primary answers
                assert not await on_replica(served, reader, "select count(*) from kept")
        finally:
            for replica in cluster.replicas:
                await replica.resume_replay()
    await cluster.caught_up()


async def test_a_function_counts_as_what_it_is_declared(cluster, served):
    make = "create or replace function {0}() returns bool language sql {0} as 'select pg_is_in_recovery()'"
    for volatility in ("stable", "volatile"):
        await cluster.primary.ask(make.format(volatility).replace("function ", "function is_", 1))
    await cluster.caught_up()
    async with await connect(served) as client:
        async with asyncio.timeout(_WITHIN):
            while not await value(client, "select is_stable()"):
                await asyncio.sleep(0.05)
        assert await value(client, "select is_volatile()") is False


@pytest.mark.parametrize(("target", "standby"), [("primary", False), ("replica", True)])
async def test_a_route_to_one_kind_of_server(cluster, target, standby):
    async with (
        serving(PostgresService, routed(cluster, target=target)) as served,
        await connect(served) as client,
    ):
        assert await value(client, "select pg_is_in_recovery()") is standby
        if standby:
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                await client.execute("insert into kept values (0, 'none')")


async def test_a_client_that_leaves_in_a_transaction_on_a_replica(served):
    leaving = await psycopg.AsyncConnection.connect(dsn(served))
    await leaving.set_read_only(True)
    await leaving.execute("select 1")
    await leaving.close()
    async with asyncio.timeout(_WITHIN):
        while any(gauge.connections > gauge.idle for gauge in served.service.gauges()):
            await asyncio.sleep(0.02)


async def test_reads_are_divided_among_pools_until_a_session_writes(cluster):
    blue, green = Cluster(cluster.primary, cluster.replicas[:1]), cluster.replicas[1]
    plan = routed(blue, beside={"green": green}, shares=(0, 100), split_reads=True, writes="main")
    where = "/* marchproxy: replica */ select inet_server_port()"
    async with serving(PostgresService, plan) as served:
        async with asyncio.timeout(_WITHIN):
            while await port_of_a_read(served) != green.port:
                await asyncio.sleep(0.05)
        async with await connect(served) as client:
            assert {await value(client, where) for _ in range(10)} == {green.port}
            named = "/* marchproxy: replica pool=main */ select inet_server_port()"
            assert await value(client, named) == cluster.replicas[0].port
            await client.execute("insert into kept values (0, 'none')")
            own = {cluster.primary.port, cluster.replicas[0].port}
            assert {await value(client, where) for _ in range(5)} <= own


async def port_of_a_read(served: Served) -> int:
    async with await connect(served) as client:
        port: int = await value(client, "/* marchproxy: replica */ select inet_server_port()")
        return port


@asynccontextmanager
async def bare(served: Served) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A client that sends what it likes when it likes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(encode.startup({"user": "app", "database": "app"}))
    await reader.readuntil(b"Z\0\0\0\5I")
    try:
        async with asyncio.timeout(_WITHIN):
            yield reader, writer
    finally:
        writer.close()


SLOW = encode.query("/* marchproxy: replica */ select 'slow' from pg_sleep(0.5)")


async def test_what_comes_while_a_replica_answers_waits_and_is_judged_by_itself(cluster):
    async with serving(PostgresService, routed(cluster, trusted=True, split_reads=True)) as served:
        await reading(served)
        async with bare(served) as (reader, writer):
            before = tally(served).to_replicas
            writer.write(SLOW)
            await until_sleeping(served, read=before)
            writer.write(encode.query("insert into kept values (77, 'behind')"))
            await writer.drain()
            await asyncio.sleep(0.01)  # another read of the proxy's, most of the time
            writer.write(encode.query("select words from kept where number = 77"))
            answers = [await reader.readuntil(b"Z\0\0\0\5I") for _ in range(3)]
            for answer, words in zip(answers, (b"slow", b"INSERT 0 1", b"behind"), strict=True):
                assert words in answer


async def test_who_is_sent_away_hears_the_replica_out(cluster):
    async with serving(PostgresService, routed(cluster, trusted=True, split_reads=True)) as served:
        await reading(served)
        async with bare(served) as (reader, writer), bare(served) as (other, other_writer):
            before = tally(served).to_replicas
            writer.write(SLOW)
            await until_sleeping(served, read=before)
            other_writer.write(encode.query("begin read only"))
            await other.readuntil(b"Z\0\0\0\5T")
            served.service.drain()
            heard = await reader.read()
            assert b"slow" in heard
            assert b"57P01" in heard
            other_writer.write(encode.query("select pg_is_in_recovery()"))
            assert b"t" in await other.readuntil(b"Z\0\0\0\5T")
            other_writer.write(encode.query("commit"))
            assert b"57P01" in await other.read()
