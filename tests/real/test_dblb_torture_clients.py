"""Many clients who cancel at once, and clients that are killed in the middle of everything: nobody else notices."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
import pytest_asyncio

from tests.real.dblb_rig import dblb
from tests.real.support.databases import postgres
from tests.real.support.waiting import until
from tests.real.torture_rig import connect, cut, value

pytestmark = pytest.mark.asyncio(loop_scope="module")

_CLIENTS = 200
_TURNS = 4
_BUSY = "select count(*) from pg_stat_activity where datname = 'app' and pid <> pg_backend_pid() and state <> 'idle'"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[int]:
    async with postgres() as port:
        yield port


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def proxy(server: int, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[int]:
    kinds = {"wide": {"size": 20, "wait": 60}, "narrow": {"size": 2, "wait": 30}}
    where = [f"127.0.0.1:{server}"]
    async with dblb(tmp_path_factory.mktemp("dblb"), "postgres", where, kinds) as system:
        yield system.direct


async def test_who_cancels_hits_nobody_else(proxy):
    """Every other client cancels each of its queries at a moment of its own; the others must never be cancelled."""

    async def work(number: int) -> int:
        cancelled = 0
        async with await connect(proxy) as connection:
            for turn in range(_TURNS):
                mark = number * 1000 + turn
                asking = asyncio.ensure_future(value(connection, f"select {mark} from pg_sleep(0.05)"))
                if number % 2:
                    await asyncio.sleep((number * 7 + turn * 13) % 60 / 1000)
                    await connection.cancel_safe(timeout=60)
                try:
                    assert await asking == mark
                except psycopg.errors.QueryCanceled:
                    assert number % 2, "a neighbour's cancellation hit this client"
                    cancelled += 1
        return cancelled

    async with asyncio.timeout(90), asyncio.TaskGroup() as group:
        clients = [group.create_task(work(number)) for number in range(_CLIENTS)]
    assert sum(client.result() for client in clients) > 0


async def test_who_is_killed_in_a_copy_leaves_nothing(server, proxy):
    async with await connect(server) as direct:
        await direct.execute("create table half (n int, words text)")
        for _ in range(4):
            killed = await connect(proxy)
            killed.pgconn.send_query(b"copy half from stdin")
            await until(lambda: _begun(direct, "copy%"))
            assert killed.pgconn.get_result().status == psycopg.pq.ExecStatus.COPY_IN
            killed.pgconn.put_copy_data(b"1\thalf of it\n" * 5000)
            cut(killed)
            await killed.close()
        await _clean(direct, proxy)
        assert await value(direct, "select count(*) from half") == 0


async def test_who_is_killed_reading_a_copy_leaves_nothing(server, proxy):
    async with await connect(server) as direct:
        for _ in range(4):
            killed = await connect(proxy)
            killed.pgconn.send_query(
                b"copy (select repeat('x', 1000) from generate_series(1, 1000000)) to stdout"
            )
            await until(lambda: _begun(direct, "copy%"))
            cut(killed)
            await killed.close()
        await _clean(direct, proxy)


async def test_who_is_killed_in_a_pipeline_leaves_nothing(server, proxy):
    async with await connect(server) as direct:
        await direct.execute("create table piped (n int)")
        for _ in range(4):
            killed = await connect(proxy)
            killed.pgconn.enter_pipeline_mode()
            for statement in (b"begin", b"insert into piped values (1)", b"select pg_sleep(0.3)"):
                killed.pgconn.send_query_params(statement, None)
                killed.pgconn.pipeline_sync()
            for _ in range(50):
                killed.pgconn.send_query_params(b"insert into piped values (2)", None)
            killed.pgconn.flush()
            await until(lambda: _begun(direct, "select pg_sleep%"))
            cut(killed)
            await killed.close()
        await _clean(direct, proxy)
        assert await value(direct, "select count(*) from piped") == 0


async def _begun(direct: psycopg.AsyncConnection, statement: str) -> bool:
    running = "select count(*) from pg_stat_activity where state = 'active' and query like %s"
    return bool(await value(direct, running, statement))


async def _clean(direct: psycopg.AsyncConnection, proxy: int) -> None:
    """Nothing goes on on the server, and every connection to it serves the next client as if nothing had been."""

    async def free() -> bool:
        return await value(direct, _BUSY) == 0

    await until(free)
    clients = [await connect(proxy) for _ in range(12)]
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(value(client, "select %s::int", at)) for at, client in enumerate(clients)]
    assert [one.result() for one in asked] == list(range(len(clients)))
    for client in clients:
        await client.close()
    assert (
        await value(direct, "select count(*) from pg_stat_activity where backend_type = 'client backend'")
        <= 25
    )
