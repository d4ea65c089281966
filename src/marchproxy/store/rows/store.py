"""The whole store, over either database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from marchproxy.store.rows.identities import IdentityRows
from marchproxy.store.rows.records import RecordRows
from marchproxy.store.rows.revisions import RevisionRows
from marchproxy.store.rows.things import ThingRows
from marchproxy.store.store import Store


class SqlStore(RevisionRows, IdentityRows, RecordRows, ThingRows, Store):
    """See `Store`."""

    def exclusive(self, *, within: float = 30.0) -> AbstractAsyncContextManager[asyncio.Event]:
        return self._database.exclusive(within)

    def leadership(self) -> AbstractAsyncContextManager[asyncio.Event]:
        return self._database.leadership()

    def fingerprint(self, data: bytes) -> str:
        return self._sealer.fingerprint(data)

    def changes(self) -> AsyncIterator[str]:
        return self._database.topics.subscribe()
