"""The fleet: what 5,000 routes for 100 nodes take of a control plane by itself, in time, CPU and memory."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.support.marchproxy import Service, running_xds
from bench.support.processes import child, cpu_seconds, python, resident_mb
from bench.support.routing import RoutingTable

NODES = 100
_DEADLINE_SECONDS = 60.0
_LOOK_SECONDS = 0.02
_TIMEOUTS = "15s", "16s"  # another one makes every route another


@dataclass(frozen=True, slots=True)
class Fleet:
    """Seconds from the first connection, or from the change of the file, until the last node acknowledged everything."""

    full_sync_s: float
    change_sync_s: float
    """A change of every route, the half second that the file has to be left alone included."""
    full_cpu_s: float
    change_cpu_s: float
    rss_mb: float
    peak_mb: float
    received_mb: float
    """What a node is given at first."""


@contextmanager
def control_plane(table: RoutingTable, port: int, directory: Path) -> Iterator[Service]:
    """`marchproxy xds` with this table on a listener at this port; `measure` may be called once. Raises NotReady."""
    with running_xds("xds", _document(table, port, _TIMEOUTS[0]), directory) as xds:
        yield xds


def measure(xds: Service, table: RoutingTable, port: int, directory: Path) -> Fleet:
    """Connect the nodes, then change every route. Raises RuntimeError when that takes more than a minute."""
    pid, log = xds.process.pid, directory / "nodes.log"
    cpu = [cpu_seconds([pid])]
    with child("nodes", python("bench.support.xds_nodes", xds.grpc, str(NODES)), directory):
        first = _line(log, 0)
        cpu.append(cpu_seconds([pid]))
        xds.rewrite(_document(table, port, _TIMEOUTS[1]))
        changed = time.monotonic()
        second = _line(log, 1)
        cpu.append(cpu_seconds([pid]))
        return Fleet(
            full_sync_s=first["since_start"],
            change_sync_s=second["at"] - changed,
            full_cpu_s=cpu[1] - cpu[0],
            change_cpu_s=cpu[2] - cpu[1],
            rss_mb=resident_mb(pid),
            peak_mb=resident_mb(pid, peak=True),
            received_mb=first["received"] / NODES / 2**20,
        )


def _document(table: RoutingTable, port: int, timeout: str) -> dict[str, Any]:
    listener = {"name": "web", "address": f"127.0.0.1:{port}", "protocol": "http", "module": "alb"}
    return {"listeners": [listener], **table.document(9, timeout=timeout)}


def _line(log: Path, number: int) -> Mapping[str, float]:
    """What the nodes wrote, once there is as much."""
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while time.monotonic() < deadline:
        lines = [line for line in log.read_text().splitlines(keepends=True) if line.endswith("}\n")]
        if len(lines) > number:
            found: Mapping[str, float] = json.loads(lines[number])
            return found
        time.sleep(_LOOK_SECONDS)
    raise RuntimeError(f"not all nodes hold everything; {log.name} ends with:\n{log.read_text()[-2000:]}")
