"""PostgreSQL: the database of several managers. Pooled connections for transactions; locks and news have their own.

Not through a pooler that hands out connections by transaction: locks and LISTEN belong to a session.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import asyncpg
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from marchproxy.store.database import Database, T
from marchproxy.store.dialling import FAILURES, Dialler, watched
from marchproxy.store.errors import StoreUnavailable, StoreUnusable
from marchproxy.store.holding import EXCLUSIVE, LEADERSHIP, MIGRATING, leading, take
from marchproxy.store.listening import CHANNEL, listen
from marchproxy.store.settings import StoreSettings

_MIGRATION_SECONDS = 120.0
_NOTIFY = text("select pg_notify(:channel, :topic)")


class Postgres(Database):
    """A database and the connections to it."""

    failures = (*Database.failures, *FAILURES)

    def __init__(self, settings: StoreSettings) -> None:
        self._dialler = Dialler(settings)
        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self._dialler.dial,
            pool_size=settings.connections,
            max_overflow=0,
            hide_parameters=True,
            pool_timeout=settings.seconds / 2,
            pool_pre_ping=True,  # those that a restart has cut are found before they are used
        )
        super().__init__(engine, self._dialler.name, settings.seconds)

    @asynccontextmanager
    async def writing(self, *topics: str) -> AsyncIterator[AsyncConnection]:
        """Everybody who listens is told with the commit."""
        async with self._asked(), self.engine.begin() as connection:
            yield connection
            for topic in topics:
                await connection.execute(_NOTIFY, {"channel": CHANNEL, "topic": topic})

    @asynccontextmanager
    async def exclusive(self, within: float) -> AsyncIterator[asyncio.Event]:
        """An advisory lock of a session of its own."""
        async with AsyncExitStack() as held:
            async with self._asked(within + self._seconds):
                connection = await held.enter_async_context(self._dialler.session())
                await take(connection, EXCLUSIVE, within)
            yield await held.enter_async_context(watched(connection))

    def leadership(self) -> AbstractAsyncContextManager[asyncio.Event]:
        """As `exclusive`; whatever happens to the database meanwhile, waiting goes on."""
        return leading(self._dialler, LEADERSHIP)

    async def prepare(self, migrate: Callable[[Connection], T]) -> T:
        """Managers that start together wait for the first."""
        async with self._asked(_MIGRATION_SECONDS), self.engine.begin() as connection:
            await connection.execute(text(f"set local statement_timeout = '{_MIGRATION_SECONDS:g}s'"))
            await connection.execute(text(f"set local lock_timeout = '{_MIGRATION_SECONDS:g}s'"))
            await connection.execute(text(f"select pg_advisory_xact_lock({MIGRATING})"))
            return await connection.run_sync(migrate)

    async def run(self) -> None:
        """Listen for what others change."""
        await listen(self._dialler, self.topics)

    def unavailable(self, error: Exception) -> StoreUnavailable | None:
        """By SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html)."""
        cause = error.orig if isinstance(error, DBAPIError) else error
        state = str(getattr(cause, "sqlstate", None) or "")
        words = f"{self.name}: {str(cause).strip() or type(cause).__name__}"
        for prefix, remedy in _LASTING.items():
            if state.startswith(prefix):
                return StoreUnusable(f"{words}; {remedy}")
        if state.startswith(_PASSING) or (not state and _is_of_connection(error)):
            return StoreUnavailable(f"{words}; see whether it runs, and try again")
        return None


@asynccontextmanager
async def open_postgres(settings: StoreSettings) -> AsyncIterator[Postgres]:
    """The database, whose connections are made as they are needed and closed with the block."""
    database = Postgres(settings)
    try:
        yield database
    finally:
        await database.engine.dispose()


def _is_of_connection(error: Exception) -> bool:
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or "connect" in str(error.orig)
    return not isinstance(error, asyncpg.DataError)


#: Connections, resources, an operator's doing, the system, deadlocks, locks, a standby.
_PASSING = ("08", "53", "57", "58", "40", "55P03", "25006", "25P03")
_LASTING = {
    "28": "see its user, its password and pg_hba.conf",
    "3D": "create the database, or name another",
    "42501": "grant the user what it needs: the database's tables are to be its own",
    "XX": "its own log says more; restore it from a backup",
}
