"""Ownership: a file that one process holds at a time; whoever comes waits for it to end, and is told who it is."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from marchproxy.store.errors import StoreUnavailable

_AGAIN_SECONDS = 0.1


@asynccontextmanager
async def owned(path: Path, *, what: str, within: float) -> AsyncIterator[None]:
    """Hold the lock file for the length of the block; it ends with the process, however that does.

    Raises StoreUnavailable when another process has held it for so many seconds.
    """
    with path.open("a+") as file:
        path.chmod(0o600)
        try:
            async with asyncio.timeout(within):
                while not _taken(file):  # noqa: ASYNC110 - another process has it
                    await asyncio.sleep(_AGAIN_SECONDS)
        except TimeoutError:
            file.seek(0)
            holder = file.read(20).strip() or "unknown"
            raise StoreUnavailable(
                f"{what} is in use by process {holder}: end that one; several managers need PostgreSQL"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _taken(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
