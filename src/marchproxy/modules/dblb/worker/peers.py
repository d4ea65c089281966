"""Peers: datagrams between the workers of an instance, each answered when what it asks for is done.

What cannot be delivered at once is lost, and nobody waits for it; for an answer nobody waits longer than 5 s.
"""

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

from marchproxy.kit.logs import get_logger
from marchproxy.model.module import Protocol

_log = get_logger(__name__)
#: Bytes of a message.
LONGEST = 1024
_AT_ONCE = 64
_SECONDS = 5.0
_NUMBER = 8
_DONE = 0xFF
_CODES = {protocol: bytes([number]) for number, protocol in enumerate(Protocol)}
_PROTOCOLS = {code[0]: protocol for protocol, code in _CODES.items()}

#: Is called with what another worker says to a service of ours, and with what is to be called when that is done. Must not block.
Heard = Callable[[Protocol, bytes, Callable[[], None]], None]


class Peers:
    """A worker's socket in the folder of all of them."""

    def __init__(self, folder: Path, index: int, heard: Heard) -> None:
        self._folder = folder
        self._own = self._place(index)
        self._heard = heard
        self._numbers = count()
        self._waiting: dict[bytes, asyncio.Future[None]] = {}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def open(self) -> None:
        """Listen, instead of whoever had the number before. Raises OSError."""
        self._own.unlink(missing_ok=True)
        self._socket.bind(bytes(self._own))
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def close(self) -> None:
        """Hear nothing more. The file stays: it may be a successor's by now."""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(None)
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    async def say(self, worker: int, protocol: Protocol, message: bytes) -> None:
        """Tell the service of a protocol in another worker something; return when that has done what it makes of it, or
        never will. Raises ValueError when it is too long."""
        if len(message) > LONGEST:
            raise ValueError(f"{len(message)} bytes are more than {LONGEST}")
        number = next(self._numbers).to_bytes(_NUMBER)
        done = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._socket.sendto(_CODES[protocol] + number + message, bytes(self._place(worker)))
            async with asyncio.timeout(_SECONDS):
                await done
        except OSError as error:  # gone, too busy to hear, or too slow: TimeoutError is one
            _log.warning("another worker cannot be told", worker=worker, reason=str(error) or "no answer")
        finally:
            del self._waiting[number]

    def _read(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                data, sender = self._socket.recvfrom(1 + _NUMBER + LONGEST)
            except BlockingIOError:
                return
            kind, number, message = data[:1], data[1 : 1 + _NUMBER], data[1 + _NUMBER :]
            if kind == _DONE.to_bytes():
                if (waiting := self._waiting.get(number)) is not None and not waiting.done():
                    waiting.set_result(None)
            elif kind and (protocol := _PROTOCOLS.get(kind[0])) is not None:
                self._heard(protocol, message, partial(self._answer, sender, number))

    def _answer(self, sender: bytes | str, number: bytes) -> None:
        try:
            self._socket.sendto(_DONE.to_bytes() + number, sender)
        except OSError as error:
            _log.warning("another worker cannot be answered", reason=error.strerror or str(error))

    def _place(self, worker: int) -> Path:
        return self._folder / f"{worker}.peer"
