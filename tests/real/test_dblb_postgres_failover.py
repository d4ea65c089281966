"""Failover: servers of a cluster die, are promoted and come back, while clients go on."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import psutil
import psycopg
import pytest
import pytest_asyncio

from marchproxy.modules.dblb.postgres.service import PostgresService
from tests.real.support.dblb_services import Served, serving
from tests.real.support.postgres_cluster import Cluster, Node, postgres_cluster
from tests.real.support.postgres_routes import connect, routed, tally, value

_WITHIN = 30.0


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster() -> AsyncIterator[Cluster]:
    """Every test leaves it as it was, but for the last."""
    async with postgres_cluster() as cluster:
        await cluster.primary.ask("create table kept (client int, number int)")
        await cluster.caught_up()
        yield cluster


def roles(served: Served) -> dict[str, str]:
    return {report.address: report.role for report in served.service.servers()}


async def until_primary(served: Served, address: str) -> None:
    async with asyncio.timeout(_WITHIN):
        while roles(served)[address] != "primary":
            await asyncio.sleep(0.02)


async def test_readers_notice_nothing_of_a_replica_that_dies(cluster):
    async with serving(PostgresService, routed(cluster, split_reads=True)) as served:
        async with asyncio.timeout(_WITHIN), await connect(served) as client:
            while not tally(served).to_replicas:
                await value(client, "select count(*) from kept")
        stop = asyncio.Event()

        async def read() -> int:
            count = 0
            async with await connect(served) as client:
                while not stop.is_set():
                    assert await value(client, "select 40 + %s::int + count(*) - count(*) from kept", 2) == 42
                    count += 1
                    await asyncio.sleep(0)
            return count

        async with asyncio.TaskGroup() as group:
            readers = [group.create_task(read()) for _ in range(6)]
            await cluster.replicas[0].crash()
            await until_role(served, cluster.replicas[0].address, "unknown")
            await cluster.replicas[1].crash()
            await until_role(served, cluster.replicas[1].address, "unknown")
            stop.set()
        assert all(reader.result() for reader in readers)
    for replica in cluster.replicas:
        await replica.start()
    await cluster.caught_up()


async def until_role(served: Served, address: str, role: str) -> None:
    async with asyncio.timeout(_WITHIN):
        while roles(served)[address] != role:
            await asyncio.sleep(0.02)


async def test_without_a_primary_writes_wait_and_reads_go_on(cluster):
    plan = routed(cluster, split_reads=True, pool={"wait": 1.0})
    async with serving(PostgresService, plan) as served, await connect(served) as client:
        async with asyncio.timeout(_WITHIN):
            while not tally(served).to_replicas:
                await value(client, "select count(*) from kept")
        async with await connect(served) as reader:
            before = await value(reader, "select count(*) from kept")
            await cluster.primary.crash()
            await until_role(served, cluster.primary.address, "unknown")
            with pytest.raises(psycopg.errors.TooManyConnections, match="no primary was seen in pool main"):
                await client.execute("insert into kept values (1, 1)")
            assert await value(reader, "select count(*) from kept") == before
            async with asyncio.TaskGroup() as group:
                writing = group.create_task(until_written(client))
                await cluster.primary.start()
            assert writing.done()
    await cluster.caught_up()


async def until_written(client: psycopg.AsyncConnection) -> None:
    async with asyncio.timeout(_WITHIN):
        while True:
            try:
                await client.execute("insert into kept values (1, 1)")
            except psycopg.errors.TooManyConnections:
                continue
            return


async def test_a_server_that_answers_nobody_is_given_up(cluster):
    async with serving(PostgresService, routed(cluster, split_reads=True)) as served:
        await until_primary(served, cluster.primary.address)
        with silent(cluster.replicas[0]):
            await until_role(served, cluster.replicas[0].address, "unknown")
            assert roles(served)[cluster.primary.address] == "primary"
        await until_role(served, cluster.replicas[0].address, "replica")


@contextmanager
def silent(node: Node) -> Iterator[None]:
    """The server stands still, with its connections open."""
    stop(node.process.pid, going=False)
    try:
        yield
    finally:
        stop(node.process.pid, going=True)


def stop(pid: int, *, going: bool) -> None:
    server = psutil.Process(pid)
    for process in [server, *server.children(recursive=True)]:
        if going:
            process.resume()
        else:
            process.suspend()


class Writer:
    """Writes one row after the other, and connects again when it has to."""

    def __init__(self, served: Served, number: int) -> None:
        self.served = served
        self.number = number
        self.written = 0
        self.failures: list[str] = []
        self.done = asyncio.Event()

    async def run(self) -> None:
        client: psycopg.AsyncConnection | None = None
        while not self.done.is_set():
            try:
                client = client or await connect(self.served)
                await client.execute("insert into kept values (%s, %s)", (self.number, self.written))
                self.written += 1
            except psycopg.Error as error:
                self.failures.append(str(error))
                if client is not None and client.closed:
                    client = None
            await asyncio.sleep(0.005)
        if client is not None:
            await client.close()


async def until_all_go_on(writers: list[Writer], more: int = 5) -> None:
    goal = [writer.written + more for writer in writers]
    async with asyncio.timeout(_WITHIN):
        while any(writer.written < least for writer, least in zip(writers, goal, strict=True)):
            await asyncio.sleep(0.02)


async def test_the_primary_dies_another_is_promoted_and_each_client_fails_at_most_once(cluster):
    first, second = cluster.replicas
    plan = routed(cluster, split_reads=True, pool={"wait": 30.0})
    async with serving(PostgresService, plan) as served:
        writers = [Writer(served, number) for number in range(8)]
        async with asyncio.TaskGroup() as group:
            for writer in writers:
                group.create_task(writer.run())
            await until_all_go_on(writers)
            await cluster.primary.crash()
            await first.promote()
            await second.follow(first)
            await until_all_go_on(writers)
            for writer in writers:
                writer.done.set()
        assert [writer.failures[1:] for writer in writers] == [[]] * 8
        assert roles(served)[first.address] == "primary"
        await a_former_primary_takes_no_writes(cluster, served)


async def a_former_primary_takes_no_writes(cluster: Cluster, served: Served) -> None:
    """It comes back, and believes that it is the primary still."""
    await cluster.primary.start()
    async with asyncio.timeout(_WITHIN):
        while any(report.fault for report in served.service.servers()):
            await asyncio.sleep(0.02)
    before = await cluster.primary.ask("select count(*) from kept")
    async with await connect(served) as client:
        for number in range(20):
            await client.execute("insert into kept values (100, %s)", (number,))
            assert await value(client, "select count(*) from kept where client = 100") == number + 1
    assert await cluster.primary.ask("select count(*) from kept") == before
    assert roles(served)[cluster.replicas[0].address] == "primary"
