"""Guard: what every request has to keep to, before any route sees it: its origin, its size, its time.

And what goes with every answer. Pure ASGI (https://asgi.readthedocs.io), so that streams stay streams.
"""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marchproxy.kit.logs import get_logger
from marchproxy.manager.web.headers import API, secured
from marchproxy.manager.web.origins import is_foreign

_log = get_logger(__name__)
_FOREIGN = (
    "the request comes from a page of another origin; set `manager.public_url` to what browsers call this one"
)
_PARTING_SECONDS = 3.0
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Rules:
    """Bytes of a request's body, seconds for its answer, and what browsers call us."""

    max_body: int
    seconds: float
    public_url: str | None = None
    secure: bool = False


class Guard:
    """The outermost middleware."""

    def __init__(self, app: ASGIApp, rules: Rules, registry: CollectorRegistry) -> None:
        self.app = app  # NiceGUI looks for it by this name
        self._rules = rules
        self._streams: set[asyncio.Timeout] = set()
        self._requests = Counter(
            "marchproxy_manager_http_requests", "Requests.", ["method", "status"], registry=registry
        )
        self._seconds = Histogram(
            "marchproxy_manager_http_request_seconds", "Until the answer began.", registry=registry
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(self._rules, scope, receive, send)
        if exchange.foreign:
            await exchange.refuse(HTTPStatus.FORBIDDEN, _FOREIGN)
        elif exchange.too_large:
            await exchange.refuse(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {self._rules.max_body} bytes"
            )
        elif scope["type"] == "websocket":
            await self.app(scope, receive, send)
        else:
            await self._answer(scope, exchange)
        if scope["type"] == "http":
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._requests.labels(method, str(exchange.status)).inc()

    def end_streams(self) -> None:
        """End the answers that would go on for ever, so that a stop need not wait for them."""
        for timeout in self._streams:
            timeout.reschedule(asyncio.get_running_loop().time())

    async def _answer(self, scope: Scope, exchange: "_Exchange") -> None:
        started = asyncio.get_running_loop().time()
        timeout = asyncio.timeout(self._rules.seconds)

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._seconds.observe(asyncio.get_running_loop().time() - started)
                if exchange.begins_stream(message):
                    timeout.reschedule(None)
                    self._streams.add(timeout)
            await exchange.send(message)

        try:
            async with timeout:
                await self.app(scope, exchange.receive, send)
        except TimeoutError:
            if not timeout.expired():
                raise
            await self._cut(scope, exchange)
        finally:
            self._streams.discard(timeout)

    async def _cut(self, scope: Scope, exchange: "_Exchange") -> None:
        if not exchange.status:
            _log.warning("a request took too long", method=scope["method"], path=scope["path"])
            words = (
                f"no answer within {self._rules.seconds:.0f} s; whether it was done is not known: look again"
            )
            await exchange.refuse(HTTPStatus.GATEWAY_TIMEOUT, words)
        elif not exchange.ended:
            await exchange.send({"type": "http.response.body", "body": b"", "more_body": False})


class _Exchange:
    """One request and its answer."""

    def __init__(self, rules: Rules, scope: Scope, receive: Receive, send: Send) -> None:
        self._rules, self._scope = rules, scope
        self._receive, self._send = receive, send
        self._headers = Headers(scope=scope)
        self._taken = 0
        self.status = 0
        self.ended = False

    @property
    def foreign(self) -> bool:
        method = self._scope.get("method", "WEBSOCKET")
        host = self._headers.get("host", "")
        return is_foreign(method, self._headers.get("origin"), host, self._rules.public_url)

    @property
    def too_large(self) -> bool:
        length = self._headers.get("content-length", "0")
        return length.isdigit() and int(length) > self._rules.max_body

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._taken += len(message.get("body", b""))
            if self._taken > self._rules.max_body:
                raise HTTPException(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {self._rules.max_body} bytes"
                )
        return message

    def begins_stream(self, message: Message) -> bool:
        kind = Headers(raw=message.get("headers", [])).get("content-type", "")
        return kind.startswith("text/event-stream")

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = secured(self._scope["path"], message.get("headers", ()), secure=self._rules.secure)
            message = {**message, "headers": headers}
        elif message["type"] == "http.response.body":
            self.ended = not message.get("more_body", False)
        await self._send(message)

    async def refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer with a problem (RFC 9457); a WebSocket is not accepted, which its client sees as 403."""
        if self._scope["type"] == "websocket":
            await self._receive()
            await self._send({"type": "websocket.close", "code": 1008})
            return
        if self._scope["path"].startswith(API):
            name = status.phrase.lower().replace(" ", "-")
            value = {
                "type": f"urn:marchproxy:problem:{name}",
                "title": status.phrase,
                "status": status.value,
                "detail": detail,
            }
            body, kind = json.dumps(value).encode(), b"application/problem+json"
        else:
            body, kind = f"{status.phrase}: {detail}\n".encode(), b"text/plain; charset=utf-8"
        headers = [
            (b"content-type", kind),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        await self.send({"type": "http.response.start", "status": status.value, "headers": headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": True})
        await self._let_it_end()
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _let_it_end(self) -> None:
        # closing on unread bytes resets the connection, and the client would never read why (RFC 9112 §9.6)
        with suppress(TimeoutError):
            async with asyncio.timeout(_PARTING_SECONDS):
                while (await self._receive()).get("more_body", False):
                    pass
