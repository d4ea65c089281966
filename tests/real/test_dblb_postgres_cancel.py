"""Requests to cancel: they reach the one whose query it is, in whichever worker, and nobody else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import psycopg
import pytest
import pytest_asyncio

from marchproxy.modules.dblb.postgres.service import PostgresService
from marchproxy.modules.dblb.service import Surroundings
from marchproxy.wire.postgres import encode
from tests.real.support.databases import postgres
from tests.real.support.dblb_services import Served, serving
from tests.real.support.postgres_plan import plan_before

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[int]:
    async with postgres() as port:
        yield port


@asynccontextmanager
async def two_workers(server: int) -> AsyncIterator[list[Served]]:
    workers: list[Served] = []

    async def elsewhere(worker: int, message: bytes) -> None:
        await workers[worker].service.told(message)

    def as_worker(number: int, around: Surroundings) -> None:
        around.worker, around.workers, around.elsewhere = number, 2, elsewhere

    async with AsyncExitStack() as stack:
        for number in range(2):
            plan = plan_before(server, secret="", size=4)
            serve = serving(
                PostgresService, plan, change=lambda around, number=number: as_worker(number, around)
            )
            workers.append(await stack.enter_async_context(serve))
        yield workers


async def connect(port: int) -> psycopg.AsyncConnection:
    where = {"host": "127.0.0.1", "port": port, "user": "app", "dbname": "app", "sslmode": "disable"}
    return await psycopg.AsyncConnection.connect(**where, autocommit=True)


async def sleeping(connection: psycopg.AsyncConnection, seconds: float) -> object:
    return await (await connection.execute("select 5 from pg_sleep(%s)", (seconds,))).fetchone()


async def until_busy(served: Served, count: int) -> None:
    async with asyncio.timeout(15):
        while served.service.busy("r") < count:
            await asyncio.sleep(0.01)


async def cancel(port: int, number: int, secret: bytes) -> None:
    """Returns when the proxy has closed the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(encode.cancel(number, secret))
    async with asyncio.timeout(15):
        assert await reader.read() == b""
    writer.close()


@asynccontextmanager
async def remembering(served: Served) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A port before the service, and what it answered: libpq shows nobody the secret that it was given."""
    heard: list[bytes] = []

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, ahead = await asyncio.open_connection("127.0.0.1", served.port)

        async def answers() -> None:
            while data := await behind.read(65536):
                heard.append(data)
                writer.write(data)
            writer.close()

        async with asyncio.TaskGroup() as group:
            group.create_task(answers())
            while data := await reader.read(65536):
                ahead.write(data)
            ahead.close()

    listening = await asyncio.start_server(pass_on, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1], heard


async def test_a_query_in_another_worker(server):
    async with (
        two_workers(server) as (one, other),
        remembering(one) as (port, heard),
        await connect(port) as owner,
        await connect(other.port) as neighbour,
    ):
        long, short = (
            asyncio.create_task(sleeping(owner, 60)),
            asyncio.create_task(sleeping(neighbour, 1)),
        )
        await until_busy(one, 1)
        await until_busy(other, 1)
        number = owner.pgconn.backend_pid
        assert (number >> 24, neighbour.pgconn.backend_pid >> 24) == (0, 1)
        told = b"".join(heard)
        at = told.index(b"K\0\0\0\x0c" + number.to_bytes(4)) + 9
        await cancel(other.port, number, told[at : at + 4])
        with pytest.raises(psycopg.errors.QueryCanceled):
            await long
        assert await short == (5,)
        assert await sleeping(owner, 0) == (5,)


async def test_a_key_that_was_guessed_cancels_nobody(server):
    async with two_workers(server) as (one, other), await connect(one.port) as owner:
        task = asyncio.create_task(sleeping(owner, 1))
        await until_busy(one, 1)
        for served in (one, other):
            for number in (owner.pgconn.backend_pid, owner.pgconn.backend_pid ^ 1, 1 << 24, 0x7FFFFFFF):
                await cancel(served.port, number, b"four")
        assert await task == (5,)


async def test_who_is_idle_is_not_cancelled_later(server):
    async with (
        two_workers(server) as (one, _),
        await connect(one.port) as idle,
        await connect(one.port) as other,
    ):
        await sleeping(idle, 0)
        task = asyncio.create_task(sleeping(other, 0.5))
        await until_busy(one, 1)
        await idle.cancel_safe()
        assert await task == (5,)
        assert await sleeping(idle, 0) == (5,)
