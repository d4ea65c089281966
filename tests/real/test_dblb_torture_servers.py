"""Servers that die, stand still and change their parts under load: what clients are told stays true."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import psycopg
import pytest
import pytest_asyncio

from tests.real.dblb_rig import dblb
from tests.real.support.postgres_cluster import Cluster, postgres_cluster
from tests.real.support.waiting import until
from tests.real.torture_rig import connect, value

pytestmark = pytest.mark.asyncio(loop_scope="function")

_CLIENTS = 16


@pytest_asyncio.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with postgres_cluster() as cluster:
        await cluster.primary.ask("create table kept (client int, turn int, primary key (client, turn))")
        await cluster.caught_up()
        yield cluster


@pytest_asyncio.fixture
async def proxy(cluster, tmp_path) -> AsyncIterator[int]:
    kinds = {"db": {"size": 10, "wait": 30}}
    endpoints = [node.address for node in cluster.nodes]
    async with dblb(tmp_path, "postgres", endpoints, kinds, route={"split_reads": True}) as system:
        yield system.direct


async def test_a_client_reads_what_it_wrote_while_replicas_stand_still(cluster, proxy):
    async def work(number: int) -> None:
        async with await connect(proxy) as connection:
            for turn in range(10):
                await connection.execute("insert into kept values (%s, %s)", (number, turn))
                found = await value(connection, "select count(*) from kept where client = %s", number)
                assert found == turn + 1, "a read before the client's own write"

    for replica in cluster.replicas:
        await replica.pause_replay()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for number in range(_CLIENTS):
            group.create_task(work(number))
    for replica in cluster.replicas:
        await replica.resume_replay()
    await cluster.caught_up()


async def test_a_server_that_dies_in_a_transaction_is_no_success(cluster, proxy):
    connection = await connect(proxy)
    await connection.execute("begin")
    await connection.execute("insert into kept values (1, 1)")
    await cluster.primary.crash()
    with pytest.raises(psycopg.Error):
        await connection.execute("commit")
    await connection.close()
    await cluster.primary.start()
    await until(lambda: _writes(proxy, 1, 2))
    assert await cluster.primary.ask("select turn from kept") == [(2,)]


async def test_a_failover_fails_at_most_one_transaction_of_a_client(cluster, proxy):
    over = asyncio.Event()
    failed = dict.fromkeys(range(_CLIENTS), 0)
    later = dict.fromkeys(range(_CLIENTS), 0)

    async def work(number: int) -> None:
        connection, turn = await connect(proxy), 0
        while later[number] < 3:
            turn += 1
            moved = over.is_set()
            try:
                await connection.execute("insert into kept values (%s, %s)", (number, turn))
                later[number] += moved
            except psycopg.Error:
                failed[number] += 1
                with suppress(psycopg.Error):
                    await connection.close()
                connection = await connect(proxy)
        await connection.close()

    async def fail_over() -> None:
        first, second = cluster.replicas
        await until(lambda: first.ask("select 1 from kept having count(*) > 100"))
        await cluster.primary.crash()
        await first.promote()
        await second.follow(first)
        over.set()

    async with asyncio.timeout(80), asyncio.TaskGroup() as group:
        group.create_task(fail_over())
        for number in range(_CLIENTS):
            group.create_task(work(number))
    assert max(failed.values()) <= 1, failed


async def _writes(port: int, *row: int) -> bool:
    try:
        async with await connect(port) as connection:
            await connection.execute("insert into kept values (%s, %s)", row)
    except psycopg.Error:
        return False
    return True
