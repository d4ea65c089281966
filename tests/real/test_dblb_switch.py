"""Writes that move from one PostgreSQL to another, which follows it by logical replication, under writing clients."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
import pytest_asyncio

from marchproxy.contract.pb import module_pb2
from tests.real.support.dblb import Databases, databases
from tests.real.support.postgres_cluster import Node, postgres_cluster

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLIENTS = 20
#: Says on which server a row was written first: what is replicated brings its value along.
TABLE = """create table if not exists rows (
    client int, number int, port int default current_setting('port')::int, primary key (client, number))"""


class Colours:
    """Two servers, of which green has all of blue's rows soon after."""

    def __init__(self, blue: Node, green: Node) -> None:
        self.blue, self.green = blue, green

    async def begin(self) -> None:
        """Both empty, and green subscribed."""
        with suppress(psycopg.errors.UndefinedObject):
            await self.green.ask("drop subscription green")
        for node in (self.blue, self.green):
            await node.ask("drop table if exists rows")
            await node.ask("drop publication if exists everything")
            await node.ask(TABLE)
        await self.blue.ask("create publication everything for all tables")
        await self.green.ask(
            f"create subscription green connection '{self.blue.dsn()}' publication everything"
        )
        await self.green.until("select bool_and(srsubstate = 'r') from pg_subscription_rel")

    async def rows(self, node: Node) -> dict[tuple[int, int], int]:
        """By client and number, the port of the server on which each was written."""
        return {(client, number): port for client, number, port in await node.ask("select * from rows")}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers() -> AsyncIterator[Colours]:
    async with (
        postgres_cluster(replicas=0, wal_level="logical") as blue,
        postgres_cluster(replicas=0, wal_level="logical") as green,
    ):
        yield Colours(blue.primary, green.primary)


@pytest_asyncio.fixture(loop_scope="module")
async def colours(servers: Colours) -> Colours:
    await servers.begin()
    return servers


def document(colours: Colours, folder: Path, seconds: float) -> dict[str, Any]:
    users = folder / "users.txt"
    users.write_text('"app" "none is asked for"\n')
    pool = {
        "protocol": "postgres",
        "database": {"size": 8, "users": str(users), "monitor": "app", "wait": 20},
    }
    return {
        "pools": [
            {"name": "blue", "endpoints": [colours.blue.address], **pool},
            {"name": "green", "endpoints": [colours.green.address], **pool},
        ],
        "routes": [
            {
                "id": "app",
                "protocol": "postgres",
                "module": "dblb",
                "backends": [{"pool": "blue", "weight": 100}, {"pool": "green", "weight": 0}],
                "database": {"writes": "blue", "switch_timeout": seconds},
            }
        ],
    }


class Writers:
    """Clients that write as fast as they can, two rows in a transaction; nothing that fails is tried again."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.written: set[tuple[int, int]] = set()
        self._stop = asyncio.Event()

    async def write(self, client: int) -> None:
        dsn = f"host=127.0.0.1 port={self.port} user=app dbname=app"
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            number = 0
            while not self._stop.is_set():
                pair = [(client, number), (client, number + 1)]
                async with connection.transaction():
                    for row in pair:
                        await connection.execute("insert into rows (client, number) values (%s, %s)", row)
                self.written.update(pair)
                number += 2

    async def more(self, each: int = 20) -> None:
        """Until every client has written so many rows more."""
        goal = {client: self._count(client) + each for client in range(CLIENTS)}
        async with asyncio.timeout(30):
            while any(self._count(client) < count for client, count in goal.items()):
                await asyncio.sleep(0.02)

    def stop(self) -> None:
        self._stop.set()

    def _count(self, client: int) -> int:
        return sum(one == client for one, _ in self.written)


@asynccontextmanager
async def writing(port: int) -> AsyncIterator[Writers]:
    """Clients for the length of the block; they end with it, and their errors are the block's."""
    writers = Writers(port)
    async with asyncio.TaskGroup() as group:
        for client in range(CLIENTS):
            group.create_task(writers.write(client))
        yield writers
        writers.stop()


async def reload(system: Databases, writes: str) -> module_pb2.ReloadResponse:
    system.document["routes"][0]["database"]["writes"] = writes
    system.save()
    async with system.asked() as module:
        return await module.Reload(module_pb2.ReloadRequest())


async def test_every_row_arrives_and_none_is_written_to_both(colours: Colours, tmp_path: Path) -> None:
    async with databases(tmp_path, document(colours, tmp_path, 10)) as system:
        async with writing(system.direct) as writers:
            await writers.more()
            answer = await reload(system, "green")
            assert answer.success, answer
            await writers.more()
        await _all_there(colours, writers.written)


async def _all_there(colours: Colours, written: set[tuple[int, int]]) -> None:
    blue, green = await colours.rows(colours.blue), await colours.rows(colours.green)
    assert green.keys() == written
    assert set(blue.values()) == {colours.blue.port}
    assert blue == {row: port for row, port in green.items() if port == colours.blue.port}
    for client in range(CLIENTS):
        ports = [green[row] for row in sorted(green) if row[0] == client]
        moved = ports.count(colours.blue.port)
        assert ports == [colours.blue.port] * moved + [colours.green.port] * (len(ports) - moved)
        assert 0 < moved < len(ports)


async def test_writes_stay_where_nobody_follows_or_not_in_time(colours: Colours, tmp_path: Path) -> None:
    async with databases(tmp_path, document(colours, tmp_path, 1)) as system:
        async with writing(system.direct) as writers:
            await writers.more(4)
            await colours.green.ask("alter subscription green disable")
            await _refused(system, writers, "the primary of the pool green has no enabled subscription")
            await colours.green.ask("alter subscription green enable")
            # what green is to apply waits for a lock
            async with await psycopg.AsyncConnection.connect(colours.green.dsn()) as holding:
                await holding.execute("lock table rows in exclusive mode")
                await _refused(system, writers, "within 1 s the new pool did not get there: slot green is at")
            # a transaction that takes long
            dsn = f"host=127.0.0.1 port={system.direct} user=app dbname=app"
            async with await psycopg.AsyncConnection.connect(dsn) as slow:
                await slow.execute("select 1")
                await _refused(system, writers, "after 0.5 s 1 server connections were still in use")
        blue, green = await colours.rows(colours.blue), await colours.rows(colours.green)
        assert blue.keys() == writers.written
        assert {*blue.values(), *green.values()} == {colours.blue.port}


async def _refused(system: Databases, writers: Writers, words: str) -> None:
    answer = await reload(system, "green")
    assert not answer.success
    assert "the writes of route app stay on blue and do not move to green: " in answer.message, answer
    assert words in answer.message, answer
    await writers.more(4)


async def test_a_supervisor_that_is_killed_in_the_middle_leaves_nothing_undone(
    colours: Colours, tmp_path: Path
) -> None:
    async with databases(tmp_path, document(colours, tmp_path, 8)) as system:
        async with writing(system.direct) as writers:
            await writers.more(4)
            async with await psycopg.AsyncConnection.connect(colours.green.dsn()) as holding:
                await holding.execute("lock table rows in exclusive mode")
                switching = asyncio.create_task(reload(system, "green"))
                await colours.blue.until(
                    "select count(*) from pg_stat_activity where query like '%pg_replication_slots%'"
                )
                await system.dblb.kill()
                with suppress(grpc.aio.AioRpcError):  # nobody is left to answer
                    await switching
            await system.dblb.start()  # by the document that says green
            await writers.more()
        await _all_there(colours, writers.written)
