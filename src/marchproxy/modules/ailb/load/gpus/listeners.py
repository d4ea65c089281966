"""Listeners: the processes that listen for TCP on behalf of those that compute on GPUs.

An engine has often one process that answers, and others that compute: these descend from it. Processes of other users, and those behind
a port that a container publishes, are not seen unless the gateway may look (root, and the host's network).
"""

import socket
from collections.abc import Iterable

import psutil

from marchproxy.modules.ailb.load.gpus.device import Listener

_TCP = frozenset({socket.AF_INET, socket.AF_INET6})


def serving(processes: Iterable[int]) -> dict[int, tuple[Listener, ...]]:
    """Of each of these processes, those that listen for it."""
    known: dict[int, tuple[Listener, ...]] = {}
    found: dict[int, tuple[Listener, ...]] = {}
    for pid in processes:
        listeners: list[Listener] = []
        for process in _line(pid):
            if process.pid not in known:
                known[process.pid] = tuple(_listens(process))
            listeners += known[process.pid]
        found[pid] = tuple(listeners)
    return found


def ended(listeners: Iterable[Listener]) -> frozenset[Listener]:
    """Those of them whose process is not there any more."""
    return frozenset(one for one in listeners if not _runs(one))


def own_addresses() -> frozenset[str]:
    """The IP addresses of this host."""
    return frozenset(
        address.address.partition("%")[0]
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family in _TCP
    )


def _line(pid: int) -> list[psutil.Process]:
    """A process and those that it descends from."""
    try:
        process = psutil.Process(pid)
        return [process, *process.parents()]
    except psutil.Error:
        return []


def _listens(process: psutil.Process) -> list[Listener]:
    try:
        started = process.create_time()
        return [
            Listener(connection.laddr.ip, connection.laddr.port, process.pid, started)
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        ]
    except psutil.Error:
        return []


def _runs(listener: Listener) -> bool:
    try:
        process = psutil.Process(listener.pid)
        return process.create_time() == listener.started and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
