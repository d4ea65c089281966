"""A load client: a few keep-alive connections, each with one request under way; counts every answer."""

import asyncio
import ssl
import time
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import httptools

from marchproxy.kit.settings import HostPort

_PATIENCE = 15.0
_MOST_FAILURES = 1000
_MOST_COMPLAINTS = 10
_LONGEST_COMPLAINT = 200


@dataclass(frozen=True, slots=True)
class Bounds:
    """When a load ends: after so many requests, or so many seconds, whichever is first."""

    requests: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What came back. `latencies` in milliseconds, sorted; `broken` counts requests without an answer, by reason.

    `last_refusal` holds the headers of the last 429, `complaints` counts other refusals by status and text.
    """

    seconds: float
    statuses: Mapping[int, int]
    versions: Mapping[str, int]
    broken: Mapping[str, int]
    latencies: "array[float]"
    last_refusal: Mapping[str, str] = field(default_factory=dict)
    complaints: Mapping[str, int] = field(default_factory=dict)

    @property
    def answered(self) -> int:
        """Requests that were answered, whatever the answer."""
        return sum(self.statuses.values())

    @property
    def failed(self) -> int:
        """Requests without an answer, or with one that is neither 2xx nor 429."""
        bad = sum(count for status, count in self.statuses.items() if status // 100 != 2 and status != 429)
        return bad + sum(self.broken.values())

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answered / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """The latency in milliseconds that `share` (0..1) of the answers kept to; 0 without answers."""
        if not self.latencies:
            return 0.0
        return self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))]

    def percent(self, version: str) -> float:
        """Percent of the answers that this version gave."""
        total = sum(self.versions.values())
        return 100.0 * self.versions.get(version, 0) / total if total else 0.0


async def run_load(
    address: HostPort,
    bounds: Bounds,
    *,
    path: str = "/",
    connections: int = 16,
    tls: ssl.SSLContext | None = None,
) -> LoadResult:
    """Send requests until a bound is reached. Never raises for what the server does; it is counted."""
    load = _Load(address, bounds, path, tls)
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(load.work())
    return load.result(time.perf_counter() - started)


class _Load:
    """What the connections of one load share."""

    def __init__(
        self, address: HostPort, bounds: Bounds, path: str, tls: ssl.SSLContext | None = None
    ) -> None:
        self.request = (
            f"GET {path} HTTP/1.1\r\nhost: {address}\r\nuser-agent: marchproxy-demo\r\n\r\n".encode()
        )
        self._address = address
        self._tls = tls
        self._left = bounds.requests
        self._until = None if bounds.seconds is None else time.perf_counter() + bounds.seconds
        self._statuses: Counter[int] = Counter()
        self._versions: Counter[str] = Counter()
        self._broken: Counter[str] = Counter()
        self._latencies = array("d")
        self._refusal: Mapping[str, str] = {}
        self._complaints: Counter[str] = Counter()

    def take(self) -> bool:
        """Take one request out of the budget; False when there is none left."""
        if self._until is not None and time.perf_counter() >= self._until:
            return False
        if self._left is None:
            return True
        self._left -= 1
        return self._left >= 0

    def answered(self, status: int, headers: Mapping[str, str], body: bytes, seconds: float) -> None:
        self._statuses[status] += 1
        self._latencies.append(seconds * 1000.0)
        if status == 200:
            self._versions[headers.get("x-version", "?")] += 1
        elif status == 429:
            self._refusal = headers
        elif len(self._complaints) < _MOST_COMPLAINTS:
            self._complaints[f"{status} {body[:_LONGEST_COMPLAINT].decode(errors='replace')}".strip()] += 1

    def broke(self, reason: str) -> None:
        self._broken[reason] += 1

    async def work(self) -> None:
        """One connection after another, until the budget is used up."""
        loop = asyncio.get_running_loop()
        going_on = True
        while going_on and self._broken.total() < _MOST_FAILURES:
            done: asyncio.Future[bool] = loop.create_future()
            transport = None
            try:
                async with asyncio.timeout(_PATIENCE) as patience:
                    transport, _ = await loop.create_connection(
                        lambda done=done, patience=patience: _Connection(self, done, patience),
                        self._address.host,
                        self._address.port,
                        ssl=self._tls,
                    )
                    going_on = await done
            except TimeoutError:
                self.broke("no answer")
            except OSError as error:
                going_on = self.take()
                self.broke(error.strerror or str(error))
            finally:
                if transport is not None:
                    transport.close()

    def result(self, seconds: float) -> LoadResult:
        return LoadResult(
            seconds=seconds,
            statuses=dict(self._statuses),
            versions=dict(self._versions),
            broken=dict(self._broken),
            latencies=array("d", sorted(self._latencies)),
            last_refusal=self._refusal,
            complaints=dict(self._complaints),
        )


class _Connection(asyncio.Protocol):
    """One connection. `done` gets whether there is more to send on another one."""

    def __init__(self, load: _Load, done: "asyncio.Future[bool]", patience: asyncio.Timeout) -> None:
        self._load = load
        self._done = done
        self._patience = patience
        self._waiting = False
        self._sent = 0.0
        self._headers: dict[str, str] = {}
        self._body = b""
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._next()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._end(f"no HTTP: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        self._end(str(error) if error else "closed by the server")

    def on_message_begin(self) -> None:
        self._headers = {}
        self._body = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        if len(self._body) < _LONGEST_COMPLAINT:
            self._body += body

    def on_message_complete(self) -> None:
        self._waiting = False
        seconds = time.perf_counter() - self._sent
        self._load.answered(self._parser.get_status_code(), self._headers, self._body, seconds)
        if self._parser.should_keep_alive():
            self._next()
        elif not self._done.done():
            self._done.set_result(True)

    def _next(self) -> None:
        if self._done.done() or self._transport is None:
            return
        if not self._load.take():
            self._done.set_result(False)
            return
        self._sent = time.perf_counter()
        self._waiting = True
        self._patience.reschedule(asyncio.get_running_loop().time() + _PATIENCE)
        self._transport.write(self._load.request)

    def _end(self, reason: str) -> None:
        if self._done.done():
            return
        if self._waiting:
            self._load.broke(reason)
        self._done.set_result(True)
