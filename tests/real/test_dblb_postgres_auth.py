"""How PostgreSQL's users show who they are, and what becomes of that towards servers."""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from marchproxy.modules.dblb.postgres import reception
from marchproxy.modules.dblb.postgres.secrets import Secret
from marchproxy.modules.dblb.postgres.service import PostgresService
from marchproxy.wire.postgres import encode
from tests.real.support.databases import postgres, psql_options, run
from tests.real.support.dblb_services import Served, plan_of, serving
from tests.real.support.postgres_plan import document_before

pytestmark = pytest.mark.asyncio(loop_scope="module")
USERS = {"anna": "scram-sha-256", "old": "md5"}


@dataclass(frozen=True)
class Server:
    """A server that asks for passwords, but of `app`; each user's is its name and `-pw`. `secrets` as it keeps them."""

    port: int
    secrets: Mapping[str, str]

    async def run(self, statement: str) -> str:
        return (await run("psql", *psql_options(self.port), "-d", "app", "-c", statement)).strip()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[Server]:
    async with postgres() as port:
        made = Server(port, {})
        for user, method in USERS.items():
            await made.run(
                f"set password_encryption = '{method}'; create role {user} login password '{user}-pw'"
            )
        hba = await made.run("show hba_file")
        Path(hba).write_text("host all app 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 md5\n")
        await made.run("select pg_reload_conf()")
        rows = await made.run(
            "select rolname || ' ' || rolpassword from pg_authid where rolpassword is not null"
        )
        yield Server(port, dict(row.split() for row in rows.splitlines()))


def document(server: Server, way: Mapping[str, Any], **pool: Any) -> dict[str, Any]:
    made = document_before(server.port, trusted=True, **pool)
    made["authentication"] = [{"name": "w", **way}]
    made["routes"][0]["authentication"] = ["w"]
    return made


USERLIST = {"kind": "userlist", "file": "/users"}
ASKED = {
    "kind": "auth_query",
    "pool": "main",
    "query": "select rolname, rolpassword from pg_catalog.pg_authid where rolname = $1",
}


BROKEN = {**ASKED, "query": "select $1 from nowhere"}
POOL = {"/pool": {"app": ""}}


@asynccontextmanager
async def proxied(
    server: Server, way: Mapping[str, Any], files: Mapping[str, Mapping[str, str]], **pool: Any
) -> AsyncIterator[Served]:
    written = {
        path: "\n".join(f'"{user}" "{secret}"' for user, secret in users.items()).encode()
        for path, users in files.items()
    }
    async with serving(PostgresService, plan_of(document(server, way, **pool), written)) as served:
        yield served


async def whoami(served: Served, user: str, password: str) -> str:
    connection = await psycopg.AsyncConnection.connect(
        host="127.0.0.1", port=served.port, user=user, password=password, dbname="app", sslmode="disable"
    )
    async with connection:
        row = await (await connection.execute("select current_user")).fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("kept", ["password", "as the server keeps it"])
async def test_users_of_a_file(server, user, kept):
    secret = f"{user}-pw" if kept == "password" else server.secrets[user]
    own = {} if kept == "password" else {"/pool": {user: f"{user}-pw"}}
    more = {"users": "/pool"} if own else {}
    async with proxied(server, USERLIST, {"/users": {user: secret}, **own}, **more) as served:
        assert await whoami(served, user, f"{user}-pw") == user
        with pytest.raises(
            psycopg.OperationalError, match=f'password authentication failed for user "{user}"'
        ):
            await whoami(served, user, "guessed")


async def test_who_was_let_in_goes_on_with_the_password_that_the_file_says_now(server):
    await server.run("create role moves login password 'before'")
    way = document(server, USERLIST)
    async with serving(PostgresService, plan_of(way, {"/users": b'"moves" "before"'})) as served:
        where = {"host": "127.0.0.1", "port": served.port, "user": "moves", "password": "before"}
        client = await psycopg.AsyncConnection.connect(
            **where, dbname="app", sslmode="disable", autocommit=True
        )
        async with client:
            await client.execute("select 1")
            await server.run("alter role moves password 'after'")
            served.service.apply(plan_of(way, {"/users": b'"moves" "after"'}))
            await server.run("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'moves'")
            assert await (await client.execute("select current_user")).fetchone() == ("moves",)
        assert await whoami(served, "moves", "after") == "moves"


async def test_an_md5_hash_is_enough_towards_a_server_that_asks_for_md5(server):
    async with proxied(server, USERLIST, {"/users": {"old": server.secrets["old"]}}) as served:
        assert await whoami(served, "old", "old-pw") == "old"


