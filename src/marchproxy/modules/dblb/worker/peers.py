"""Peers: datagrams between the workers of an instance. What cannot be delivered at once is lost, and nobody waits for it."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

from marchproxy.kit.logs import get_logger
from marchproxy.model.module import Protocol

_log = get_logger(__name__)
#: Bytes of a message.
LONGEST = 1024
_AT_ONCE = 64
_CODES = {protocol: bytes([number]) for number, protocol in enumerate(Protocol)}
_PROTOCOLS = {code[0]: protocol for protocol, code in _CODES.items()}


class Peers:
    """A worker's socket in the folder of all of them."""

    def __init__(self, folder: Path, index: int, heard: Callable[[Protocol, bytes], None]) -> None:
        """`heard` is called with what another worker says to a service of ours; it must not block."""
        self._folder = folder
        self._own = self._place(index)
        self._heard = heard
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def open(self) -> None:
        """Listen, instead of whoever had the number before. Raises OSError."""
        self._own.unlink(missing_ok=True)
        self._socket.bind(bytes(self._own))
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def close(self) -> None:
        """Hear nothing more. The file stays: it may be a successor's by now."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def say(self, worker: int, protocol: Protocol, message: bytes) -> None:
        """Tell the service of a protocol in another worker something. Raises ValueError when it is too long."""
        if len(message) > LONGEST:
            raise ValueError(f"{len(message)} bytes are more than {LONGEST}")
        try:
            self._socket.sendto(_CODES[protocol] + message, bytes(self._place(worker)))
        except OSError as error:  # gone, or too busy to hear
            _log.warning("another worker cannot be told", worker=worker, reason=error.strerror or str(error))

    def _read(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                data = self._socket.recv(LONGEST + 1)
            except BlockingIOError:
                return
            if data and (protocol := _PROTOCOLS.get(data[0])) is not None:
                self._heard(protocol, data[1:])

    def _place(self, worker: int) -> Path:
        return self._folder / f"{worker}.peer"
