"""Limits and the firewall of `marchproxy dblb` with two workers, over PostgreSQL and MariaDB."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
import pytest_asyncio

from marchproxy.contract.pb import module_pb2
from tests.ports import free_port
from tests.real.support.databases import mariadb, postgres
from tests.real.support.dblb import Databases, databases
from tests.real.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIREWALL = [
    {"id": "no-drop", "mode": "block", "kinds": ["drop"]},
    {"id": "watched", "mode": "warn", "tables": ["watched"]},
    {"id": "whole", "mode": "block", "traits": ["missing_where"]},
    {"id": "unread", "mode": "block", "traits": ["unparsable"], "applications": ["careful"]},
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers() -> AsyncIterator[Mapping[str, int]]:
    init = ("create database app;", "grant all on *.* to app@'127.0.0.1';", "create table app.kept (a int);")
    async with postgres() as first, mariadb(init=init) as second:
        async with await _direct(first) as connection:
            await connection.execute("create table kept (a int)")
            await connection.execute("create table watched (a int)")
        yield {"postgres": first, "mysql": second}


async def _direct(port: int) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(
        f"host=127.0.0.1 port={port} user=app dbname=app", autocommit=True
    )


def document(servers: Mapping[str, int], *limits: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "pools": [
            {"name": name, "protocol": name, "endpoints": [f"127.0.0.1:{port}"]}
            for name, port in servers.items()
        ],
        "routes": [
            {
                "id": name,
                "protocol": name,
                "module": "dblb",
                "backends": [name],
                "database": {"firewall": FIREWALL},
            }
            for name in servers
        ],
        "rate_limits": list(limits),
    }


@asynccontextmanager
async def clients(system: Databases, number: int) -> AsyncIterator[list[psycopg.AsyncConnection]]:
    """So many, one after another; all that there are at the end are closed."""
    held: list[psycopg.AsyncConnection] = []
    try:
        for _ in range(number):
            held.append(await _direct(system.direct))  # noqa: PERF401 - those before one that fails are closed
        yield held
    finally:
        for one in held:
            await one.close()


async def test_what_a_rate_grants_is_granted_once_by_all_workers(
    servers: Mapping[str, int], tmp_path: Path
) -> None:
    fifty = {"id": "fifty", "target": "postgres", "requests_per_hour": 50}
    # 16 clients: one worker has all of them once in 2 ** 15 times, and then the test is only weaker
    async with databases(tmp_path, document(servers, fifty)) as system, clients(system, 16) as all_of_them:
        answers = await asyncio.gather(*(_ask_often(one, 8) for one in all_of_them))
        assert sum(granted for granted, _ in answers) == 50
        refused = {error for _, errors in answers for error in errors}
        assert {error.partition(":")[0] for error in refused} == {"53400 limit fifty"}
        assert all("50 requests a hour; try again in " in error for error in refused)
        # the limit is lifted: the same connections go on
        system.document["rate_limits"] = []
        assert (await _reloaded(system)).success
        assert [await _ask_often(one, 1) for one in all_of_them] == [(1, [])] * 16
        # and another one comes: they are limited again
        system.document["rate_limits"] = [{"id": "seven", "target": "*", "requests_per_hour": 7}]
        assert (await _reloaded(system)).success
        assert sum([(await _ask_often(one, 1))[0] for one in all_of_them]) == 7


async def _ask_often(connection: psycopg.AsyncConnection, times: int) -> tuple[int, list[str]]:
    granted, errors = 0, []
    for number in range(times):
        try:
            # every other one by the extended protocol, and from the third on prepared
            await connection.execute("select %s::int", (number,)) if number % 2 else await connection.execute(
                "select 1"
            )
            granted += 1
        except psycopg.Error as error:
            assert not connection.closed
            errors.append(f"{error.sqlstate} {error.diag.message_primary}")
    return granted, errors


async def _reloaded(system: Databases) -> module_pb2.ReloadResponse:
    system.save()
    async with system.asked() as module:
        return await module.Reload(module_pb2.ReloadRequest())


async def test_seats_are_shared_by_workers_and_come_back_from_one_that_is_killed(
    servers: Mapping[str, int], tmp_path: Path
) -> None:
    seats = {"id": "seats", "target": "*", "max_concurrent": 5, "per": "user"}
    async with databases(tmp_path, document(servers, seats)) as system:
        async with clients(system, 5) as held:
            with pytest.raises(
                psycopg.OperationalError, match="limit seats: 5 connections at once for each user"
            ):
                await _direct(system.direct)
            await held.pop().close()
            await until(lambda: _come_in(system, 1))
            for worker in system.workers():
                worker.kill()
        await until(lambda: _come_in(system, 5))
        assert not await _come_in(system, 6)


async def _come_in(system: Databases, number: int) -> bool:
    """Whether so many can be there at once."""
    try:
        async with clients(system, number):
            return True
    except psycopg.OperationalError:
        return False


async def test_connections_are_limited_by_rate(servers: Mapping[str, int], tmp_path: Path) -> None:
    rate = {"id": "hourly", "target": "postgres", "requests_per_hour": 4, "counts": "connections"}
    async with databases(tmp_path, document(servers, rate)) as system:
        async with clients(system, 4) as four:
            for one in four:
                await one.execute("select 1")
        with pytest.raises(
            psycopg.OperationalError, match="limit hourly: 4 connections a hour; try again in"
        ):
            await _direct(system.direct)


async def test_the_firewall_of_postgresql(servers: Mapping[str, int], tmp_path: Path) -> None:
    async with databases(tmp_path, document(servers)) as system, await _direct(system.direct) as one:
        for parameters in (None, ()):  # by the simple protocol, and by the extended one
            with pytest.raises(
                psycopg.errors.InsufficientPrivilege, match="firewall rule no-drop: statement drop"
            ):
                await one.execute("drop table kept", parameters, prepare=parameters is not None)
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="firewall rule whole"):
                await one.execute("delete from kept", parameters)
            await one.execute("select 1 from watched", parameters)
        # in a transaction: it is not ended
        async with one.transaction():
            await one.execute("insert into kept values (1)")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await one.execute("delete from kept where 1 = 1")
            assert one.info.transaction_status is psycopg.pq.TransactionStatus.INTRANS
        assert await (await one.execute("select count(*) from kept")).fetchone() == (1,)
        await _is_read_as_it_began(system.direct)
        words = (tmp_path / "dblb-1" / "workers").glob("*.log")
        assert any("firewall rule watched" in log.read_text() for log in words)


async def _is_read_as_it_began(port: int) -> None:
    where = f"host=127.0.0.1 port={port} user=app dbname=app application_name=careful"
    async with await psycopg.AsyncConnection.connect(where, autocommit=True) as usual:
        await usual.execute(rb"select '\'")
    options = "-c standard_conforming_strings=off"
    async with await psycopg.AsyncConnection.connect(where, options=options, autocommit=True) as other:
        await other.execute("select 1")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="backslash"):
            await other.execute(rb"select '\'")


async def test_limits_and_the_firewall_of_mysql(servers: Mapping[str, int], tmp_path: Path) -> None:
    port = free_port()
    started = document(servers)
    firewall = started["routes"][1].pop("database")
    async with databases(tmp_path, started, mysql=f"127.0.0.1:{port}") as system:
        with await asyncio.to_thread(_mysql, port) as connection:
            assert not await asyncio.to_thread(_refusal, connection, "delete from kept where a = 1")
            system.document["routes"][1]["database"] = firewall
            system.document["rate_limits"] = [
                {"id": "mine", "target": "mysql", "requests_per_hour": 20, "per": "user"}
            ]
            assert (await _reloaded(system)).success
            for statement in ("drop table kept", "delete from kept", "select 1; drop table kept"):
                assert "firewall rule" in await asyncio.to_thread(_refusal, connection, statement)
            asked = [
                await asyncio.to_thread(_refusal, connection, "select count(*) from kept") for _ in range(30)
            ]
            assert asked[:20] == [""] * 20
            words = "limit mine: 20 requests a hour for each user; try again in"
            assert all(words in refusal for refusal in asked[20:])
        system.document["rate_limits"] = []
        assert (await _reloaded(system)).success
        for charset, read in (("utf8mb4", True), ("gbk", False)):
            with await asyncio.to_thread(_mysql, port, charset=charset, program_name="careful") as careful:
                said = await asyncio.to_thread(_refusal, careful, "select '\u4e2d'")
                assert ("firewall rule unread" in said) is not read, said


def _mysql(port: int, **options: Any) -> pymysql.Connection:
    return pymysql.connect(
        host="127.0.0.1", port=port, user="app", database="app", autocommit=True, **options
    )


def _refusal(connection: pymysql.Connection, statement: str) -> str:
    try:
        connection.query(statement)
    except pymysql.MySQLError as error:
        return str(error)
    return ""
