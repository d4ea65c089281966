"""Giving: a client goes to the worker that has its stream, whose desk it waits for while that is started again."""

import asyncio
import socket
from pathlib import Path
from typing import Final

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.modules.rtmp.handing.desk import TAKEN, place_of
from marchproxy.modules.rtmp.handing.handed import PREFIX, Handed, encode

_log = get_logger(__name__)
_STEP_SECONDS = 2.0
_PAUSE_SECONDS, _LONGEST_PAUSE = 0.05, 0.4
#: How long a client waits for a worker that is being started again.
PATIENCE_SECONDS: Final = 5.0


class Giver:
    """Gives clients to the workers whose desks are in a folder."""

    def __init__(self, folder: Path, *, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    async def give(self, worker: int, handed: Handed, recorded: bytes, client: socket.socket) -> None:
        """Give a client away; it is the other worker's when this returns, and still ours when it raises.

        Raises OSError, TimeoutError, after trying for PATIENCE_SECONDS.
        """
        line = await self._tried(worker, encode(handed, recorded), client)
        line.close()

    async def pipe(self, worker: int, handed: Handed, recorded: bytes) -> socket.socket:
        """A socket, which does not block, by which a client is piped to the other worker. Raises as `give` does."""
        return await self._tried(worker, encode(handed, recorded), None)

    async def _tried(self, worker: int, message: bytes, client: socket.socket | None) -> socket.socket:
        deadline, pause = self._clock.monotonic() + PATIENCE_SECONDS, _PAUSE_SECONDS
        while True:
            try:
                return await self._once(worker, message, client)
            except (OSError, TimeoutError) as error:
                if self._clock.monotonic() >= deadline:
                    raise
                _log.debug("a worker does not take a client yet", worker=worker, reason=repr(error))
                await self._clock.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def _once(self, worker: int, message: bytes, client: socket.socket | None) -> socket.socket:
        """The connection by which it was taken. Raises OSError, TimeoutError: it was not."""
        loop = asyncio.get_running_loop()
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            try:
                async with asyncio.timeout(_STEP_SECONDS):
                    await loop.sock_connect(line, bytes(place_of(self._folder, worker)))
                    descriptors = [] if client is None else [client.fileno()]
                    sent = socket.send_fds(line, [message[:PREFIX]], descriptors)
                    await loop.sock_sendall(line, message[sent:])
                    said = await loop.sock_recv(line, len(TAKEN))
            except TimeoutError:
                if not _was_taken(line):
                    raise
                said = TAKEN
            if said != TAKEN:
                raise ConnectionAbortedError("the other worker does not take the client")
        except BaseException:
            line.close()
            raise
        return line


def _was_taken(line: socket.socket) -> bool:
    """Whether it has just been said after all. From now on it cannot be said any more: sending it fails."""
    try:
        line.shutdown(socket.SHUT_RD)
        return line.recv(len(TAKEN)) == TAKEN
    except OSError:
        return False
