"""Reports: how each request ended, told to the decider in lines of JSON over a Unix socket; see `settling.report`.

A decider that is away stops no stream: what it has not heard waits, up to a bound, and beyond that it settles by its deadline.
"""

import asyncio
from collections import deque
from pathlib import Path

from marchproxy.kit.backoff import Backoff
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.modules.ailb.settling.report import Report

_log = get_logger(__name__)
_MOST = 100_000
_AT_ONCE = 500
_CONNECT_SECONDS = 1.0
_PAUSES = Backoff(initial=0.05, maximum=1.0)
_MIDDLE = 0.5  # one relay or two: nothing to spread


class Reports:
    """Those that wait, and the line. `lost`: how many there was no room for."""

    def __init__(self, socket: Path, clock: Clock, *, most: int = _MOST) -> None:
        self.lost = 0
        self._socket = socket
        self._clock = clock
        self._most = most
        self._waiting: deque[Report] = deque()
        self._some = asyncio.Event()
        self._failures = 0  # in a row

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, report: Report) -> None:
        """Tell of one, soon."""
        if len(self._waiting) >= self._most:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(report)
        self._some.set()

    async def run(self) -> None:
        """Tell them, until cancelled."""
        while True:
            try:
                await self._tell()
            except OSError as error:
                self._failures += 1
                if self._failures == 1:
                    _log.warning("the decider hears of no ends", reason=str(error) or "no answer")
            await self._clock.sleep(_PAUSES.delay(self._failures, _MIDDLE))

    async def _tell(self) -> None:
        """Until the line breaks. Raises OSError."""
        async with asyncio.timeout(_CONNECT_SECONDS):
            reader, writer = await asyncio.open_unix_connection(str(self._socket))
        try:
            while True:
                await self._some.wait()
                if reader.at_eof():  # nothing is ever answered: it has gone
                    raise ConnectionResetError("the decider hung up")
                batch = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
                try:
                    writer.write(b"".join([report.encode() for report in batch]))
                    await writer.drain()
                except OSError:
                    self._waiting.extendleft(reversed(batch))
                    raise
                self._failures = 0
                if not self._waiting:
                    self._some.clear()
        finally:
            writer.close()
