"""Dialling: connections to PostgreSQL that neither hang nor leave anything hanging, and sessions that are watched."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import MappingProxyType
from urllib.parse import urlsplit

import asyncpg

from marchproxy.kit.tasks import beside, comes
from marchproxy.store.settings import StoreSettings

#: What goes wrong between us and the server.
FAILURES = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_DIAL_SECONDS = 5.0
_LOOK_SECONDS = 3.0
#: The server lets go of what a manager held that is cut off: after 25 s, or a minute in the middle of a transaction.
_SERVER_SETTINGS = MappingProxyType(
    {
        "application_name": "marchproxy manager",
        "idle_in_transaction_session_timeout": "60s",
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
    }
)


class Dialler:
    """Connects to one database, whose `name` is for people: it holds no password."""

    def __init__(self, settings: StoreSettings) -> None:
        where = urlsplit(settings.url)
        self.name = f"PostgreSQL {where.netloc.rpartition('@')[2]}{where.path}"
        self._settings = settings

    async def dial(self) -> asyncpg.Connection:
        """A connection. Raises what FAILURES lists."""
        deadline = f"{self._settings.seconds * 1000:.0f}"
        return await asyncpg.connect(
            self._settings.url,
            password=self._settings.password or None,
            timeout=min(_DIAL_SECONDS, self._settings.seconds),
            server_settings={**_SERVER_SETTINGS, "statement_timeout": deadline, "lock_timeout": deadline},
        )

    @asynccontextmanager
    async def session(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection for the length of the block."""
        connection = await self.dial()
        try:
            yield connection
        finally:
            with suppress(*FAILURES):
                await connection.close(timeout=2.0)


@asynccontextmanager
async def watched(connection: asyncpg.Connection) -> AsyncIterator[asyncio.Event]:
    """An event that is set when the connection is lost, or the server behind it no longer answers."""
    lost = asyncio.Event()
    connection.add_termination_listener(lambda _: lost.set())
    if connection.is_closed():
        lost.set()
    async with beside(_look(connection, lost), name="watch of a database session"):
        yield lost


async def _look(connection: asyncpg.Connection, lost: asyncio.Event) -> None:
    while not await comes(lost, within=_LOOK_SECONDS):
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                await connection.execute("select 1")
        except FAILURES:
            lost.set()
            connection.terminate()
