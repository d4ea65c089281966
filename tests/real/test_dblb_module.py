"""`marchproxy dblb` as a process among others: behind an NLB, under load while it changes, and when things are killed."""

import asyncio
import json
import re
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import pytest_asyncio

from marchproxy.contract.pb import module_pb2, types_pb2
from marchproxy.wire.postgres import encode
from tests.real.support.databases import postgres, psql_options, run
from tests.real.support.dblb import Databases, databases
from tests.real.support.up import run as marchproxy
from tests.real.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

_AUTHENTICATION_OK, _SASL = 0, 10


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[int]:
    async with postgres() as port:
        await run("pgbench", *_pgbench_options(port), "-i", "-q", "app")
        yield port


def document(server: int, users: Path) -> dict[str, Any]:
    """`app` proves its password, but for clients of one address, who say who they are."""
    users.write_text('"app" "secret"\n')
    route = {"protocol": "postgres", "module": "dblb", "backends": ["db"]}
    return {
        "authentication": [{"name": "people", "kind": "userlist", "file": str(users)}],
        "pools": [
            {
                "name": "db",
                "protocol": "postgres",
                "endpoints": [f"127.0.0.1:{server}"],
                "database": {"size": 6},
            }
        ],
        "routes": [
            {"id": "app", **route, "authentication": ["people"]},
            {"id": "trusted", **route, "sources": ["127.0.0.7/32"]},
        ],
    }


def dsn(port: int, password: str = "secret") -> str:
    return f"host=127.0.0.1 port={port} user=app dbname=app password={password} sslmode=disable"


async def connect(port: int, password: str = "secret") -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(dsn(port, password), autocommit=True)


async def works(connection: psycopg.AsyncConnection) -> bool:
    row = await (await connection.execute("select 41 + 1")).fetchone()
    return row == (42,)


async def asked_to_prove(port: int, source: str) -> int:
    """What a client of that address is asked for."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        writer.write(encode.startup({"user": "app", "database": "app"}))
        async with asyncio.timeout(20):
            head = await reader.readexactly(9)
        assert head[:1] == b"R", head
        return int.from_bytes(head[5:9])
    finally:
        writer.close()
        await writer.wait_closed()


async def test_behind_an_nlb(server: int, tmp_path: Path) -> None:
    users = tmp_path / "users.txt"
    async with databases(tmp_path, document(server, users), nlb=True) as system, system.asked() as module:
        await until(lambda: _answers(system.port))
        asked = ("psql", *psql_options(system.port), "-d", "app", "-c", "select 41 + 1")
        assert await run("env", "PGPASSWORD=secret", *asked) == "42\n"
        # who the client is comes through the NLB, by PROXY protocol v2
        assert await asked_to_prove(system.port, "127.0.0.7") == _AUTHENTICATION_OK
        assert await asked_to_prove(system.port, "127.0.0.1") == _SASL
        await _answers_for_itself(module)
        for _ in range(6):  # a request to cancel may come to another worker than the client's own
            await _is_cancelled(system.port)
        # a file that a document names may change by itself
        users.write_text('"app" "another"\n')
        await until(lambda: _lets_in(system.port, "another"))
        assert not await _lets_in(system.port, "secret")


async def _is_cancelled(port: int) -> None:
    async with await connect(port) as connection:
        query = asyncio.create_task(connection.execute("select pg_sleep(60)"))
        await asyncio.sleep(0.1)
        async with asyncio.timeout(20):
            while not query.done():
                await connection.cancel_safe()
                await asyncio.wait([query], timeout=2.0)
        assert isinstance(query.exception(), psycopg.errors.QueryCanceled)


async def _answers_for_itself(module: Any) -> None:
    route = types_pb2.Route(protocol=types_pb2.PROTOCOL_POSTGRES)
    assert (await module.CanHandle(module_pb2.CanHandleRequest(route=route))).can_handle
    route = types_pb2.Route(protocol=types_pb2.PROTOCOL_HTTP)
    assert not (await module.CanHandle(module_pb2.CanHandleRequest(route=route))).can_handle
    health = await module.HealthCheck(module_pb2.HealthCheckRequest())
    assert health.status == types_pb2.HEALTH_STATUS_HEALTHY, health
    assert {"worker:0", "worker:1", "pool:db"} <= health.checks.keys()

    async def counted() -> bool:
        return (await module.GetStats(module_pb2.GetStatsRequest())).stats.total_requests > 0

    await until(counted)


async def _answers(port: int) -> bool:
    return await _lets_in(port, "secret")


async def _lets_in(port: int, password: str) -> bool:
    try:
        async with await connect(port, password) as connection:
            return await works(connection)
    except psycopg.OperationalError:
        return False


async def test_changes_under_load_lose_no_transaction(server: int, tmp_path: Path) -> None:
    tls = {"self_signed": ["localhost"]}
    async with databases(tmp_path, document(server, tmp_path / "users.txt"), client_tls=tls) as system:
        pgbench = ("env", *_SECURED, "pgbench", *_pgbench_options(system.direct))
        said = await run(*pgbench, "-n", "-C", "-S", "-c", "4", "-t", "10", "app")  # a connection each
        assert "number of transactions actually processed: 40/40" in said, said
        load = asyncio.create_task(run(*pgbench, *_LOAD, "app"))
        process = system.dblb.process
        assert process is not None
        for size in (2, 12, 4):
            await asyncio.sleep(1.0)
            system.document["pools"][0]["database"]["size"] = size
            system.document["routes"][0]["priority"] = size
            system.save()
            process.send(signal.SIGHUP)
        said = await load
        assert re.search(r"number of failed transactions: 0 ", said), said
        assert "aborted" not in said
        assert (
            system.dblb.log.read_text().count("1 routes") + system.dblb.log.read_text().count("2 routes") >= 3
        )


_SECURED = ("PGPASSWORD=secret", "PGSSLMODE=require")
_LOAD = ("-n", "-c", "6", "-T", "4", "-M", "prepared")


def _pgbench_options(port: int) -> tuple[str, ...]:
    return ("-h", "127.0.0.1", "-p", str(port), "-U", "app")


@asynccontextmanager
async def clients_of_both(system: Databases) -> AsyncIterator[Mapping[int, psycopg.AsyncConnection]]:
    """A client of each worker, by the worker's pid: the kernel decides which one takes a connection."""
    found: dict[int, psycopg.AsyncConnection] = {}
    others: list[psycopg.AsyncConnection] = []
    wanted = {worker.pid for worker in system.workers()}
    try:
        for _ in range(64):  # both, but for 1 in 2 ** 63 times
            connection = await connect(system.direct)
            owner = _owner(system, connection)
            (others if owner in found else [found.setdefault(owner, connection)]).append(connection)
            if found.keys() == wanted:
                break
        assert found.keys() == wanted
        yield found
    finally:
        for connection in {*found.values(), *others}:
            await connection.close()


