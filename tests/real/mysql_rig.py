"""A port of ours before a MariaDB, and clients of it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pymysql

from marchproxy.kit.clock import SystemClock
from marchproxy.kit.settings import HostPort
from marchproxy.modules.dblb.mysql.dialling import Server
from marchproxy.modules.dblb.mysql.secrets import Secret
from marchproxy.modules.dblb.mysql.service import Service, ServiceSettings

PASSWORD = "secret word"
#: What the proxy knows of users, and what the servers do.
USERS = {"app": Secret(""), "owner": Secret(PASSWORD), "other": Secret("another")}
PASSWORDS = {"owner": PASSWORD, "other": "another"}
INIT = (
    f"create user owner@'127.0.0.1' identified by '{PASSWORD}';",
    "create user other@'127.0.0.1' identified by 'another';",
    "create database shop;",
    "create database attic;",
    "grant all on *.* to owner@'127.0.0.1';",
    "grant all on shop.* to other@'127.0.0.1';",
)


@dataclass
class Rig:
    port: int
    service: Service

    def connect(self, **options: Any) -> pymysql.Connection:
        """Blocks; call it in a thread."""
        wanted = {
            "user": "owner",
            "password": PASSWORD,
            "database": "shop",
            "connect_timeout": 20,
            "read_timeout": 20,
        }
        return pymysql.connect(host="127.0.0.1", port=self.port, **(wanted | options))

    async def ask(self, statement: str, **options: Any) -> Any:
        """The rows of one statement, over a connection of its own."""
        return await asyncio.to_thread(self._ask, statement, options)

    def _ask(self, statement: str, options: dict[str, Any]) -> Any:
        with self.connect(**options) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    async def until(self, true) -> None:
        async with asyncio.timeout(20):
            while not true():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def proxied(
    port: int,
    settings: ServiceSettings | None = None,
    *,
    passwords: Mapping[str, str] = PASSWORDS,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Rig]:
    async with asyncio.TaskGroup() as group:
        server = Server(HostPort("127.0.0.1", port), passwords, tls)
        service = Service({"": server}, settings or ServiceSettings(users=USERS), group, SystemClock())
        listener = await asyncio.get_running_loop().create_server(service.session, "127.0.0.1", 0)
        try:
            yield Rig(listener.sockets[0].getsockname()[1], service)
        finally:
            listener.close()
            service.close()
