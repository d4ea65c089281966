"""Holding: PostgreSQL's advisory locks, which end with the session that took them.

https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg

from marchproxy.kit.logs import get_logger
from marchproxy.store.dialling import FAILURES, Dialler, watched
from marchproxy.store.errors import StoreUnavailable

_log = get_logger(__name__)
#: Two numbers name a lock: what for, and for which of the fleets that share a database, each in its own schema.
_SCHEMA = "hashtext(coalesce(current_schema(), ''))"
EXCLUSIVE, LEADERSHIP, MIGRATING = (f"{number}, {_SCHEMA}" for number in (0x6D7001, 0x6D7002, 0x6D7003))
_AGAIN_SECONDS = 2.0


async def take(connection: asyncpg.Connection, lock: str, within: float) -> None:
    """Take a lock in turn with others who wait; raises StoreUnavailable when it takes more than so many seconds."""
    await connection.execute("set statement_timeout = 0")
    await connection.execute(f"set lock_timeout = {max(round(within * 1000), 1)}")
    try:
        await connection.execute(f"select pg_advisory_lock({lock})", timeout=None)
    except asyncpg.LockNotAvailableError:
        raise StoreUnavailable(
            f"the change of another manager has been under way for {within:g} s; try again later"
        ) from None


@asynccontextmanager
async def leading(dialler: Dialler, lock: str) -> AsyncIterator[asyncio.Event]:
    """Hold a lock, however long that takes and however often the database goes away meanwhile."""
    async with AsyncExitStack() as held:
        while True:
            try:
                connection = await _wait(dialler, lock, held)
                break
            except FAILURES as error:
                _log.warning("leadership cannot be asked for", database=dialler.name, error=str(error))
                await held.aclose()
            await asyncio.sleep(_AGAIN_SECONDS)
        yield await held.enter_async_context(watched(connection))


async def _wait(dialler: Dialler, lock: str, held: AsyncExitStack) -> asyncpg.Connection:
    connection = await held.enter_async_context(dialler.session())
    while not await _try(connection, lock):  # noqa: ASYNC110 - another process has it
        await asyncio.sleep(_AGAIN_SECONDS)
    return connection


async def _try(connection: asyncpg.Connection, lock: str) -> bool:
    async with asyncio.timeout(_AGAIN_SECONDS * 5):
        return bool(await connection.fetchval(f"select pg_try_advisory_lock({lock})"))
