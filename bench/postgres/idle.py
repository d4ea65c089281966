"""What a client that is connected and asks nothing costs a proxy in memory."""

import socket
from collections.abc import Sequence
from pathlib import Path

from bench.support.dblb import Path3
from marchproxy.wire.postgres import encode

_SETTLED = b"Z\0\0\0\5I"


def idle_client_kb(path: Path3, clients: int) -> float:
    """KiB of memory that is a path's own, for each of so many clients that logged in, asked once, and stay."""
    warm = _connected(path.port, 20)  # what the first clients of all bring about is no client's own
    before = _own_kb(path.pids)
    there = _connected(path.port, clients)
    used = _own_kb(path.pids) - before
    for one in (*warm, *there):
        one.close()
    return used / clients


def _connected(port: int, clients: int) -> list[socket.socket]:
    there = []
    for _ in range(clients):
        one = socket.create_connection(("127.0.0.1", port), timeout=20)
        one.sendall(encode.startup({"user": "app", "database": "app"}))
        _until_ready(one)
        one.sendall(encode.query("select 1"))
        _until_ready(one)
        there.append(one)
    return there


def _until_ready(one: socket.socket) -> None:
    heard = b""
    while not heard.endswith(_SETTLED):
        more = one.recv(65536)
        if not more:
            raise RuntimeError(f"the connection was closed: {heard!r}")
        heard += more


def _own_kb(pids: Sequence[int]) -> float:
    """Memory that would be free without these processes: what they share with each other counts once."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return float(total)
