"""Opening: the store of a URL, its tables brought to the newest version."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from marchproxy.kit.clock import Clock, SystemClock
from marchproxy.store.sealing import Sealer
from marchproxy.store.settings import StoreSettings
from marchproxy.store.store import Store


@asynccontextmanager
async def open_store(
    settings: StoreSettings, sealer: Sealer, *, clock: Clock | None = None
) -> AsyncIterator[Store]:
    """Connect, migrate, and prune in the background for the length of the block.

    Raises StoreUnavailable when the database cannot be reached, StoreUnusable when it never will be as it is.
    """
    raise NotImplementedError
    yield