def _owner(system: Databases, connection: psycopg.AsyncConnection) -> int:
    with socket.socket(fileno=socket.dup(connection.fileno())) as ours:
        port = ours.getsockname()[1]
    return next(
        worker.pid
        for worker in system.workers()
        if any(one.raddr and one.raddr.port == port for one in worker.net_connections("tcp"))
    )


async def test_who_is_killed_takes_only_its_own_along(server: int, tmp_path: Path) -> None:
    async with (
        databases(tmp_path, document(server, tmp_path / "users.txt")) as system,
        system.asked() as module,
        clients_of_both(system) as clients,
    ):
        (first, one), (second, other) = clients.items()
        psutil.Process(first).kill()
        with pytest.raises(psycopg.OperationalError):
            await one.execute("select 1")
        assert await works(other)

        async def is_back() -> bool:
            health = await module.HealthCheck(module_pb2.HealthCheckRequest())
            pids = {worker.pid for worker in system.workers()} - {first}
            return len(pids) == 2 and {health.checks["worker:0"], health.checks["worker:1"]} == {"ok"}

        await until(is_back)
        assert {worker.pid for worker in system.workers()} & {first, second} == {second}
        # the supervisor: traffic goes on, old and new, and the next one takes over
        await system.dblb.kill()
        before = {worker.pid for worker in system.workers()}
        assert await works(other)
        async with await connect(system.direct) as late:
            await system.dblb.start()
            assert {worker.pid for worker in system.workers()} == before
            assert await works(late)
            assert await works(other)
        await system.dblb.kill()
        code, said, _ = await marchproxy("down", str(system.file), "--json")
        assert code == 0
        assert [one["kind"] for one in json.loads(said)["ended"]] == ["DBLB worker", "DBLB worker"]
        assert system.workers() == []


async def test_workers_are_replaced_and_a_stop_lets_clients_finish(server: int, tmp_path: Path) -> None:
    async with (
        databases(tmp_path, document(server, tmp_path / "users.txt"), drain_seconds=60) as system,
        system.asked() as module,
    ):
        before = {worker.pid for worker in system.workers()}
        async with await connect(system.direct) as old:
            await old.execute("begin")
            answer = await module.Reload(module_pb2.ReloadRequest(graceful=True))
            assert "2 workers were replaced" in answer.message
            async with await connect(system.direct) as new:
                assert await works(new)
            assert await works(old)
            await old.execute("commit")
        await until(lambda: _are_gone(before))
        async with await connect(system.direct) as idle, await connect(system.direct) as busy:
            await busy.execute("begin")
            process = system.dblb.process
            assert process is not None
            process.send(signal.SIGTERM)
            await until(lambda: _is_cut(idle))
            assert await works(busy)
            await busy.execute("commit")
            assert await process.ended(30) == 0
        assert system.workers() == []


async def _are_gone(pids: set[int]) -> bool:
    return not any(psutil.pid_exists(pid) for pid in pids)


async def _is_cut(connection: psycopg.AsyncConnection) -> bool:
    try:
        return not await works(connection)
    except psycopg.OperationalError:
        return True


async def test_a_port_in_use_is_told_in_words(server: int, tmp_path: Path) -> None:
    system = Databases(tmp_path, document(server, tmp_path / "users.txt"))
    with socket.create_server(("127.0.0.1", system.direct)):
        process = await system.dblb.launch()
        assert await process.ended(20) == 1
    words = f"postgres: cannot listen on 127.0.0.1:{system.direct}: already in use"
    assert words in system.dblb.log.read_text()
    assert system.workers() == []
