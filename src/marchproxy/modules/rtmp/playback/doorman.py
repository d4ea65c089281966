"""Doorman: HTTP connections of viewers, and which of them have had their time. aiohttp itself waits for ever for a request."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from marchproxy.kit.clock import Clock
from marchproxy.modules.reception.client import Arrival

Handler: TypeAlias = Callable[[web.BaseRequest, Arrival], Awaitable[web.StreamResponse]]

#: Seconds that a viewer may take to ask for something (else), and to take what it asked for.
IDLE_SECONDS, REPLY_SECONDS = 75.0, 120.0
_MOST_HEADERS = 8190


@dataclass(slots=True)
class _Visit:
    arrival: Arrival
    since: float
    busy: bool = False


class Doorman:
    """All connections of a process."""

    def __init__(self, handler: Handler, *, clock: Clock) -> None:
        self._handler = handler
        self._clock = clock
        self._visits: dict[RequestHandler, _Visit] = {}
        self._closing = False
        self._server = web.Server(
            self._answer,
            access_log=None,
            keepalive_timeout=IDLE_SECONDS,
            max_line_size=_MOST_HEADERS,
            max_field_size=_MOST_HEADERS,
        )

    def __len__(self) -> int:
        return len(self._server.connections)

    def accept(self, arrival: Arrival) -> RequestHandler:
        """The protocol of a viewer that has just connected."""
        protocol = self._server()
        self._visits[protocol] = _Visit(arrival, self._clock.monotonic())
        return protocol

    def sweep(self) -> None:
        """Close those that have had their time; call it about once a second."""
        now, open_ones = self._clock.monotonic(), set(self._server.connections)
        for protocol, visit in list(self._visits.items()):
            late = now - visit.since > (REPLY_SECONDS if visit.busy else IDLE_SECONDS)
            if protocol not in open_ones:
                del self._visits[protocol]
            elif late or (self._closing and not visit.busy):
                self._abort(protocol)

    def close_idle(self) -> None:
        """Let viewers go: at once where they ask for nothing, else with the next reply."""
        self._closing = True
        self.sweep()

    def abort(self) -> None:
        """Close everything now."""
        for protocol in list(self._visits):
            self._abort(protocol)

    def _abort(self, protocol: RequestHandler) -> None:
        self._visits.pop(protocol, None)
        if protocol.transport is not None:
            protocol.transport.abort()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        visit = self._visits.get(request.protocol)
        if visit is None:
            raise web.HTTPServiceUnavailable
        visit.since, visit.busy = self._clock.monotonic(), True
        try:
            response = await self._handler(request, visit.arrival)
            if self._closing:
                response.force_close()
            await response.prepare(request)
            await response.write_eof()  # here, and not by aiohttp, so that it is known when the viewer has it
        finally:
            visit.since, visit.busy = self._clock.monotonic(), False
        return response
