"""A lean HTTP/1.1 client of language models: it costs little beside what it measures, and can hang up at any byte."""

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import httptools


class Answer:
    """One answer. Times are of the monotonic clock; `reads`: when each piece of the body came, and what it was."""

    __slots__ = ("began", "body", "complete", "first", "last", "reads", "status")

    def __init__(self, *, timed: bool) -> None:
        self.status = 0
        self.body = bytearray()
        self.complete = False
        self.began = time.monotonic()
        self.first = 0.0
        self.last = 0.0
        self.reads: list[tuple[float, bytes]] | None = [] if timed else None


def request(path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a POST."""
    data = json.dumps(body).encode()
    fields = {"host": "llm.test", "content-type": "application/json", **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {path} HTTP/1.1\r\n{lines}content-length: {len(data)}\r\n\r\n".encode() + data


class Connection(asyncio.Protocol):
    """One connection to a server, one request after the other."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._parser: Any = None
        self._answer: Answer | None = None
        self._done: asyncio.Future[None] | None = None
        self._leave_at = b""
        self.usable = True

    async def ask(self, data: bytes, answer: Answer, leave_at: bytes = b"") -> None:
        """Fill the answer, as far as it comes; hung up as soon as `leave_at` is in its body."""
        self._answer = answer
        self._parser = httptools.HttpResponseParser(self)
        self._leave_at = leave_at
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        try:
            await self._done
        except asyncio.CancelledError:
            self.close()
            raise

    def close(self) -> None:
        """Hang up."""
        self.usable = False
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the signature that asyncio calls
        self.usable = False
        self._end()

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"connection" and value.lower() == b"close":
            self.usable = False

    def on_headers_complete(self) -> None:
        if self._answer is not None:
            self._answer.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        answer = self._answer
        if answer is None:
            return
        answer.last = time.monotonic()
        if not answer.first:
            answer.first = answer.last
        if answer.reads is not None:
            answer.reads.append((answer.last, body))
            return
        answer.body += body
        if self._leave_at and self._leave_at in answer.body:
            self.close()

    def on_message_complete(self) -> None:
        if self._answer is not None:
            self._answer.complete = True
            self._end()

    def _end(self) -> None:
        self._answer = None
        if self._done is not None and not self._done.done():
            self._done.set_result(None)


class Client:
    """Connections to a port of the loopback, kept while they can be used."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: deque[Connection] = deque()

    async def ask(
        self,
        data: bytes,
        *,
        leave_at: bytes = b"",
        timed: bool = False,
        begun: Callable[[Answer], object] | None = None,
    ) -> Answer:
        """An answer over an idle connection or a new one; `begun` is shown it before it comes. Raises OSError."""
        connection = await self._connection()
        answer = Answer(timed=timed)
        if begun is not None:
            begun(answer)
        try:
            await connection.ask(data, answer, leave_at)
        finally:
            if connection.usable:
                self._idle.append(connection)
            else:
                connection.close()
        return answer

    def close(self) -> None:
        """Hang up all."""
        while self._idle:
            self._idle.pop().close()

    async def _connection(self) -> Connection:
        with suppress(IndexError):
            while True:
                connection = self._idle.popleft()
                if connection.usable:
                    return connection
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(Connection, "127.0.0.1", self._port)
        return protocol
