"""Port: a listening socket of a worker, which others of its instance share (SO_REUSEPORT)."""

import asyncio
import errno
import socket
from collections.abc import Callable

from marchproxy.kit.listening import BindError, PortInUse
from marchproxy.kit.logs import get_logger
from marchproxy.modules.reception.port import Port

_log = get_logger(__name__)
_BACKLOG = 4096
_AT_ONCE = 64
_PAUSE_SECONDS = 0.1
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class ListeningPort:
    """Gives each connection that comes to `taken`, as a socket that does not block."""

    def __init__(self, port: Port, taken: Callable[[Port, socket.socket], None]) -> None:
        self._port = port
        self._taken = taken
        self._socket: socket.socket | None = None
        self._resuming: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Listen. Raises PortInUse, BindError."""
        address, setting = self._port.address, self._port.setting
        try:
            family, kind, protocol, _, where = socket.getaddrinfo(
                address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            self._socket = _listening(socket.socket(family, kind, protocol), where)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(address, setting) from error
            raise BindError(address, setting, error.strerror or str(error)) from error
        self._watch()

    def close(self) -> None:
        """Listen no more. Who has already come is let in first: the kernel would cut them off."""
        if self._socket is None:
            return
        if self._resuming is not None:
            self._resuming.cancel()
        asyncio.get_running_loop().remove_reader(self._socket)
        while self._accept(self._socket):
            pass
        self._socket.close()
        self._socket = None

    def _watch(self) -> None:
        self._resuming = None
        if self._socket is not None:
            asyncio.get_running_loop().add_reader(self._socket, self._ready)

    def _ready(self) -> None:
        if self._socket is None:
            return
        for _ in range(_AT_ONCE):
            if not self._accept(self._socket):
                return

    def _accept(self, listening: socket.socket) -> bool:
        """Whether there may be more."""
        try:
            connection, _ = listening.accept()
        except (BlockingIOError, InterruptedError):
            return False
        except ConnectionAbortedError:
            return True
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            _log.error(
                "no more clients can be accepted now",
                port=str(self._port.address),
                reason=error.strerror or str(error),
            )
            loop = asyncio.get_running_loop()
            loop.remove_reader(listening)
            self._resuming = loop.call_later(_PAUSE_SECONDS, self._watch)
            return False
        connection.settimeout(0)
        self._taken(self._port, connection)
        return True


def _listening(one: socket.socket, where: object) -> socket.socket:
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if one.family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(where)  # type: ignore[arg-type]  # an address of the socket's own family
        one.listen(_BACKLOG)
        one.settimeout(0)
    except BaseException:
        one.close()
        raise
    return one
