"""SQLAlchemy's own tests for dialects through DBLB (`make judges`): what holds directly holds through it."""

from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

from tests.real.dblb_rig import PASSWORD, dblb
from tests.real.support.databases import mariadb, postgres
from tests.real.support.sqlalchemy_suite import Judged, judged_by_sqlalchemy

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(500)]

POOLING = ("transaction", "session")
DRIVERS = {"postgres": "postgresql+psycopg", "mysql": "mysql+pymysql"}
DIRECT = "direct"
DATABASES = (DIRECT, *(f"proxied_{pooling}" for pooling in POOLING))
#: The fewest tests that pass anywhere: fewer, and the suite was not run.
PASSING = 1000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def postgresql() -> AsyncIterator[int]:
    async with postgres() as port:
        await _told(port, "app", *(f"create database {name}" for name in DATABASES))
        schemas = [f"create schema {name}" for name in ("test_schema", "test_schema_2")]
        extensions = [f"create extension {name}" for name in ("hstore", "citext")]
        for name in DATABASES:
            await _told(port, name, *schemas, *extensions)
        yield port


async def _told(port: int, database: str, *statements: str) -> None:
    where = f"host=127.0.0.1 port={port} user=app dbname={database}"
    async with await psycopg.AsyncConnection.connect(where, autocommit=True) as connection:
        for statement in statements:
            await connection.execute(statement)  # type: ignore[call-overload]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def maria() -> AsyncIterator[int]:
    init = (
        f"alter user app@'127.0.0.1' identified by '{PASSWORD}';",
        "grant all on *.* to app@'127.0.0.1';",
        *(f"create database {name};" for name in ("test_schema", *DATABASES)),
    )
    async with mariadb("--character-set-server=utf8mb4", init=init) as port:
        yield port


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def postgresql_direct(postgresql, tmp_path_factory) -> Judged:
    return await _judged(tmp_path_factory.mktemp("postgresql"), "postgres", postgresql, DIRECT)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def maria_direct(maria, tmp_path_factory) -> Judged:
    return await _judged(tmp_path_factory.mktemp("maria"), "mysql", maria, DIRECT)


@pytest.mark.parametrize("pooling", POOLING)
async def test_sqlalchemy_judges_postgresql(pooling, postgresql, postgresql_direct, tmp_path):
    await _judge("postgres", pooling, postgresql, postgresql_direct, tmp_path)


@pytest.mark.parametrize("pooling", POOLING)
async def test_sqlalchemy_judges_mariadb(pooling, maria, maria_direct, tmp_path):
    await _judge("mysql", pooling, maria, maria_direct, tmp_path)


async def _judge(protocol: str, pooling: str, server: int, direct: Judged, folder: Path) -> None:
    """No test needs an excuse behind DBLB; what fails without it too says nothing about it."""
    kinds = {pooling: {"pooling": pooling, "size": 40}}
    async with dblb(folder / "dblb", protocol, [f"127.0.0.1:{server}"], kinds) as system:
        failed, passed = await _judged(folder, protocol, system.direct, f"proxied_{pooling}")
    wrong = {name: said for name, said in failed.items() if name not in direct[0]}
    assert not wrong, f"they fail: {wrong}"
    # one that is skipped, because the server seems to lack what it wants, would be a difference too
    assert passed >= max(direct[1], PASSING)


async def _judged(folder: Path, protocol: str, port: int, database: str) -> Judged:
    url = f"{DRIVERS[protocol]}://app:{PASSWORD}@127.0.0.1:{port}/{database}"
    return await judged_by_sqlalchemy(folder / "suite", url)
