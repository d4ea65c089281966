"""Diag: asks the kernel for TCP connections, and to end some. Blocking, for a thread; ending needs CAP_NET_ADMIN."""

import errno
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from marchproxy.engines.sockets.messages import Connection, Ended, IpAddress, ask_for, parse
from marchproxy.engines.sockets.messages import destroy as destroy_request

_SOCK_DIAG = 4  # linux/netlink.h
_ANSWER_SECONDS = 2.0
_MOST_BYTES = 1 << 16
_GONE = {errno.ENOENT, errno.ESTALE}


class SocketsError(Exception):
    """The kernel does not tell, or does not let us."""


def connections_to(address: IpAddress, port: int) -> list[Connection]:
    """The established connections of this network namespace to an address. Raises SocketsError."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with _kernel() as kernel:
        kernel.send(ask_for(family, port))
        return [found for found in _answers(kernel) if found.remote == (address, port)]


def destroy(connections: Iterable[Connection]) -> int:
    """End these; how many there still were. Raises SocketsError when the kernel ends none for us."""
    ended = 0
    with _kernel() as kernel:
        for connection in connections:
            kernel.send(destroy_request(connection))
            error = _verdict(kernel)
            if error and error not in _GONE:
                raise SocketsError(f"a connection could not be ended: {os.strerror(error)}")
            ended += not error
    return ended


@contextmanager
def _kernel() -> Iterator[socket.socket]:
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _SOCK_DIAG) as kernel:
            kernel.settimeout(_ANSWER_SECONDS)
            yield kernel
    except (OSError, ValueError) as error:
        raise SocketsError(f"the kernel's connections cannot be read: {error}") from error


def _answers(kernel: socket.socket) -> Iterator[Connection]:
    while True:
        for part in parse(kernel.recv(_MOST_BYTES)):
            if isinstance(part, Connection):
                yield part
            elif part.error:
                raise SocketsError(f"the kernel's connections cannot be read: {os.strerror(part.error)}")
            else:
                return


def _verdict(kernel: socket.socket) -> int:
    for part in parse(kernel.recv(_MOST_BYTES)):
        if isinstance(part, Ended):
            return part.error
    raise SocketsError("the kernel gave no answer")
