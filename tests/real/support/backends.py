"""Small HTTP/1.1 backends that say who they are."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.ports import free_port


@dataclass
class Request:
    """One request; `body` yields its bytes."""

    method: str
    path: str
    headers: dict[str, str]
    reader: asyncio.StreamReader

    async def body(self) -> AsyncIterator[bytes]:
        if self.headers.get("transfer-encoding") == "chunked":
            while size := int(await self.reader.readline(), 16):
                yield await self.reader.readexactly(size)
                await self.reader.readline()
            await self.reader.readline()
            return
        left = int(self.headers.get("content-length", 0))
        while left:
            data = await self.reader.read(min(left, 1 << 18))
            if not data:
                raise asyncio.IncompleteReadError(b"", left)
            left -= len(data)
            yield data


@dataclass
class Backend:
    """Answers its name; `/echo` the request as JSON, `/status/N`, `/slow/SECONDS` half now and half later,
    `/upload` size and SHA-256, `/upload/SECONDS` too but reads nothing for so long, `/healthz` by `healthy`."""

    name: str
    port: int = field(default_factory=free_port)
    healthy: bool = True
    served: int = 0
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Listen no more and cut every connection."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._open):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    await self._answer(await _read_request(reader), writer)
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        digest, size = hashlib.sha256(), 0
        _, kind, argument, *_ = (request.path + "//").split("/")
        if kind == "upload" and argument:
            await asyncio.sleep(float(argument))
        async for data in request.body():
            digest.update(data)
            size += len(data)
        status, body = 200, self.name.encode()
        match kind:
            case "healthz":
                status = 204 if self.healthy else 503
                body = b""
            case "status":
                status = int(argument)
            case "upload":
                body = json.dumps({"size": size, "sha256": digest.hexdigest()}).encode()
            case "echo":
                seen = {"name": self.name, "method": request.method, "path": request.path}
                body = json.dumps({**seen, "headers": request.headers}).encode()
        if kind != "healthz":
            self.served += 1
        length = "" if status == 204 else f"content-length: {len(body)}\r\n"
        writer.write(f"HTTP/1.1 {status} Said\r\nx-powered-by: tests\r\n{length}\r\n".encode())
        if kind == "slow":
            writer.write(body[: len(body) // 2])
            await writer.drain()
            await asyncio.sleep(float(argument))
            body = body[len(body) // 2 :]
        writer.write(body)
        await writer.drain()


async def _read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, path, _ = head[0].split(" ", 2)
    headers: dict[str, str] = {}
    for line in filter(None, head[1:]):
        name, value = line.split(": ", 1)
        name = name.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value  # RFC 9110, section 5.2
    return Request(method, path, headers, reader)


@asynccontextmanager
async def serving(*names: str) -> AsyncIterator[list[Backend]]:
    """One backend for each name."""
    backends = [Backend(name) for name in names]
    try:
        for backend in backends:
            await backend.start()
        yield backends
    finally:
        for backend in backends:
            await backend.stop()
