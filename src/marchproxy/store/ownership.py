"""Ownership: a file that one process holds at a time; whoever comes waits for it to end, and is told who it is."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from marchproxy.store.errors import StoreUnavailable

_AGAIN_SECONDS = 0.1


@asynccontextmanager
async def owned(path: Path, *, what: str, within: float) -> AsyncIterator[None]:
    """Hold the lock file for the length of the block; it ends with the process, however that does.

    Raises StoreUnavailable when another process has held it for so many seconds, OSError when there can be none.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        await _take(descriptor, what, within)
        yield
    finally:
        os.close(descriptor)


async def _take(descriptor: int, what: str, within: float) -> None:
    try:
        async with asyncio.timeout(within):
            while not _taken(descriptor):  # noqa: ASYNC110 - another process has it
                await asyncio.sleep(_AGAIN_SECONDS)
    except TimeoutError:
        holder = os.pread(descriptor, 20, 0).decode().strip() or "unknown"
        raise StoreUnavailable(
            f"{what} is in use by process {holder}: end that one; several managers need PostgreSQL"
        ) from None
    with suppress(OSError):  # on a full disk nobody is told who holds it, but it is held
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
