"""A MariaDB primary that dies, and its replica that takes its place."""

import asyncio
import signal
from dataclasses import replace

import pymysql

from marchproxy.model.database import DatabasePool, DatabaseRoute
from tests.real.mysql_rig import INIT, Setup, asked, error_of, proxied
from tests.real.support.mariadb_pair import mariadb_pair

POOL = DatabasePool(size=20, monitor="root", probe_interval=0.1, wait=20.0)
ITEMS = ("create table shop.item (n int primary key auto_increment, word varchar(100))",)


async def test_a_replica_that_becomes_the_primary_is_found_and_sessions_go_on():
    setup = Setup(options=POOL, route=DatabaseRoute(split_reads=True))
    async with (
        mariadb_pair(init=[*INIT, *ITEMS]) as pair,
        proxied(pair.primary.port, pair.replica.port, setup=setup) as rig,
    ):
        quiet, bound, open_ = [await asyncio.to_thread(rig.connect, autocommit=True) for _ in range(3)]
        await asyncio.to_thread(asked, quiet, "insert item values (1, 'before')")
        await asyncio.to_thread(asked, quiet, "set time_zone = '+03:00'")
        await asyncio.to_thread(asked, bound, "set @a = 1")
        await asyncio.to_thread(asked, open_, "begin")
        await asyncio.to_thread(asked, open_, "insert item values (2, 'lost')")
        await pair.caught_up()
        async with asyncio.TaskGroup() as group:
            cut = group.create_task(asyncio.to_thread(error_of, open_, "select sleep(15)"))
            await rig.until(lambda: any(one.link and one.link.flow.owed for one in rig.sessions))
            await pair.primary.crash()
            assert (await cut)[0] == 2013
        await rig.until(lambda: rig.service.clients() == 1)  # who cannot go on elsewhere is gone
        waiting = asyncio.create_task(asyncio.to_thread(asked, quiet, "insert item values (3, 'after')"))
        await asyncio.sleep(0.2)
        await pair.replica.promote()
        await waiting
        rows = await asyncio.to_thread(
            asked, quiet, "select @@server_id, @@time_zone, (select group_concat(n) from item)"
        )
        assert rows == ((2, "+03:00", "1,3"),)
        roles = {report.address: report.role for report in rig.service.servers() if not report.fault}
        assert roles == {pair.replica.address: "primary"}
        quiet.close()


async def test_clients_that_write_all_the_time_lose_one_transaction_each_at_most():
    async def writes(rig, failures, stop):
        connection = None
        while not stop.is_set():
            try:
                connection = connection or await asyncio.to_thread(rig.connect)
            except pymysql.err.MySQLError:
                continue  # it had asked for nothing yet
            try:
                await asyncio.to_thread(asked, connection, "insert item (word) values ('w')")
                await asyncio.to_thread(connection.commit)
            except pymysql.err.MySQLError:
                failures.append(1)
                connection = None
        if connection is not None:
            connection.close()

    setup = Setup(options=POOL)
    async with (
        mariadb_pair(init=[*INIT, *ITEMS]) as pair,
        proxied(pair.primary.port, pair.replica.port, setup=setup) as rig,
    ):
        stop, failures = asyncio.Event(), [[] for _ in range(4)]
        async with asyncio.TaskGroup() as group:
            for failed in failures:
                group.create_task(writes(rig, failed, stop))
            await rig.until(lambda: rig.around.tallies.kept and rig.tally.transactions > 50)
            await pair.primary.crash()
            await pair.replica.promote()
            done = rig.tally.transactions
            await rig.until(lambda: rig.tally.transactions > done + 50)
            stop.set()
        assert all(len(failed) <= 1 for failed in failures), failures


async def test_nobody_is_left_waiting_for_a_primary_that_hangs():
    setup = Setup(options=POOL)
    async with (
        mariadb_pair(init=[*INIT, *ITEMS]) as pair,
        proxied(pair.primary.port, pair.replica.port, setup=setup) as rig,
    ):
        connection = await asyncio.to_thread(rig.connect, autocommit=True)
        await asyncio.to_thread(asked, connection, "select 1")
        pair.primary.process.send(signal.SIGSTOP)
        try:
            async with asyncio.TaskGroup() as group:
                hung = group.create_task(
                    asyncio.to_thread(error_of, connection, "insert item values (1, 'one')")
                )
                await rig.until(lambda: any(one.link and one.link.flow.owed for one in rig.sessions))
                await pair.replica.promote()
                assert (await hung)[0] == 2013
            assert await rig.ask("select @@server_id") == ((2,),)
        finally:
            pair.primary.process.send(signal.SIGCONT)


async def test_a_switch_that_is_planned_moves_sessions_that_rest():
    setup = Setup(options=replace(POOL, wait=20.0))
    async with (
        mariadb_pair(init=[*INIT, *ITEMS]) as pair,
        proxied(pair.primary.port, pair.replica.port, setup=setup) as rig,
    ):
        connection = await asyncio.to_thread(rig.connect, autocommit=True)
        assert await asyncio.to_thread(asked, connection, "select @@server_id") == ((1,),)
        await pair.primary.ask("set global read_only = on")
        await pair.caught_up()
        await pair.replica.promote()
        await pair.primary.follow(pair.replica)
        await rig.until(
            lambda: (
                {r.address: r.role for r in rig.service.servers()}
                == {pair.primary.address: "replica", pair.replica.address: "primary"}
            )
        )
        await asyncio.to_thread(asked, connection, "insert item values (1, 'one')")
        assert await asyncio.to_thread(asked, connection, "select @@server_id") == ((2,),)
        connection.close()
