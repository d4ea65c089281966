"""Reports: how each request ended, told to the decider in lines of JSON over a Unix socket; see `settling.report`.

The decider says first which reservations are its own, and then which of them it has written down: a line with a number each. What
it has not written down is told again, to its successor if it died, with all that is under way: limits are to hold for that, too. A decider that is away stops no stream: up to a bound reports
wait for it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from marchproxy.kit.backoff import Backoff
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.modules.ailb.settling.report import Report

_log = get_logger(__name__)
_MOST = 100_000
_AT_ONCE = 500
_READ = 64 * 1024
_CONNECT_SECONDS = 1.0
_PAUSES = Backoff(initial=0.05, maximum=0.2)  # a decider that takes over waits for nobody
_MIDDLE = 0.5  # one relay or two: nothing to spread


class Reports:
    """Those that are not written down, and the line. `lost`: how many there was no room for."""

    def __init__(self, socket: Path, clock: Clock, *, most: int = _MOST) -> None:
        self.lost = 0
        self.going: Callable[[int], Iterable[Report]] = _nothing
        """Is asked for what is under way of a decider before the one whose first reservation this is."""
        self._socket = socket
        self._clock = clock
        self._most = most
        self._open: dict[int, Report] = {}  # of each request what was said last
        self._unsaid: deque[Report] = deque(maxlen=most)  # to this decider
        self._some = asyncio.Event()
        self._failures = 0  # in a row

    def __len__(self) -> int:
        return len(self._open)

    def put(self, report: Report) -> None:
        """Tell of one, soon."""
        self._open.pop(report.number, None)
        if len(self._open) >= self._most:
            del self._open[next(iter(self._open))]
            self.lost += 1
        self._open[report.number] = report
        self._unsaid.append(report)
        self._some.set()

    async def run(self) -> None:
        """Tell them, until cancelled."""
        while True:
            try:
                await self._tell()
            except* OSError as errors:
                self._failures += 1
                if self._failures == 1:
                    reason = str(errors.exceptions[0]) or "no answer"
                    _log.warning("the decider hears of no ends", reason=reason)
            await self._clock.sleep(_PAUSES.delay(self._failures, _MIDDLE))

    async def _tell(self) -> None:
        """Until the line breaks. Raises OSError, alone or in a group."""
        async with asyncio.timeout(_CONNECT_SECONDS):
            reader, writer = await asyncio.open_unix_connection(str(self._socket))
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                first = await _first(reader)
            self._failures = 0
            self._unsaid = deque((*self.going(first), *self._open.values()), maxlen=self._most)
            self._some.set()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._say(writer, first))
                group.create_task(self._hear(reader))
        finally:
            writer.close()

    async def _say(self, writer: asyncio.StreamWriter, first: int) -> None:
        while True:
            await self._some.wait()
            if writer.is_closing():  # uvloop's error would be another one
                raise ConnectionResetError("the decider hung up")
            batch = [self._unsaid.popleft() for _ in range(min(_AT_ONCE, len(self._unsaid)))]
            writer.write(b"".join([report.encode(whole=report.number < first) for report in batch]))
            await writer.drain()
            if not self._unsaid:
                self._some.clear()

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        held = b""
        while data := await reader.read(_READ):
            *lines, held = (held + data).split(b"\n")
            for line in lines:
                self._open.pop(_number(line), None)
        raise ConnectionResetError("the decider hung up")


def _nothing(_: int) -> Iterable[Report]:
    return ()


async def _first(reader: asyncio.StreamReader) -> int:
    """What the decider says first. Raises ConnectionResetError."""
    try:
        return _number(await reader.readuntil(b"\n"))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise ConnectionResetError("the decider hung up, or says nothing that is understood") from error


def _number(line: bytes) -> int:
    """Raises ConnectionResetError: it is none, so nobody knows what follows it."""
    try:
        return int(line)
    except ValueError as error:
        raise ConnectionResetError(f"the decider says {line[:40]!r}, which is no number") from error
