"""HTTP/1.1 messages (RFC 9112): bytes in, requests out; replies to bytes. No I/O.

Bodies are counted and dropped: no page of the endpoint takes one.
"""

from dataclasses import dataclass
from http import HTTPStatus

import httptools


@dataclass(frozen=True, slots=True)
class Request:
    """What a page needs of a request. `path` is without the query."""

    method: str
    path: str
    keep_alive: bool


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()

    def encode(self, *, keep_alive: bool, with_body: bool = True) -> bytes:
        """Return the bytes to send; an answer to HEAD is `with_body=False` and keeps its Content-Length."""
        lines = [
            f"HTTP/1.1 {self.status.value} {self.status.phrase}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(self.body)}",
            "Cache-Control: no-store",
            f"Connection: {'keep-alive' if keep_alive else 'close'}",
            *(f"{name}: {value}" for name, value in self.headers),
        ]
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        return head + self.body if with_body else head


class RemoteProtocolError(Exception):
    """The peer's fault. `reply` tells it so; the connection is of no further use."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        self.reply = Reply(status, message.encode() + b"\n")
        super().__init__(message)


class RequestParser:
    """Collects bytes into requests. `max_head` and `max_body` in bytes."""

    def __init__(self, *, max_head: int, max_body: int) -> None:
        self._max_head = max_head
        self._max_body = max_body
        self._parser = httptools.HttpRequestParser(self)
        self._complete: list[Request] = []
        self._url = b""
        self._head = 0
        self._body = 0
        self._in_head = True

    def receive(self, data: bytes) -> list[Request]:
        """Return the requests that `data` completes. Raises RemoteProtocolError.

        Feed it small pieces: a head is measured in whole pieces, so it may be one piece over its limit.
        """
        keep_alive = True
        if self._in_head:
            self._head += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            keep_alive = False  # nothing to upgrade to: answered in HTTP/1.1, then closed
        except httptools.HttpParserError as error:
            if isinstance(cause := error.__context__, RemoteProtocolError):
                raise cause from None
            raise RemoteProtocolError(HTTPStatus.BAD_REQUEST, f"not HTTP/1.1: {error}") from error
        if self._in_head and self._head > self._max_head:
            self._refuse_head()
        requests, self._complete = self._complete, []
        return requests if keep_alive else [Request(r.method, r.path, keep_alive=False) for r in requests]

    def on_message_begin(self) -> None:
        """Start a request; called by httptools, as are the following."""
        self._url, self._body, self._in_head = b"", 0, True

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request target."""
        self._url += url

    def on_headers_complete(self) -> None:
        """End the head."""
        self._in_head, self._head = False, 0

    def on_body(self, body: bytes) -> None:
        """Count a piece of the body."""
        self._body += len(body)
        if self._body > self._max_body:
            raise RemoteProtocolError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"body over {self._max_body} bytes"
            )

    def on_message_complete(self) -> None:
        """End a request."""
        method = self._parser.get_method().decode("ascii", "replace")
        path = self._url.split(b"?", 1)[0].decode("latin-1")
        self._complete.append(Request(method, path, self._parser.should_keep_alive()))
        self._in_head = True

    def _refuse_head(self) -> None:
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        raise RemoteProtocolError(status, f"request line and headers over {self._max_head} bytes")
