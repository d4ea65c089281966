"""A connection: HTTP/1.1 in front of an engine, one request after the other."""

import asyncio
import json
import socket
import struct
from typing import Any

import httptools

from tests.real.support.engine_simulator import asked as asking
from tests.real.support.engine_simulator.engine import Engine
from tests.real.support.engine_simulator.sequence import Sequence
from tests.real.support.engine_simulator.shapes import SHAPES

_NO_LINGER = struct.pack("ii", 1, 0)
_PHRASES = {
    200: b"OK",
    400: b"Bad Request",
    401: b"Unauthorized",
    404: b"Not Found",
    429: b"Too Many Requests",
}


class Connection(asyncio.Protocol):
    """Of one client: in production, an Envoy or a relay."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._parser = httptools.HttpRequestParser(self)
        self._sequence: Sequence | None = None
        self._url = b""
        self._fields: dict[str, str] = {}
        self._body: list[bytes] = []

    # --- asyncio

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._answer(400, {"error": {"message": "no HTTP", "type": "BadRequestError"}})
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._sequence is not None:
            self._sequence.gone()

    def pause_writing(self) -> None:
        if self._sequence is not None:
            self._sequence.pause()

    def resume_writing(self) -> None:
        if self._sequence is not None:
            self._sequence.resume()

    # --- httptools

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields[name.decode().lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        path, fields, body = self._url.decode().partition("?")[0], self._fields, b"".join(self._body)
        self._url, self._fields, self._body = b"", {}, []
        if self._parser.get_method() == b"POST" and path != "/control":
            self._generate(path, fields, body)
        else:
            self._tell(path, fields, body)

    # --- what a sequence writes to

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def reset(self) -> None:
        """What was written before still goes out, where the kernel takes it at once."""
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._transport.abort()

    def close(self) -> None:
        self._transport.close()

    def ended(self) -> None:
        self._sequence = None

    def refuse(self, status: int) -> None:
        self._sequence = None
        words = f"the engine was told to answer {status}"
        self._answer(status, {"error": {"message": words, "type": "SimulatedError", "code": status}})

    # --- requests

    def _tell(self, path: str, fields: dict[str, str], body: bytes) -> None:
        engine = self._engine
        match path:
            case "/metrics":
                self._send(200, engine.metrics(), b"text/plain; version=0.0.4")
            case "/counts":
                self._answer(200, engine.records.counts())
            case "/control":
                try:
                    engine.control(json.loads(body))
                    self._answer(200, {})
                except (KeyError, ValueError) as error:
                    self._answer(400, {"error": {"message": repr(error)}})
            case "/health":
                self._answer(200, {})
            case "/v1/models" if not self._may(fields):
                self._answer(401, {"error": {"message": "not this key", "type": "AuthenticationError"}})
            case "/v1/models":
                model = {"id": engine.behaviour.model, "object": "model", "created": 1, "owned_by": "sim"}
                self._answer(200, {"object": "list", "data": [model]})
            case _:
                self._answer(404, {"error": {"message": f"no {path}", "type": "NotFoundError"}})

    def _may(self, fields: dict[str, str]) -> bool:
        return self._engine.behaviour.key in {"", _shown(fields).removeprefix("Bearer ")}

    def _generate(self, path: str, fields: dict[str, str], body: bytes) -> None:
        engine = self._engine
        operation = next((each for each in asking.OPERATIONS if path.endswith(each)), None)
        if operation is None:
            self._answer(404, {"error": {"message": f"no {path}", "type": "NotFoundError"}})
            return
        if not self._may(fields):
            engine.records.failed += 1
            self._answer(401, {"error": {"message": "not this key", "type": "AuthenticationError"}})
            return
        try:
            asked = asking.read(operation, json.loads(body), engine.behaviour.default_tokens)
            fault = engine.fault_of(asked.model)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            engine.records.failed += 1
            self._answer(400, {"error": {"message": f"bad request: {error!r}", "type": "BadRequestError"}})
            return
        if operation == asking.COUNT_TOKENS:
            self._answer(200, {"input_tokens": asked.prompt_tokens})
            return
        cached = engine.cache.take(asked.prompt) // asking.BYTES_PER_TOKEN
        record = engine.record(asked, fields.get("x-request-id", ""), _shown(fields), cached)
        shape = SHAPES[operation](asked, engine.number(), cached)
        shape.stamped = bool(engine.behaviour.stamp)
        self._sequence = Sequence(engine, asked, shape, record, self, fault=fault)
        engine.queue(self._sequence, asked.prompt)

    def _answer(self, status: int, value: Any) -> None:
        self._send(status, json.dumps(value).encode(), b"application/json")

    def _send(self, status: int, body: bytes, kind: bytes) -> None:
        head = b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n"
        self._transport.write(head % (status, _PHRASES.get(status, b"Said"), kind, len(body)) + body)


def _shown(fields: dict[str, str]) -> str:
    """The credential."""
    return fields.get("authorization") or fields.get("x-api-key") or ""
