"""Store: files as bytes; segments, which never change, are kept in memory as long as there is room for them."""

import asyncio
from collections import OrderedDict
from pathlib import Path

_LARGEST = 128 * 1024 * 1024
_ROOM = 128 * 1024 * 1024


class Store:
    """Reads files by a thread. Who asks for what is being read waits for the same reading."""

    def __init__(self, *, room: int = _ROOM) -> None:
        """`room` in bytes."""
        self._room = room
        self._kept: OrderedDict[Path, bytes] = OrderedDict()
        self._size = 0
        self._reading: dict[Path, asyncio.Future[bytes]] = {}

    async def read(self, path: Path, *, lasting: bool) -> bytes:
        """The content. Raises FileNotFoundError, OSError."""
        if path in self._kept:
            self._kept.move_to_end(path)
            return self._kept[path]
        if path in self._reading:
            return await asyncio.shield(self._reading[path])
        loop = asyncio.get_running_loop()
        reading = self._reading[path] = loop.run_in_executor(None, _read, path)
        try:
            data = await asyncio.shield(reading)
        finally:
            if reading.done():
                self._reading.pop(path, None)
            else:
                reading.add_done_callback(lambda _: self._reading.pop(path, None))
        if lasting:
            self._keep(path, data)
        return data

    def _keep(self, path: Path, data: bytes) -> None:
        if path in self._kept or len(data) > self._room // 4:
            return
        self._kept[path] = data
        self._size += len(data)
        while self._size > self._room:
            _, gone = self._kept.popitem(last=False)
            self._size -= len(gone)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise OSError(f"{path.name} is larger than any segment")
    return data
