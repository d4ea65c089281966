"""Load over keep-alive connections. Everything that is not a whole answer is a failure, and is remembered."""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial


@dataclass
class Tally:
    """What came of it: answers by (status, body), and failures in words."""

    answers: Counter[tuple[int, str]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.answers.total()

    def bad(self) -> list[str]:
        """Failures, and answers other than 200."""
        return [*self.failures, *(f"{status} {body}" for status, body in self.answers if status != 200)]

    def share(self, body: str) -> float:
        """The percentage of answers with this body."""
        return (
            100 * sum(count for (_, text), count in self.answers.items() if text == body) / max(1, self.total)
        )

    async def more(self, count: int, within: float = 20) -> None:
        """Wait for so many further answers."""
        wanted = self.total + count
        async with asyncio.timeout(within):
            while self.total < wanted:
                await asyncio.sleep(0.005)

    def clear(self) -> None:
        self.answers.clear()
        self.failures.clear()


@asynccontextmanager
async def load(
    port: int,
    *,
    host: str = "web.test",
    path: str = "/",
    connections: int = 4,
    pause: float = 0.0,
    keep_alive: bool = True,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Tally]:
    """Ask without end while the block runs, each connection with `pause` seconds in between.

    Without `keep_alive` every request has a connection of its own. With `tls` the host must be in the certificate.
    """
    tally, stop = Tally(), asyncio.Event()
    close = "" if keep_alive else "connection: close\r\n"
    request = f"GET {path} HTTP/1.1\r\nhost: {host}\r\n{close}\r\n".encode()
    secure = {"ssl": tls, "server_hostname": host} if tls is not None else {}
    dial = partial(asyncio.open_connection, "127.0.0.1", port, **secure)
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(_ask(dial, request, tally, stop, pause))
        try:
            yield tally
        finally:
            stop.set()


async def ask(port: int, times: int, *, host: str = "web.test", path: str = "/") -> Tally:
    """Ask so often, over one connection."""
    tally = Tally()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for _ in range(times):
            writer.write(f"GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
            await _read(reader, tally)
    finally:
        writer.close()
    return tally


async def _ask(dial: Callable, request: bytes, tally: Tally, stop: asyncio.Event, pause: float) -> None:
    while not stop.is_set():
        try:
            reader, writer = await dial()
        except OSError as error:
            tally.failures.append(f"connect: {error}")
            await asyncio.sleep(0.01)
            continue
        try:
            async with asyncio.timeout(None) as limit:
                while not stop.is_set():
                    limit.reschedule(asyncio.get_running_loop().time() + 10)
                    writer.write(request)
                    if not await _read(reader, tally):
                        break
                    await asyncio.sleep(pause)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            tally.failures.append(f"{type(error).__name__}: {error}")
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader, tally: Tally) -> bool:
    """Read one answer; whether the connection stays open."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.partition("content-length: ")[2].partition("\r\n")[0] or 0)
    body = (await reader.readexactly(length)).decode()
    tally.answers[int(head.split(" ", 2)[1]), body] += 1
    return "connection: close" not in head
