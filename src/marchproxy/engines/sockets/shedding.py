"""Shedding: ends some of a process's connections, those that would be missed least."""

import os
from collections.abc import Collection
from pathlib import Path

from marchproxy.engines.sockets.diag import SocketsError, connections_to, destroy
from marchproxy.engines.sockets.messages import IpAddress


def close_idle(pid: int, addresses: Collection[tuple[IpAddress, int]], count: int) -> int:
    """End up to `count` connections that a process has to these addresses, the longest idle first; how many ended.

    Blocking. Raises SocketsError.
    """
    owned = _sockets_of(pid)
    found = [
        connection
        for address, port in set(addresses)
        for connection in connections_to(address, port)
        if connection.inode in owned
    ]
    found.sort(key=lambda connection: connection.idle_ms, reverse=True)
    return destroy(found[:count])


def _sockets_of(pid: int) -> frozenset[int]:
    """The inodes of a process's sockets."""
    inodes = set()
    try:
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError as error:
        raise SocketsError(f"the sockets of process {pid} cannot be read: {error}") from error
    for descriptor in descriptors:
        try:
            target = os.readlink(descriptor)  # noqa: PTH115 - "socket:[1]" is no path
        except FileNotFoundError:
            continue  # closed meanwhile
        if target.startswith("socket:["):
            inodes.add(int(target[8:-1]))
    return frozenset(inodes)