async def test_a_scram_verifier_is_enough_where_the_server_keeps_the_same(server):
    async with proxied(server, USERLIST, {"/users": {"anna": server.secrets["anna"]}}) as served:
        assert await whoami(served, "anna", "anna-pw") == "anna"


async def test_the_words_of_a_server_that_refuses_the_pools_password(server):
    files = {"/users": {"anna": "anna-pw"}, "/pool": {"anna": "wrong"}}
    async with proxied(server, USERLIST, files, users="/pool", wait="5s") as served:
        with pytest.raises(psycopg.OperationalError, match="28P01"):
            await whoami(served, "anna", "anna-pw")


async def test_users_that_a_server_knows(server):
    async with proxied(server, ASKED, POOL, users="/pool", monitor="app") as served:
        assert await whoami(served, "anna", "anna-pw") == "anna"
        assert await whoami(served, "old", "old-pw") == "old"
        for user in ("anna", "old", "nobody", "x' or true --"):
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                await whoami(served, user, "guessed")


async def test_a_password_whose_time_is_over_is_none(server):
    await server.run("create role late login password 'late-pw' valid until '2020-01-01'")
    async with proxied(server, ASKED, POOL, users="/pool", monitor="app") as served:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            await whoami(served, "late", "late-pw")


async def test_a_server_that_cannot_be_asked(server):
    async with proxied(server, BROKEN, POOL, users="/pool", monitor="app") as served:
        with pytest.raises(psycopg.OperationalError, match="users cannot be looked up now"):
            await whoami(served, "anna", "anna-pw")


async def test_a_user_that_there_is_not_looks_like_one_that_there_is(server):
    known = Secret("anna-pw")
    async with proxied(server, USERLIST, {"/users": {"anna": known.text}}) as served:
        seen = {
            user: [await challenge(served, user) for _ in range(2)] for user in ("anna", "nobody", "root")
        }
    for first, second in seen.values():
        assert first == second  # the salt stays
        assert first[1:] == ("i=4096", 16)
    assert len({first[0] for first, _ in seen.values()}) == 3


async def challenge(served: Served, user: str) -> tuple[str, str, int]:
    """The salt, the rounds, and how many bytes of salt."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(encode.startup({"user": user, "database": "app"}))
    async with asyncio.timeout(20):
        offer = await reader.readexactly(1 + 4 + 4 + len("SCRAM-SHA-256") + 2)
        assert b"PLUS" not in offer
        first = b"n,,n=,r=abcdefghijkl"
        writer.write(encode.password(b"SCRAM-SHA-256\0" + len(first).to_bytes(4) + first))
        head = await reader.readexactly(5)
        body = await reader.readexactly(int.from_bytes(head[1:]) - 4)
    writer.close()
    _, salt, rounds = body[4:].decode().split(",")
    return salt, rounds, len(base64.b64decode(salt[2:]))


async def test_routes_by_user_and_database_and_who_has_none(server):
    made = document(server, USERLIST)
    made["routes"][0]["database"] = {"users": ["anna"], "databases": ["shop"], "rename": "app"}
    async with serving(
        PostgresService, plan_of(made, {"/users": b'"anna" "anna-pw"\n"old" "old-pw"'})
    ) as served:
        where = f"host=127.0.0.1 port={served.port} sslmode=disable user=anna password=anna-pw"
        async with await psycopg.AsyncConnection.connect(f"{where} dbname=shop") as connection:
            assert await (await connection.execute("select current_database()")).fetchone() == ("app",)
        for bad in (f"{where} dbname=app", where.replace("anna", "old") + " dbname=shop"):
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                await psycopg.AsyncConnection.connect(bad)


async def test_whoever_is_logged_in_is_no_newcomer(server, monkeypatch):
    monkeypatch.setattr(reception, "MOST_NEWCOMERS", 1)
    where = {
        "host": "127.0.0.1",
        "user": "anna",
        "password": "anna-pw",
        "dbname": "app",
        "sslmode": "disable",
    }
    async with proxied(server, USERLIST, {"/users": {"anna": "anna-pw"}}) as served:
        clients = [await psycopg.AsyncConnection.connect(**where, port=served.port) for _ in range(3)]
        for client in clients:
            await client.execute("select 1")
            await client.close()


async def test_replication_is_refused_in_words(server):
    async with proxied(server, USERLIST, {"/users": {"anna": "anna-pw"}}) as served:
        with pytest.raises(psycopg.OperationalError, match="replication connections are not passed on"):
            await psycopg.AsyncConnection.connect(
                host="127.0.0.1", port=served.port, user="anna", sslmode="disable", replication="database"
            )
