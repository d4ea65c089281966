"""Desk: where a worker takes clients over from the others of its instance.

The socket of a client comes by SCM_RIGHTS (unix(7)); one that talks TLS is piped by the worker that accepted it. A client is
either taken, which is said, or it stays whose it was: both sides know which.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.modules.rtmp.handing.handed import PREFIX, Garbled, Handed, length_of, read_who

_log = get_logger(__name__)
_BACKLOG = 256
_HEAR_SECONDS = 2.0
_PAUSE_SECONDS = 0.1
#: What is said of a client that was taken.
TAKEN: Final = b"\1"

#: Is given a client, what it has said, and its socket or the one by which it is piped. Must not block.
Take = Callable[[Handed, bytes, socket.socket], None]


def place_of(folder: Path, worker: int) -> Path:
    """The socket of a worker's desk."""
    return folder / f"{worker}.hand"


class HandingDesk:
    """The desk of worker `index` in the folder of all of them. `group` owns what is under way."""

    def __init__(
        self, folder: Path, index: int, take: Take, *, group: asyncio.TaskGroup, clock: Clock
    ) -> None:
        self._path = place_of(folder, index)
        self._take = take
        self._group = group
        self._clock = clock
        self._listening: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Take clients over, instead of whoever had the number before; a second time is no news. Raises OSError."""
        if self._listening is not None:
            return
        self._path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            listening.bind(bytes(self._path))
            listening.listen(_BACKLOG)
        except BaseException:
            listening.close()
            raise
        self._listening = self._group.create_task(self._listen(listening))
        self._listening.add_done_callback(lambda _: listening.close())

    def close(self) -> None:
        """Take nobody over any more. The file stays: it may be a successor's by now."""
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None

    async def _listen(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                line, _ = await loop.sock_accept(listening)
            except OSError as error:
                _log.error("no client can be taken over now", reason=error.strerror or str(error))
                await self._clock.sleep(_PAUSE_SECONDS)
                continue
            task = self._group.create_task(self._hear(line))
            task.add_done_callback(partial(_closed, line))

    async def _hear(self, line: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with ExitStack() as stack:
            stack.callback(line.close)
            try:
                async with asyncio.timeout(_HEAR_SECONDS):
                    prefix, client = await _prefix(line, stack)
                    handed = read_who(await _exactly(line, length_of(prefix)))
                    recorded = await _exactly(line, handed.size)
                    if handed.piped == (client is not None):
                        raise Garbled("a socket where none belongs, or none where one does")
                    await loop.sock_sendall(line, TAKEN)
            except (OSError, EOFError, Garbled, TimeoutError) as error:
                _log.warning("a client could not be taken over", reason=str(error) or repr(error))
                return
            stack.pop_all()
        if client is not None:
            line.close()
        self._take(handed, recorded, client or line)


async def _prefix(line: socket.socket, stack: ExitStack) -> tuple[bytes, socket.socket | None]:
    """The first bytes, and the socket that came with them, which the stack closes."""
    loop = asyncio.get_running_loop()
    readable = loop.create_future()
    loop.add_reader(line, _wake, readable)
    try:
        await readable
    finally:
        loop.remove_reader(line)
    data, descriptors, _, _ = socket.recv_fds(line, PREFIX, 1)
    client = socket.socket(fileno=descriptors[0]) if descriptors else None
    if client is not None:
        stack.callback(client.close)
        client.settimeout(0)
    if len(data) < PREFIX:
        raise EOFError("hung up in the middle")
    return data, client


def _closed(line: socket.socket, task: asyncio.Task[None]) -> None:
    if task.cancelled():  # perhaps before it began
        line.close()


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


async def _exactly(line: socket.socket, size: int) -> bytes:
    loop, data = asyncio.get_running_loop(), bytearray()
    while len(data) < size:
        more = await loop.sock_recv(line, size - len(data))
        if not more:
            raise EOFError("hung up in the middle")
        data += more
    return bytes(data)
