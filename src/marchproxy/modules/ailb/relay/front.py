"""Front: a connection of Envoy's, HTTP/2 over a Unix socket; what all its streams say in a turn goes out in one write."""

import asyncio
from collections.abc import Sequence
from typing import cast

from marchproxy.kit.logs import get_logger
from marchproxy.model.ai import Dialect
from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.dialects.failure import Failure, Reason
from marchproxy.modules.ailb.relay.exchange import Exchange
from marchproxy.modules.ailb.relay.heard import Unheard, hear
from marchproxy.modules.ailb.relay.office import Office
from marchproxy.modules.ailb.relay.outgoing import misunderstood
from marchproxy.modules.ailb.relay.side import Question
from marchproxy.wire.http2.events import Cancelled, Drained, Event, Requested
from marchproxy.wire.http2.frames import Code, Http2Fault
from marchproxy.wire.http2.outflow import Outflow
from marchproxy.wire.http2.server import Limits, Server

_log = get_logger(__name__)
_HIGH_WATER = 1024 * 1024
_REQUEST_ID = asking.REQUEST_ID.encode()
_JSON = (b"content-type", b"application/json")


class Front(asyncio.Protocol):
    """One connection; the streams are exchanges."""

    def __init__(self, office: Office, limits: Limits, fronts: set["Front"]) -> None:
        self._office = office
        self._limits = limits
        self._fronts = fronts
        self._loop = asyncio.get_running_loop()
        self._server: Server
        self._outflow: Outflow
        self._exchanges: dict[int, Exchange] = {}
        self._transport: asyncio.Transport | None = None
        self._full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(_HIGH_WATER)
        self._server = Server(self._limits, self._wake)
        self._outflow = self._server.outflow
        self._fronts.add(self)

    def data_received(self, data: bytes) -> None:
        """Do what Envoy asks."""
        try:
            events = self._server.receive(data)
        except Http2Fault as fault:
            _log.error("Envoy breaks HTTP/2", reason=str(fault), code=fault.code.name)
            self._flush()
            self.close()
            return
        for event in events:
            self._take(event)

    def pause_writing(self) -> None:
        """Envoy takes nothing: nobody is listened to, not even Envoy, who could go on asking."""
        self._full = True
        if self._transport is not None:
            self._transport.pause_reading()
        for exchange in self._exchanges.values():
            exchange.hold()

    def resume_writing(self) -> None:
        """Go on."""
        self._full = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
        for exchange in list(self._exchanges.values()):
            exchange.drained()

    def connection_lost(self, exc: Exception | None) -> None:
        """All its requests are given up."""
        del exc
        self._transport = None
        self._fronts.discard(self)
        for exchange in list(self._exchanges.values()):
            exchange.leave()

    def drain(self) -> None:
        """Take nothing new; close when all has ended."""
        self._server.close()
        if not self._exchanges:
            self._flush()
            self.close()

    def close(self) -> None:
        """Close."""
        if self._transport is not None:
            self._transport.close()

    def answer(self, stream: int, status: int, fields: list[tuple[bytes, bytes]]) -> None:
        """The head of an answer."""
        if self._transport is not None:
            self._server.answer(stream, status, fields)

    def send(self, stream: int, data: bytes) -> bool:
        """A part of an answer; whether there is room for more."""
        if self._transport is None:
            return False
        return self._outflow.data(stream, data) and not self._full

    def is_full(self, stream: int) -> bool:
        """Whether a stream is to be held."""
        return self._full or self._server.outflow.backlog(stream) > 0

    def end(self, stream: int, trailers: bytes) -> None:
        """An answer is whole."""
        if self._transport is not None:
            self._server.end(stream, trailers)

    def break_off(self, stream: int, words: bytes, trailers: bytes) -> None:
        """An answer that has begun ends with these words; empty: there are none, and it is broken."""
        if self._transport is None:
            return
        if words:
            self._server.outflow.data(stream, words)
            self._server.end(stream, trailers)
        else:
            self._server.abort(stream, Code.INTERNAL_ERROR)

    def tell(self, question: Question, failure: Failure, fields: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """An error in place of an answer."""
        dialect = question.heard.operation.dialect
        request_id = question.head.fields.get(_REQUEST_ID, b"").decode("latin-1")
        body = failure.body(dialect, request_id=request_id)
        self._say(question.stream, failure.status(dialect), body, fields)

    def let_go(self, stream: int) -> None:
        """The body of a request is needed no more."""
        self._server.let_go(stream)

    def over(self, stream: int) -> None:
        """An exchange has ended."""
        self._exchanges.pop(stream, None)
        if self._server.is_closing and not self._exchanges:
            self._flush()
            self.close()

    def _take(self, event: Event) -> None:
        match event:
            case Requested():
                self._begin(event)
            case Cancelled(stream):
                if (exchange := self._exchanges.pop(stream, None)) is not None:
                    exchange.leave()
            case Drained(stream):
                if (exchange := self._exchanges.get(stream)) is not None:
                    exchange.drained()

    def _begin(self, asked: Requested) -> None:
        try:
            heard = hear(asked.head.fields)
        except Unheard as error:
            _log.error("Envoy asks what is not understood", reason=str(error))
            self._say(asked.stream, 503, misunderstood().body(Dialect.OPENAI))
            return
        way = self._office.ways.pools.get(heard.pool)
        if way is None:
            failure = Failure(Reason.OVERLOADED, "the gateway does not know this pool yet: try again")
            dialect = heard.operation.dialect
            self._say(asked.stream, failure.status(dialect), failure.body(dialect))
            return
        exchange = Exchange(self._office, self, Question(asked.stream, asked.head, heard, way))
        self._exchanges[asked.stream] = exchange
        self._office.begun(exchange, heard)
        exchange.begin(asked.body)

    def _say(self, stream: int, status: int, body: bytes, fields: Sequence[tuple[bytes, bytes]] = ()) -> None:
        if self._transport is not None:
            self._server.answer(stream, status, [_JSON, *fields, (b"content-length", b"%d" % len(body))])
            self._server.outflow.data(stream, body)
            self._server.end(stream)

    def _wake(self) -> None:
        self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        data = self._server.outflow.take()
        if data and self._transport is not None:
            self._transport.write(data)
