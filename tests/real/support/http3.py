"""An HTTP/3 client; `python -m tests.real.support.http3 ADDRESS PORT NAME CA PATH` asks once, where it is run."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aioquic.asyncio import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, QuicEvent, StreamReset

from tests.authority import Issued


@dataclass
class Answer:
    """What came back; `reset` is the error code of a stream that was reset, or None."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    reset: int | None = None

    @property
    def status(self) -> int:
        return int(self.headers.get(":status", 0))


class Http3(QuicConnectionProtocol):
    """One connection, any number of requests at once."""

    def __init__(self, *arguments, **options) -> None:
        super().__init__(*arguments, **options)
        self._http = H3Connection(self._quic)
        self._answers: dict[int, Answer] = {}
        self._ended: dict[int, asyncio.Event] = {}
        self.closed: ConnectionTerminated | None = None

    async def ask(
        self, path: str, *, host: str, method: str = "GET", body: bytes = b"", **headers: str
    ) -> Answer:
        """Send a request and wait for the whole answer."""
        stream = self._quic.get_next_available_stream_id()
        answer = self._answers[stream] = Answer()
        ended = self._ended[stream] = asyncio.Event()
        pseudo = {":method": method, ":scheme": "https", ":authority": host, ":path": path}
        lines = [(name.encode(), value.encode()) for name, value in {**pseudo, **headers}.items()]
        self._http.send_headers(stream, lines, end_stream=not body)
        if body:
            self._http.send_data(stream, body, end_stream=True)
        self.transmit()
        async with asyncio.timeout(20):
            await ended.wait()
        if self.closed is not None and not answer.headers:
            raise ConnectionError(self.closed.reason_phrase or f"QUIC error {self.closed.error_code:#x}")
        return answer

    def quic_event_received(self, event: QuicEvent) -> None:
        """Take in what arrived."""
        if isinstance(event, StreamReset) and event.stream_id in self._ended:
            self._answers[event.stream_id].reset = event.error_code
            self._ended[event.stream_id].set()
        if isinstance(event, ConnectionTerminated):
            self.closed = event
            for ended in self._ended.values():
                ended.set()
        for found in self._http.handle_event(event):
            self._heard(found)

    def _heard(self, event: H3Event) -> None:
        if isinstance(event, HeadersReceived):
            lines = {name.decode(): value.decode() for name, value in event.headers}
            self._answers[event.stream_id].headers.update(lines)
        elif isinstance(event, DataReceived):
            self._answers[event.stream_id].body += event.data
        if isinstance(event, HeadersReceived | DataReceived) and event.stream_ended:
            self._ended[event.stream_id].set()


@asynccontextmanager
async def http3(
    port: int, name: str, ca: Path, *, address: str = "127.0.0.1", shown: Issued | None = None
) -> AsyncIterator[Http3]:
    """A connection to a server that must prove to be `name`. Raises ConnectionError when there is none.

    `shown`: the client's own certificate.
    """
    configuration = QuicConfiguration(
        is_client=True, alpn_protocols=H3_ALPN, server_name=name, cafile=str(ca), idle_timeout=20.0
    )
    if shown is not None:
        configuration.load_cert_chain(shown.certificate, shown.key)
    async with asyncio.timeout(60):
        async with connect(address, port, configuration=configuration, create_protocol=Http3) as client:
            yield client


async def _main(address: str, port: str, name: str, ca: str, path: str) -> None:
    async with http3(int(port), name, Path(ca), address=address) as client:
        answer = await client.ask(path, host=name)
    sys.stdout.write(f"{answer.status} {answer.body.decode()}")


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
