"""Opening: the store of a URL, its tables brought to the newest version."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from sqlalchemy import Connection

from marchproxy.kit.clock import Clock, SystemClock
from marchproxy.kit.logs import get_logger
from marchproxy.kit.tasks import beside, every
from marchproxy.store.database import Database
from marchproxy.store.errors import StoreUnavailable
from marchproxy.store.keeping import check_key
from marchproxy.store.migrating import migrate
from marchproxy.store.postgres import open_postgres
from marchproxy.store.rows import SqlStore
from marchproxy.store.sealing import Sealer
from marchproxy.store.settings import StoreSettings
from marchproxy.store.sqlite import open_sqlite
from marchproxy.store.store import Store

_log = get_logger(__name__)
#: Pruning begins when a manager has started, which has enough to do.
_FIRST_SECONDS = 60.0
_PRUNE_SECONDS = 3600.0


@asynccontextmanager
async def open_store(
    settings: StoreSettings, sealer: Sealer, *, clock: Clock | None = None
) -> AsyncIterator[Store]:
    """Connect, migrate, and prune in the background for the length of the block.

    Raises StoreUnavailable when the database cannot be reached, StoreUnusable when it never will be as it is.
    """
    clock = clock or SystemClock()

    def make_ready(connection: Connection) -> None:
        migrate(connection)
        check_key(connection, sealer)

    async with _open(settings) as database:
        await database.prepare(make_ready)
        store = SqlStore(database, sealer, settings, clock)
        async with beside(database.run(), name="news"), beside(_prune(store, clock), name="pruning"):
            yield store


def _open(settings: StoreSettings) -> AbstractAsyncContextManager[Database]:
    if settings.file is not None:
        return open_sqlite(settings.file, settings)
    return open_postgres(settings)


async def _prune(store: SqlStore, clock: Clock) -> None:
    await clock.sleep(_FIRST_SECONDS)
    await every(_PRUNE_SECONDS, lambda: _prune_once(store), clock=clock, name="pruning", jitter=0.1)


async def _prune_once(store: SqlStore) -> None:
    try:
        removed = await store.prune_records()
    except StoreUnavailable as error:
        _log.warning("old records are not pruned now", reason=str(error))
        return
    if removed:
        _log.info("old records are pruned", count=removed)
