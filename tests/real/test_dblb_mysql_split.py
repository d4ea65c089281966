"""Reads on a replica of MariaDB: which of them go there, that they are never stale, and what happens when it is gone."""

import asyncio
import signal
import struct
from dataclasses import replace

import pytest
import pytest_asyncio

from marchproxy.model.database import DatabasePool, DatabaseRoute, ReadTarget
from marchproxy.model.route import RouteId
from tests.real.mysql_rig import INIT, Setup, asked, error_of, proxied
from tests.real.support.mariadb_pair import mariadb_pair

pytestmark = pytest.mark.asyncio(loop_scope="module")

POOL = DatabasePool(size=20, monitor="root", probe_interval=0.1, max_lag=5.0)
#: The servers are looked at once, and what happens to them later is not seen.
BLIND = replace(POOL, probe_interval=600.0)
SPLIT = DatabaseRoute(split_reads=True, catch_up=10.0)
SQL = RouteId("sql")


def setup(route=SPLIT, pool=POOL):
    return Setup(options=pool, route=route)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair():
    init = [
        *INIT,
        "create table shop.item (n int primary key, word varchar(100))",
        "insert into shop.item values (1, 'one'), (2, 'two'), (3, 'three')",
        "create table attic.item (n int primary key, word varchar(100))",
        "insert into attic.item values (1, 'dust')",
        "create function shop.discount(n int) returns int deterministic return n - 1",
    ]
    async with mariadb_pair(init=init) as pair:
        yield pair


class Reader:
    """A connection whose reads go to the replica."""

    def __init__(self, rig, connection):
        self.rig = rig
        self.connection = connection

    def ask(self, statement):
        """The rows, and how many times a replica was asked."""
        before = self.rig.tally.to_replicas
        rows = asked(self.connection, statement)
        return rows, self.rig.tally.to_replicas - before

    def prepare(self, statement, blocks):
        """Its number. pymysql prepares nothing, so this is in the words of the protocol."""
        connection = self.connection
        connection._execute_command(0x16, statement)
        (number,) = struct.unpack_from("<I", connection._read_packet()._data, 1)
        for _ in range(2 * blocks):  # a parameter or a column, and an EOF, each
            connection._read_packet()
        return number

    def execute(self, number, value, *, typed):
        """The one short text that a statement with one number for a parameter gives."""
        before, connection = self.rig.tally.to_replicas, self.connection
        types = b"\1" + struct.pack("<BB", 3, 0) if typed else b"\0"
        connection._execute_command(
            0x17, struct.pack("<IBIB", number, 0, 1, 0) + types + struct.pack("<I", value)
        )
        for _ in range(3):  # how many columns, the column, EOF
            connection._read_packet()
        row = connection._read_packet()._data
        assert connection._read_packet().is_eof_packet()
        return row[3 : 3 + row[2]], self.rig.tally.to_replicas - before


async def reader(rig, **options):
    """A connection, when the replica is seen and answers its reads."""
    await rig.until(lambda: {r.role for r in rig.service.servers()} == {"primary", "replica"})
    connection = await asyncio.to_thread(rig.connect, **({"autocommit": True} | options))
    async with asyncio.timeout(20):
        while not rig.tally.to_replicas:
            await asyncio.to_thread(asked, connection, "select 0")
    return Reader(rig, connection)


async def test_reads_go_to_the_replica_and_the_rest_does_not(pair):
    def work(it):
        assert it.ask("select word from item where n = 2") == ((("two",),), 1)
        assert it.ask("select @@server_id") == (((1,),), 0)
        assert it.ask("select discount(3)") == (((2,),), 0)
        assert it.ask("/* marchproxy: primary */ select 1") == (((1,),), 0)
        assert it.ask("select 1 from item for update")[1] == 0
        asked(it.connection, "begin")
        assert it.ask("select 1") == (((1,),), 0)
        asked(it.connection, "commit")

    async with proxied(pair.primary.port, pair.replica.port, setup=setup()) as rig:
        it = await reader(rig)
        await asyncio.to_thread(work, it)
        it.connection.close()


async def test_a_function_that_is_not_known_binds_the_session_and_so_does_a_variable(pair):
    def work(it, statement):
        assert it.ask("select 1")[1] == 1
        asked(it.connection, statement)
        assert it.ask("select 1")[1] == 0

    for statement in ("select discount(3)", "set @a = 1", "create temporary table t (n int)"):
        async with proxied(pair.primary.port, pair.replica.port, setup=setup()) as rig:
            it = await reader(rig)
            await asyncio.to_thread(work, it, statement)
            assert sum(rig.tally.pins.values()) == 1
            it.connection.close()


