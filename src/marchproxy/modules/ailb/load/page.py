"""Page: one document that an HTTP/1.1 server is asked for again and again, over one connection (RFC 9112)."""

import asyncio
from typing import cast
from urllib.parse import quote

import httptools

#: The most bytes of an answer, its head included: an engine's is some 50 KB.
MOST_BYTES = 1024 * 1024


class NoPage(Exception):
    """There is no page, and the connection is closed; the words say why."""


class PageReader(asyncio.Protocol):
    """One connection to `host`, for what is at `path`."""

    def __init__(self, host: str, path: str) -> None:
        target = quote(path, safe="/%?=&:@,;+$!*'()~")
        self._request = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept: text/plain\r\n\r\n".encode("ascii")
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[bytes] | None = None
        self._parts: list[bytes] = []
        self._received = 0

    @property
    def is_open(self) -> bool:
        """Whether it can be asked (again)."""
        return self._transport is not None and not self._transport.is_closing()

    async def read(self) -> bytes:
        """The page as it is now; one at a time. Raises NoPage."""
        if not self.is_open or self._transport is None:
            raise NoPage("the connection is closed")
        self._parts, self._received = [], 0
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(self._request)
        try:
            return await self._answer
        finally:
            self._answer = None

    def close(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open; called by the loop, as are the next two."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is not any more."""
        self._fail(str(exc) if exc else "it closed the connection")

    def data_received(self, data: bytes) -> None:
        """A piece of an answer, or something that nobody has asked for."""
        self._received += len(data)
        if self._answer is None or self._received > MOST_BYTES:
            self._fail(f"an answer of more than {MOST_BYTES} bytes" if self._answer else "it spoke unasked")
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(f"not HTTP/1.1: {error}")

    def on_body(self, body: bytes) -> None:
        """Keep a piece; called by httptools, as is the next."""
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """An answer is whole, unless it only says that one will follow."""
        status = self._parser.get_status_code()
        if status < 200:
            return
        if status != 200:
            self._fail(f"status {status}")
            return
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(b"".join(self._parts))
        if not self._parser.should_keep_alive():
            self.close()

    def _fail(self, why: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(NoPage(why))
        self.close()
