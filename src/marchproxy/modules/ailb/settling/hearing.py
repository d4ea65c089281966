"""Hearing: where the ends of requests are reported: Envoy's access log service, and the lines of relays."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, cast

import grpc
from envoy.service.accesslog.v3 import als_pb2, als_pb2_grpc

from marchproxy.kit.logs import get_logger
from marchproxy.modules.ailb.settling.entries import Told, left_by, told_by
from marchproxy.modules.ailb.settling.report import LONGEST, Garbled, Report, decode

_log = get_logger(__name__)
#: Bytes of numbers that a relay has not taken yet.
_MOST_UNHEARD = 1024 * 1024


class Envoys(als_pb2_grpc.AccessLogServiceServicer):  # type: ignore[misc]  # its base has no types
    """Envoys that report. `heard`: is called with what each entry says; `left`: with the id of a request that has ended before
    Envoy was told what becomes of it."""

    def __init__(self, heard: Callable[[Told], None], left: Callable[[str], None]) -> None:
        self._heard = heard
        self._left = left

    async def StreamAccessLogs(  # noqa: N802 - gRPC's name
        self,
        request_iterator: AsyncIterator[Any],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> Any:
        """Hear one Envoy until it goes."""
        del context
        async for message in request_iterator:
            for entry in message.http_logs.log_entry:
                told = told_by(entry)
                if told is not None:
                    self._heard(told)
                elif request_id := left_by(entry):
                    self._left(request_id)
        return als_pb2.StreamAccessLogsResponse()


class RelayLines(asyncio.Protocol):
    """One relay that reports, in lines. It is told `first`, the first reservation that is known here, and then the number of each
    request of which it need not speak again.

    `heard` says whether a report was of any use. What is no report is counted by `garbled`; a line that does not end ends the relay's
    connection, since what follows it could be anything.
    """

    def __init__(
        self, first: int, heard: Callable[[Report, "RelayLines"], bool], garbled: Callable[[], None]
    ) -> None:
        self._first = first
        self._heard = heard
        self._garbled = garbled
        self._held = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self.tell([self._first])

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        del exc
        self._transport = None

    def tell(self, numbers: Iterable[int]) -> None:
        """These are written down, or of no use. A relay that does not listen is hung up on: it will speak of them again."""
        if self._transport is None:
            return
        self._transport.write(b"".join([b"%d\n" % number for number in numbers]))
        if self._transport.get_write_buffer_size() > _MOST_UNHEARD:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take the lines that are whole."""
        *lines, self._held = (self._held + data).split(b"\n")
        useless: list[int] = []
        for line in lines:
            try:
                report = decode(line)
                if not self._heard(report, self):
                    useless.append(report.number)
            except Garbled as error:
                self._garbled()
                _log.warning("a relay's report is none", reason=str(error)[:200])
        if useless:
            self.tell(useless)
        if len(self._held) > LONGEST and self._transport is not None:
            self._garbled()
            _log.warning("a relay's report does not end", bytes=len(self._held))
            self._held = b""
            self._transport.abort()
