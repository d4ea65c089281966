"""PostgreSQL over TLS: with clients, who may show certificates, and with servers, whose are looked at."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
import pytest_asyncio

from marchproxy.modules.dblb.postgres.service import PostgresService
from marchproxy.modules.reception.client import ClientTls
from marchproxy.wire.postgres import encode
from tests.real.support.certificates import make_certificate
from tests.real.support.databases import postgres, psql_options, run
from tests.real.support.dblb_services import Served, plan_of, serving
from tests.real.support.postgres_plan import document_before, plan_before

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[int]:
    async with postgres() as port:
        yield port


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("certificates")
    for name in ("localhost", "app", "other"):
        make_certificate(made, name)
    return made


def offered(folder: Path, *, required: bool = False) -> ClientTls:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "localhost.crt", folder / "localhost.key")
    context.set_alpn_protocols(["postgresql"])
    context.verify_mode = ssl.CERT_OPTIONAL
    for name in ("app", "other"):
        context.load_verify_locations(folder / f"{name}.crt")
    return ClientTls(context, required)


@asynccontextmanager
async def proxied(
    server: int, tls: ClientTls, *, method: str = "", ways: list[dict[str, str]] | None = None
) -> AsyncIterator[Served]:
    plan = plan_before(server, method=method)
    if ways is not None:
        document = document_before(server, trusted=True)
        document["authentication"] = ways
        document["routes"][0]["authentication"] = [way["name"] for way in ways]
        plan = plan_of(document, {"/users": b'"app" "hidden"'})
    async with serving(PostgresService, plan, tls=tls) as served:
        yield served


def where(served: Served, **more: object) -> dict[str, Any]:
    known = {
        "host": "localhost",
        "hostaddr": "127.0.0.1",
        "port": served.port,
        "user": "app",
        "dbname": "app",
    }
    return {**known, "password": "hidden", "sslmode": "require", **more}


async def one_query(served: Served, **more: object) -> bool:
    """Whether the connection was encrypted, after a query."""
    async with await psycopg.AsyncConnection.connect(**where(served, **more)) as connection:
        assert await (await connection.execute("select 1")).fetchone() == (1,)
        return bool(connection.pgconn.ssl_in_use)


async def ends(reader: asyncio.StreamReader) -> bool:
    """Whether the connection is closed, without a word of this protocol."""
    async with asyncio.timeout(20):
        try:
            return not (await reader.read()).startswith((b"R", b"E"))
        except ConnectionError:
            return True


async def test_tls_is_begun_by_who_asks_for_it(server, folder):
    async with proxied(server, offered(folder)) as served:
        assert await one_query(served)
        assert await one_query(served, sslmode="verify-full", sslrootcert=folder / "localhost.crt")
        assert not await one_query(served, sslmode="disable")
        said = await run(
            "psql",
            "-X",
            "-At",
            f"postgresql://app:hidden@127.0.0.1:{served.port}/app?sslmode=require",
            "-c",
            "select 5",
        )
        assert said.strip() == "5"


async def test_who_does_not_begin_tls_where_it_must_be_is_turned_away(server, folder):
    async with proxied(server, offered(folder, required=True)) as served:
        with pytest.raises(psycopg.OperationalError, match="must be encrypted"):
            await one_query(served, sslmode="disable")
        assert await one_query(served)


async def test_a_password_in_the_clear_is_taken_over_tls_only(server, folder):
    async with proxied(server, offered(folder), method="password") as served:
        assert await one_query(served)
        with pytest.raises(psycopg.OperationalError, match="needs TLS"):
            await one_query(served, sslmode="disable")
        with pytest.raises(psycopg.OperationalError, match='password authentication failed for user "app"'):
            await one_query(served, password="guessed")


async def test_a_certificate_shows_who_a_client_is(server, folder):
    certificate, userlist = (
        {"name": "c", "kind": "certificate"},
        {"name": "u", "kind": "userlist", "file": "/users"},
    )

    def shown(name: str) -> dict[str, object]:
        return {"sslcert": folder / f"{name}.crt", "sslkey": folder / f"{name}.key", "password": "guessed"}

    async with proxied(server, offered(folder), ways=[certificate]) as served:
        assert await one_query(served, **shown("app"))
        for more in (shown("other"), {}, {"sslmode": "disable"}):
            with pytest.raises(psycopg.OperationalError, match='authentication failed for user "app"'):
                await one_query(served, **more)
    async with proxied(server, offered(folder), ways=[certificate, userlist]) as served:
        assert await one_query(served, **shown("app"))
        assert await one_query(served)
        with pytest.raises(psycopg.OperationalError, match="authentication failed"):
            await one_query(served, **shown("other"))


async def test_tls_without_a_request_before_it(server, folder):
    trusting = ssl.create_default_context(cafile=folder / "localhost.crt")
    trusting.set_alpn_protocols(["postgresql"])
    async with proxied(server, offered(folder)) as served:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", served.port, ssl=trusting, server_hostname="localhost"
        )
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "postgresql"
        writer.write(encode.startup({"user": "app", "database": "app"}))
        async with asyncio.timeout(20):
            assert (await reader.readexactly(1)) == b"R"
        writer.close()


async def test_tls_without_a_request_is_for_this_protocol_only(server, folder):
    other = ssl.create_default_context(cafile=folder / "localhost.crt")
    async with proxied(server, offered(folder)) as served:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", served.port, ssl=other, server_hostname="localhost"
        )
        assert await ends(reader)
        writer.close()


async def test_words_in_front_of_tls_are_not_taken_for_words_in_it(server, folder):
    async with proxied(server, offered(folder)) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(encode.SSL_REQUEST + encode.startup({"user": "app"}))
        async with asyncio.timeout(20):
            answer = await reader.read()
        assert answer[:1] == b"E"
        writer.close()


async def test_a_handshake_that_is_none(server, folder):
    async with proxied(server, offered(folder)) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(encode.SSL_REQUEST)
        assert await reader.readexactly(1) == b"S"
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await ends(reader)
        writer.close()
        assert await one_query(served)


async def test_asyncpg_over_tls(server, folder):
    trusting = ssl.create_default_context(cafile=folder / "localhost.crt")
    async with proxied(server, offered(folder)) as served:
        connection = await asyncpg.connect(
            host="localhost", port=served.port, user="app", password="hidden", database="app", ssl=trusting
        )
        assert await connection.fetchval("select $1::int", 8) == 8
        await connection.close()


def behind(port: int, **tls: object) -> dict[str, Any]:
    document = document_before(port, trusted=True)
    document["pools"][0]["tls"] = tls
    return document


@asynccontextmanager
async def with_tls(folder: Path, name: str) -> AsyncIterator[int]:
    """PostgreSQL with a certificate, which it reads from its own folder."""
    async with postgres() as port:
        psql = ("psql", *psql_options(port), "-d", "app", "-c")
        data = Path((await run(*psql, "show data_directory")).strip())
        owner = data.stat()
        for written, found in (("server.crt", f"{name}.crt"), ("server.key", f"{name}.key")):
            (data / written).write_bytes((folder / found).read_bytes())
            (data / written).chmod(0o600)
            os.chown(data / written, owner.st_uid, owner.st_gid)
        await run(*psql, "alter system set ssl = on")
        await run(*psql, "select pg_reload_conf()")
        async with asyncio.timeout(15):
            while (await run(*psql, "show ssl")).strip() != "on":
                await asyncio.sleep(0.05)
        yield port


async def test_servers_are_reached_over_tls(folder):
    async with with_tls(folder, "localhost") as port:
        ca = {"ca": str(folder / "localhost.crt")}
        for tls, works in [
            ({**ca, "server_name": "localhost"}, True),
            ({**ca, "server_name": "elsewhere"}, False),
            ({"ca": str(folder / "other.crt"), "server_name": "localhost"}, False),
            ({"insecure": True}, True),
        ]:
            async with serving(PostgresService, plan_of(behind(port, **tls))) as served:
                report = (await served.service.check())[0]
                assert bool(report.fault) is not works, report
                if works:
                    said = await run("psql", *psql_options(served.port), "-d", "app", "-c", ENCRYPTED)
                    assert said.strip() == "t"


ENCRYPTED = "select ssl from pg_stat_ssl where pid = pg_backend_pid()"


async def test_a_server_without_tls_is_not_used_where_it_is_asked_for(server):
    async with serving(PostgresService, plan_of(behind(server, insecure=True))) as served:
        report = (await served.service.check())[0]
        assert "does not speak TLS" in report.fault
