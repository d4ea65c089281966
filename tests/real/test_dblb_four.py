"""One port of an NLB, four databases, one DBLB: each real client reaches its own server, over TLS where it is asked for."""

import asyncio
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from pymongo import AsyncMongoClient

from tests.ports import free_port
from tests.real.support.databases import mariadb, mongodb, postgres, psql_options, redis, run
from tests.real.support.dblb import databases

PROTOCOLS = ("postgres", "mysql", "mongodb", "redis")


async def test_four_databases_at_one_port(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        async with asyncio.TaskGroup() as group:
            started = [
                group.create_task(stack.enter_async_context(server()))
                for server in (postgres, mariadb, mongodb, redis)
            ]
        servers = dict(zip(PROTOCOLS, (task.result() for task in started), strict=True))
        entrance, secured = free_port(), free_port()
        document = {
            "listeners": [
                {"name": name, "address": f"127.0.0.1:{entrance}", "protocol": name, "module": "dblb"}
                for name in PROTOCOLS
            ],
            "pools": [
                {"name": name, "protocol": name, "endpoints": [f"127.0.0.1:{port}"]}
                for name, port in servers.items()
            ],
            "routes": [
                {"id": name, "protocol": name, "module": "dblb", "backends": [name]} for name in PROTOCOLS
            ],
        }
        ports = {f"{name}_proxy": f"127.0.0.1:{free_port()}" for name in PROTOCOLS if name != "postgres"}
        system = await stack.enter_async_context(
            databases(
                tmp_path,
                document,
                nlb=True,
                redis=f"127.0.0.1:{secured}",
                client_tls={"self_signed": ["localhost"]},
                **ports,
            )
        )
        psql = ("psql", *psql_options(entrance), "-d", "app", "-c", "select version()")
        assert "PostgreSQL" in await answer(*psql)
        mysql = ("mariadb", "--no-defaults", "-h127.0.0.1", f"-P{entrance}", "-uapp", "--skip-ssl", "-sN")
        assert "MariaDB" in await answer(*mysql, "-e", "select version()")
        client: AsyncMongoClient[dict[str, int]]
        async with AsyncMongoClient(f"mongodb://127.0.0.1:{entrance}/?directConnection=true") as client:
            await client.app.things.insert_one({"one": 1})
            assert await client.app.things.count_documents({}) == 1
        said = ("redis-cli", "--no-auth-warning", "-h", "127.0.0.1", "-p")
        assert await answer(*said, str(entrance), "set", "key", "value") == "OK\n"
        assert await answer(*said, str(secured), "--tls", "--insecure", "get", "key") == "value\n"
        assert await answer(*said, str(secured), "get", "key") == "value\n"
        assert len(system.workers()) == 2


async def answer(*command: str) -> str:
    """What a client says, once the NLB knows who serves its protocol."""
    async with asyncio.timeout(30):
        while True:
            with suppress(AssertionError):  # it was sent to nobody
                return await run(*command)
            await asyncio.sleep(0.1)