async def test_the_replica_is_told_what_the_session_has_set(pair):
    def work(it):
        asked(it.connection, "set time_zone = '+05:00', names utf8mb3")
        asked(it.connection, "set character_set_results = null")
        # now() minus utc_timestamp() is the zone, whichever server says it
        rows, times = it.ask("select timestampdiff(hour, utc_timestamp(), now()), collation('x')")
        assert (rows, times) == (((5, "utf8mb3_general_ci"),), 1)
        it.connection.select_db("attic")
        assert it.ask("select word from item where n = 1") == ((("dust",),), 1)
        asked(it.connection, "use shop")
        assert it.ask("select word from item where n = 1") == ((("one",),), 1)

    async with proxied(pair.primary.port, pair.replica.port, setup=setup()) as rig:
        it = await reader(rig, charset="utf8mb4")
        await asyncio.to_thread(work, it)
        it.connection.close()


async def test_what_a_read_left_behind_is_asked_for_where_it_was(pair):
    def work(it):
        assert it.ask("select 1 from item")[1] == 1
        assert it.ask("select found_rows()") == (((3,),), 1)
        assert it.ask("select cast('7x' as signed)") == (((7,),), 1)
        rows, times = it.ask("show warnings")
        assert (len(rows), times) == (1, 1)
        asked(it.connection, "update item set word = word")
        assert it.ask("show warnings") == ((), 0)

    async with proxied(pair.primary.port, pair.replica.port, setup=setup()) as rig:
        it = await reader(rig)
        await asyncio.to_thread(work, it)
        it.connection.close()


async def test_prepared_statements_are_prepared_on_the_replica_when_they_are_run(pair):
    def work(it):
        number = it.prepare("select word from item where n = ?", 2)
        assert it.execute(number, 1, typed=True) == (b"one", 1)
        assert it.execute(number, 2, typed=False) == (b"two", 1)
        asked(it.connection, "begin")  # the primary has not been told the types yet
        assert it.execute(number, 3, typed=False) == (b"three", 0)
        asked(it.connection, "commit")
        assert it.execute(number, 1, typed=False) == (b"one", 1)
        it.connection._execute_command(0x19, struct.pack("<I", number))
        assert it.ask("select 1") == (((1,),), 1)
        it.connection._execute_command(0x17, struct.pack("<IBI", number, 0, 1))
        with pytest.raises(Exception, match="1243"):
            it.connection._read_packet()

    async with proxied(pair.primary.port, pair.replica.port, setup=setup()) as rig:
        it = await reader(rig)
        await asyncio.to_thread(work, it)
        it.connection.close()


async def test_what_a_client_wrote_it_reads(pair):
    """The replica is waited for, so each read goes there, and gives what was written just before."""

    def work(it):
        for number in range(100, 150):
            asked(it.connection, f"insert item values ({number}, 'w')")
            assert it.ask(f"select word from item where n = {number}") == ((("w",),), 1)
        asked(it.connection, "delete from item where n > 3")

    async with proxied(pair.primary.port, pair.replica.port, setup=setup(pool=BLIND)) as rig:
        it = await reader(rig)
        await asyncio.to_thread(work, it)
        it.connection.close()


async def test_a_replica_that_does_not_replay_gives_no_stale_row(pair):
    """Nobody sees that it stands still, but for its not having what was written."""

    def work(it):
        for number in range(200, 220):
            asked(it.connection, f"insert item values ({number}, 'w')")
            assert it.ask(f"select word from item where n = {number}") == ((("w",),), 0)
        asked(it.connection, "delete from item where n > 3")
        assert it.ask("select count(*) from item") == (((3,),), 0)

    route = replace(SPLIT, catch_up=0.01)
    async with proxied(pair.primary.port, pair.replica.port, setup=setup(route, BLIND)) as rig:
        it = await reader(rig)
        await pair.replica.pause_replay()
        try:
            await asyncio.to_thread(work, it)
        finally:
            await pair.replica.resume_replay()
        await pair.caught_up()
        it.connection.close()


async def test_a_replica_that_is_seen_to_stand_still_gets_no_reads(pair):
    async with proxied(pair.primary.port, pair.replica.port, setup=setup()) as rig:
        it = await reader(rig)
        await pair.replica.pause_replay()
        try:
            await rig.until(lambda: any(r.lag is None for r in rig.service.servers()))
            assert (await asyncio.to_thread(it.ask, "select 1"))[1] == 0
        finally:
            await pair.replica.resume_replay()
        await rig.until(lambda: all(r.lag is not None for r in rig.service.servers()))
        it.connection.close()


async def test_what_the_replica_refuses_the_primary_is_asked(pair):
    await pair.replica.ask("rename table shop.item to shop.hidden")
    try:
        async with proxied(pair.primary.port, pair.replica.port, setup=setup()) as rig:
            it = await reader(rig)
            rows, times = await asyncio.to_thread(it.ask, "select count(*) from item")
            assert (rows, times, rig.tally.retried) == (((3,),), 1, 1)
            assert (await asyncio.to_thread(error_of, it.connection, "select * from nowhere"))[0] == 1146
            it.connection.close()
    finally:
        await pair.replica.ask("rename table shop.hidden to shop.item")


