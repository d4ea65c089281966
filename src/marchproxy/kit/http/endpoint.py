"""The operations endpoint on the network: connections, their limits, and a stop that lets replies finish."""

import asyncio
import contextlib
import errno
from dataclasses import dataclass
from http import HTTPStatus

from prometheus_client import CollectorRegistry

from marchproxy.kit.http.messages import RemoteProtocolError, Reply, Request, RequestParser
from marchproxy.kit.http.pages import Pages, Readiness, Supplier
from marchproxy.kit.listening import BindError, PortInUse
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import HostPort

__all__ = ["HttpEndpoint", "HttpLimits", "Readiness", "Supplier"]

_log = get_logger(__name__)
_PIECE = 4096
_PARTING_SECONDS = 1.0
_FULL = Reply(HTTPStatus.SERVICE_UNAVAILABLE, b"too many connections\n")


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Sizes in bytes. `idle` in seconds: how long a request may take to arrive, and a reply to be taken."""

    max_connections: int = 128
    max_head: int = 16 * 1024
    max_body: int = 64 * 1024
    idle: float = 60.0


class HttpEndpoint:
    """Serves `/healthz`, `/readyz` and `/metrics` on one address. Start it once, stop it once."""

    def __init__(
        self,
        address: HostPort,
        *,
        registry: CollectorRegistry,
        ready: Readiness,
        suppliers: tuple[Supplier, ...] = (),
        limits: HttpLimits = HttpLimits(),
        setting: str = "http",
    ) -> None:
        """`setting` is how errors name the address in the configuration."""
        self._address = address
        self._pages = Pages(registry, ready, suppliers)
        self._limits = limits
        self._setting = setting
        self._server: asyncio.Server | None = None
        self._busy: dict[asyncio.Task[None], bool] = {}
        self._stopping = False

    async def start(self) -> int:
        """Listen; return the port. Raises PortInUse or BindError with address and setting."""
        try:
            self._server = await asyncio.start_server(self._connected, self._address.host, self._address.port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(self._address, self._setting) from error
            raise BindError(self._address, self._setting, error.strerror or str(error)) from error
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self, grace_seconds: float = 1.0) -> None:
        """Refuse new connections, close idle ones, give replies the grace, cut the rest."""
        if self._server is None:
            return
        self._stopping = True
        self._server.close()
        for connection, busy in self._busy.items():
            if not busy:
                connection.cancel()
        if self._busy:
            await asyncio.wait(list(self._busy), timeout=grace_seconds)
        for connection in self._busy:
            connection.cancel()
        if self._busy:
            await asyncio.wait(list(self._busy))
        self._server = None

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # asyncio made a task for this connection; stop() waits for it
        task = asyncio.current_task()
        assert task is not None
        try:
            if len(self._busy) >= self._limits.max_connections:
                writer.write(_FULL.encode(keep_alive=False))
                return
            self._busy[task] = False
            await self._converse(task, reader, writer)
        except RemoteProtocolError as error:
            await self._part(error.reply, reader, writer)
        except (TimeoutError, ConnectionError) as error:
            _log.debug("http connection ended", reason=str(error) or "idle")
        finally:
            writer.close()
            self._busy.pop(task, None)

    async def _converse(
        self, task: asyncio.Task[None], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        parser = RequestParser(max_head=self._limits.max_head, max_body=self._limits.max_body)
        while requests := await self._next(parser, reader):
            self._busy[task] = True
            for request in requests:
                reply = await self._pages.answer(request)
                keep_alive = request.keep_alive and not self._stopping
                writer.write(reply.encode(keep_alive=keep_alive, with_body=request.method != "HEAD"))
                async with asyncio.timeout(self._limits.idle):
                    await writer.drain()
                if not keep_alive:
                    return
            self._busy[task] = False

    async def _part(self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # closing on unread bytes resets the connection, and the peer would never read the reply (RFC 9112 §9.6)
        writer.write(reply.encode(keep_alive=False))
        writer.write_eof()
        allowed = self._limits.max_body
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(_PARTING_SECONDS):
                while allowed > 0 and (data := await reader.read(_PIECE)):
                    allowed -= len(data)

    async def _next(self, parser: RequestParser, reader: asyncio.StreamReader) -> list[Request]:
        """Return the next requests, or none when the peer has closed."""
        async with asyncio.timeout(self._limits.idle):
            while data := await reader.read(_PIECE):
                if requests := parser.receive(data):
                    return requests
        return []
