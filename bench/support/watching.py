"""A client that holds one keep-alive connection and asks again and again until an answer shows what it waits for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

_PAUSE_SECONDS = 0.001
_LONGEST_HEAD = 65_536


class Watcher:
    """One HTTP/1.1 connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def connected(cls, port: int) -> AsyncIterator[Self]:
        """Connected to a port of the loopback for the length of the block. Raises OSError."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=_LONGEST_HEAD)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()

    async def until(self, host: str, path: str, header: str, value: str) -> None:
        """Ask until the answer has this header with this value. Raises RuntimeError for an answer other than 200."""
        while await self._ask(host, path, header) != value:  # noqa: ASYNC110 - only the traffic itself can tell
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _ask(self, host: str, path: str, header: str) -> str:
        self._writer.write(f"GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, *lines = head.split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        await self._reader.readexactly(int(fields["content-length"]))
        if status.split(" ")[1] != "200":
            raise RuntimeError(f"{host}{path} was answered: {status}")
        return fields.get(header, "")
