"""Desk: where a worker takes clients over from the others of its instance, and by which it gives them away.

The socket of a client goes by SCM_RIGHTS (unix(7)); one that talks TLS is piped by the worker that accepted it.
"""

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.modules.rtmp.handing.handed import PREFIX, Garbled, Handed, encode, length_of, read_who

_log = get_logger(__name__)
_BACKLOG = 256
_TAKEN: Final = b"\1"
_STEP_SECONDS = 2.0
_POLL_SECONDS = 0.1
#: How long a client waits for a worker that is being started again.
PATIENCE_SECONDS: Final = 5.0

#: Is given a client, what it has said, and its socket or the one by which it is piped. Must not block.
Take = Callable[[Handed, bytes, socket.socket], None]


class HandingDesk:
    """The desk of worker `index` in the folder of all of them. `group` owns what is under way."""

    def __init__(
        self, folder: Path, index: int, take: Take, *, group: asyncio.TaskGroup, clock: Clock
    ) -> None:
        self._folder = folder
        self._index = index
        self._take = take
        self._group = group
        self._clock = clock
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Take clients over, instead of whoever had the number before. Raises OSError."""
        path = self._place(self._index)
        path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            listening.bind(bytes(path))
            listening.listen(_BACKLOG)
        except BaseException:
            listening.close()
            raise
        self._socket = listening
        asyncio.get_running_loop().add_reader(listening, self._accept)

    def close(self) -> None:
        """Take nobody over any more. The file stays: it may be a successor's by now."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    async def give(
        self, worker: int, handed: Handed, recorded: bytes, client: socket.socket | None
    ) -> socket.socket | None:
        """Give a client away; without its socket it is piped, by the socket that is returned, which does not block.

        Raises OSError, TimeoutError, after trying for PATIENCE_SECONDS: nobody has it then.
        """
        deadline = self._clock.monotonic() + PATIENCE_SECONDS
        message = encode(handed, recorded)
        while True:
            try:
                return await self._try(worker, message, client)
            except (ConnectionRefusedError, FileNotFoundError):
                if self._clock.monotonic() >= deadline:
                    raise
                await self._clock.sleep(_POLL_SECONDS)

    async def _try(self, worker: int, message: bytes, client: socket.socket | None) -> socket.socket | None:
        loop = asyncio.get_running_loop()
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            async with asyncio.timeout(_STEP_SECONDS):
                await loop.sock_connect(line, bytes(self._place(worker)))
                descriptors = [] if client is None else [client.fileno()]
                sent = socket.send_fds(line, [message[:PREFIX]], descriptors)
                await loop.sock_sendall(line, message[sent:])
                if await loop.sock_recv(line, len(_TAKEN)) != _TAKEN:
                    raise ConnectionAbortedError("the other worker does not take the client")
        except BaseException:
            line.close()
            raise
        if client is None:
            return line
        line.close()
        return None

    def _accept(self) -> None:
        if self._socket is None:
            return
        try:
            line, _ = self._socket.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            _log.error("a client cannot be taken over", reason=error.strerror or str(error))
            return
        line.setblocking(False)
        task = self._group.create_task(self._hear(line))
        task.add_done_callback(partial(_closed, line))

    async def _hear(self, line: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        client: socket.socket | None = None
        try:
            async with asyncio.timeout(_STEP_SECONDS):
                prefix, client = await _prefix(line)
                handed = read_who(await _exactly(line, length_of(prefix)))
                recorded = await _exactly(line, handed.size)
                if handed.piped == (client is not None):
                    raise Garbled("a socket where none belongs, or none where one does")
                await loop.sock_sendall(line, _TAKEN)
        except (OSError, EOFError, Garbled, TimeoutError) as error:
            if client is not None:
                client.close()
            line.close()
            _log.warning("a client could not be taken over", reason=str(error) or repr(error))
            return
        if client is not None:
            line.close()
        self._take(handed, recorded, client or line)

    def _place(self, worker: int) -> Path:
        return self._folder / f"{worker}.hand"


async def _prefix(line: socket.socket) -> tuple[bytes, socket.socket | None]:
    """The first bytes, and the socket that came with them."""
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
        client.setblocking(False)
    if len(data) < PREFIX:
        if client is not None:
            client.close()
        raise EOFError("hung up in the middle")
    return data, client


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


def _closed(line: socket.socket, task: asyncio.Task[None]) -> None:
    if task.cancelled():
        line.close()
