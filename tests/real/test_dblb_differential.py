"""The same statements said to a database directly and through DBLB: whatever the client library can tell is the same."""

import pickle
import sys
from collections.abc import AsyncIterator
from itertools import zip_longest
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

from tests.real.dblb_rig import PASSWORD, dblb
from tests.real.support.databases import postgres, run
from tests.real.support.pg_statements import GROUND
from tests.real.support.pg_telling import Told
from tests.real.support.pg_ways import WAYS

pytestmark = pytest.mark.asyncio(loop_scope="module")

POOLING = ("transaction", "session")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[int]:
    async with postgres() as port:
        await _ask(port, "app", GROUND)
        yield port


async def _ask(port: int, database: str, statement: str) -> None:
    where = _dsn(port, database)
    async with await psycopg.AsyncConnection.connect(where, autocommit=True) as connection:
        await connection.execute(statement)  # type: ignore[call-overload]


def _dsn(port: int, database: str) -> str:
    # DBLB is told the client's version of the protocol, and speaks its newest to it
    newest = "max_protocol_version=latest"
    return (
        f"host=127.0.0.1 port={port} user=app password={PASSWORD} dbname={database} sslmode=disable {newest}"
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def proxy(server: int, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[int]:
    kinds = {kind: {"pooling": kind, "size": 4} for kind in POOLING}
    async with dblb(tmp_path_factory.mktemp("dblb"), "postgres", [f"127.0.0.1:{server}"], kinds) as system:
        yield system.direct


@pytest.mark.parametrize("pooling", POOLING)
@pytest.mark.parametrize("way", WAYS)
async def test_postgres_answers_the_same(server, proxy, way, pooling, tmp_path):
    names = f"direct_{way}_{pooling}", f"proxied_{way}_{pooling}"
    for name in names:
        await _ask(server, "postgres", f"create database {name} template app")
    direct = await _answers(way, _dsn(server, names[0]), tmp_path / "direct")
    proxied = await _answers(way, _dsn(proxy, names[1]), tmp_path / "proxied", "--neighbour")
    said = [statement for statement, _ in WAYS[way]]
    differing = [_difference(*each) for each in zip(said, direct, proxied, strict=True) if each[1] != each[2]]
    assert not differing, f"{len(differing)} of {len(said)} differ:\n" + "\n".join(differing)


async def _answers(way: str, dsn: str, file: Path, *options: str) -> list[list[Told]]:
    """What a process of its own is told, because libpq keeps all of Python waiting while it waits."""
    await run(sys.executable, "-m", "tests.real.support.pg_ways", way, dsn, str(file), *options, within=40)
    found: list[list[Told]] = pickle.loads(file.read_bytes())
    return found


def _difference(statement: str, direct: list[Told], proxied: list[Told]) -> str:
    first = next(pair for pair in zip_longest(direct, proxied) if pair[0] != pair[1])
    return f"{statement[:100]}\n    direct:  {repr(first[0])[:600]}\n    proxied: {repr(first[1])[:600]}"