async def test_a_replica_that_hangs_is_given_up_and_the_primary_answers(pair):
    async with proxied(pair.primary.port, pair.replica.port, setup=setup()) as rig:
        it = await reader(rig)
        pair.replica.process.send(signal.SIGSTOP)
        try:
            rows, _ = await asyncio.to_thread(it.ask, "select count(*) from item")
            assert rows == ((3,),)
            # a busy machine may have sent the first past a replica that was not looked at in time
            async with asyncio.timeout(20):
                while (await asyncio.to_thread(it.ask, "select 7")) != (((7,),), 0):
                    pass
        finally:
            pair.replica.process.send(signal.SIGCONT)
        it.connection.close()


async def test_a_session_on_a_replica_writes_nothing(pair):
    def work(rig):
        with rig.connect(autocommit=True) as connection:
            assert asked(connection, "select @@server_id") == ((2,),)
            assert error_of(connection, "insert item values (9, 'nine')")[0] == 1290
            assert asked(connection, "select count(*) from item") == ((3,),)

    route = DatabaseRoute(target=ReadTarget.REPLICA)
    async with proxied(pair.primary.port, pair.replica.port, setup=setup(route)) as rig:
        await asyncio.to_thread(work, rig)


async def test_a_route_is_paused_and_goes_on(pair):
    async with proxied(pair.primary.port, pair.replica.port, setup=setup()) as rig:
        it = await reader(rig)
        other = await asyncio.to_thread(rig.connect)
        await asyncio.to_thread(asked, other, "begin")
        rig.service.pause(SQL)
        await rig.until(lambda: rig.service.busy(SQL) == 1)  # the open transaction
        async with asyncio.TaskGroup() as group:
            held = group.create_task(asyncio.to_thread(it.ask, "select 5"))
            await asyncio.to_thread(asked, other, "commit")
            await rig.until(lambda: rig.service.busy(SQL) == 0)
            await asyncio.sleep(0.1)
            assert not held.done()
            rig.service.resume(SQL)
            assert (await held)[0] == ((5,),)
        it.connection.close()
        other.close()


async def test_a_comment_asks_for_the_replicas_of_another_pool(pair):
    """Both pools are of the same servers, as only a test has it; one of them has no share."""
    here = setup()
    pools = [here.upstream([pair.primary.port, pair.replica.port], name) for name in ("main", "reports")]
    async with proxied(plan=here.planned([(pools[0], 100), (pools[1], 0)])) as rig:
        await rig.until(lambda: [r.role for r in rig.service.servers()] == ["primary", "replica"] * 2)
        connection = await asyncio.to_thread(rig.connect, autocommit=True)

        def links():
            return sum(
                g.connections for g in rig.service.gauges() if (g.pool, g.role) == ("reports", "replica")
            )

        assert links() == 0
        async with asyncio.timeout(20):
            while not links():
                await asyncio.to_thread(asked, connection, "/* marchproxy: pool=reports */ select 1")
        connection.close()


async def test_who_waits_too_long_for_a_paused_route_is_told_so(pair):
    quick = setup(pool=replace(POOL, wait=0.2))
    async with proxied(pair.primary.port, pair.replica.port, setup=quick) as rig:
        it = await reader(rig)
        rig.service.pause(SQL)
        assert (await asyncio.to_thread(error_of, it.connection, "select 5"))[0] == 1205
        rig.service.resume(SQL)
        assert (await asyncio.to_thread(it.ask, "select 5"))[0] == ((5,),)
        it.connection.close()


async def test_the_servers_are_asked_when_somebody_wants_to_know(pair):
    async with proxied(pair.primary.port, pair.replica.port, setup=setup(pool=BLIND)) as rig:
        reports = {report.role: report for report in await rig.service.check()}
        assert set(reports) == {"primary", "replica"}
        assert reports["replica"].lag == 0
        assert all(report.latency is not None and not report.fault for report in reports.values())


async def test_a_drained_worker_loses_its_clients_as_they_come_to_rest(pair):
    async with proxied(pair.primary.port, pair.replica.port, setup=setup()) as rig:
        it = await reader(rig)
        busy = await asyncio.to_thread(rig.connect)
        await asyncio.to_thread(asked, busy, "begin")
        rig.service.drain()
        await rig.until(lambda: rig.service.clients() == 1)
        assert await asyncio.to_thread(asked, busy, "select 1") == ((1,),)
        await asyncio.to_thread(busy.query, "commit")
        await rig.until(lambda: rig.service.clients() == 0)
        it.connection._force_close()
        busy._force_close()
