"""SQLite: one file that belongs to one manager at a time. Readers do not wait for the writer (WAL), writers queue.

https://sqlite.org/wal.html: not for files on a network.
"""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from marchproxy.store.database import Database, T
from marchproxy.store.errors import StoreUnavailable, StoreUnusable
from marchproxy.store.ownership import owned
from marchproxy.store.settings import StoreSettings

#: On every connection. FULL: what was committed survives a power cut; secure_delete: nothing removed stays in the file.
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=FAST")


class Sqlite(Database):
    """A file and its connections."""

    if_slow = "its disk is slow, or another program writes to it; try again"

    def __init__(self, path: Path, settings: StoreSettings) -> None:
        engine = create_async_engine(
            URL.create("sqlite+aiosqlite", database=str(path)),
            # the driver's own transactions begin too late; ours begin with BEGIN
            connect_args={"isolation_level": None, "timeout": settings.seconds / 2},
            pool_size=settings.connections,
            max_overflow=0,
            hide_parameters=True,
            pool_timeout=settings.seconds / 2,
        )
        super().__init__(engine, f"SQLite file {path}", settings.seconds)
        self._path = path
        self._writer = engine.execution_options(marchproxy_begin="BEGIN IMMEDIATE")
        self._turn = asyncio.Lock()
        self._exclusive = asyncio.Lock()
        self._leadership = asyncio.Lock()
        event.listen(engine.sync_engine, "connect", _set_up)
        event.listen(engine.sync_engine, "begin", _begin)

    @asynccontextmanager
    async def writing(self, *topics: str) -> AsyncIterator[AsyncConnection]:
        """One after the other: SQLite has one writer, and those who wait in the file are not woken in turn."""
        async with self._asked(), self._turn, self._writer.begin() as connection:
            yield connection
        self.topics.tell(topics)

    def exclusive(self, within: float) -> AbstractAsyncContextManager[asyncio.Event]:
        """The file is this process's: a lock of its own is enough."""
        return self._held(self._exclusive, within)

    def leadership(self) -> AbstractAsyncContextManager[asyncio.Event]:
        """As `exclusive`."""
        return self._held(self._leadership, None)

    async def prepare(self, migrate: Callable[[Connection], T]) -> T:
        """In one transaction: SQLite can take back what it did to tables."""
        async with self._asked(60.0), self._turn, self._writer.begin() as connection:
            return await connection.run_sync(migrate)

    async def run(self) -> None:
        """Nothing: nobody else changes the file."""

    def unavailable(self, error: Exception) -> StoreUnavailable | None:
        """By SQLite's own code (https://sqlite.org/rescode.html)."""
        code = _code(error)
        if isinstance(error, OSError) or code in _PASSING:
            reason, remedy = _PASSING.get(code, (str(error), "see that the folder can be used"))
            return StoreUnavailable(f"{self.name}: {reason}; {remedy}")
        if code in _LASTING:
            reason, remedy = _LASTING[code]
            return StoreUnusable(f"{self.name}: {reason}; {remedy}")
        return None

    @asynccontextmanager
    async def _held(self, lock: asyncio.Lock, within: float | None) -> AsyncIterator[asyncio.Event]:
        try:
            async with asyncio.timeout(within):
                await lock.acquire()
        except TimeoutError:
            raise StoreUnavailable(
                f"another change has been under way for {within:g} s; try again later"
            ) from None
        try:
            yield asyncio.Event()  # a lock in memory is never lost
        finally:
            lock.release()


@asynccontextmanager
async def open_sqlite(path: Path, settings: StoreSettings) -> AsyncIterator[Sqlite]:
    """The file, mode 0600, made where there is none, for this process alone. Raises StoreUnavailable, StoreUnusable."""
    lock = path.with_name(f"{path.name}.lock")
    async with AsyncExitStack() as held:
        with _usable(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            await held.enter_async_context(owned(lock, what=f"SQLite file {path}", within=settings.seconds))
            _make_private(path)
        database = Sqlite(path, settings)
        held.push_async_callback(database.engine.dispose)
        yield database


@contextmanager
def _usable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnusable(
            f"SQLite file {path} cannot be used: {error.strerror or error}; see who owns it and its folder"
        ) from error


def _make_private(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)  # the files beside it are made with the same mode, by SQLite
    finally:
        os.close(descriptor)


def _set_up(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("marchproxy_begin", "BEGIN"))


def _code(error: Exception) -> int | None:
    """The primary result code; extended ones have it in their lowest byte."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(cause, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


_RESTORE = (
    "restore it from a backup, or move it and its -wal file away to begin anew from the configuration file"
)
_PASSING: dict[int | None, tuple[str, str]] = {
    sqlite3.SQLITE_BUSY: ("is locked", "another program has it open and writes; end that, and try again"),
    sqlite3.SQLITE_LOCKED: ("is locked", "try again"),
    sqlite3.SQLITE_FULL: ("no space is left", "make room on its disk, and try again"),
    sqlite3.SQLITE_IOERR: ("the disk failed, or is full", "look at the kernel's log and at the free space"),
    sqlite3.SQLITE_NOMEM: ("no memory is left", "try again"),
    sqlite3.SQLITE_INTERRUPT: ("was interrupted", "try again"),
}
_LASTING: dict[int | None, tuple[str, str]] = {
    sqlite3.SQLITE_CORRUPT: ("is damaged", _RESTORE),
    sqlite3.SQLITE_NOTADB: ("is no database", _RESTORE),
    sqlite3.SQLITE_READONLY: ("cannot be written", "see who owns it and its folder"),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", "see who owns it and its folder"),
    sqlite3.SQLITE_PERM: ("must not be used", "see who owns it and its folder"),
    sqlite3.SQLITE_AUTH: ("must not be used", "see who owns it and its folder"),
}
