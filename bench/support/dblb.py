"""A real `marchproxy dblb` before one server, and its peers: HAProxy in TCP mode and PgBouncer."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from socket import create_connection
from subprocess import Popen
from typing import Any

import yaml

from bench.support.ports import free_ports
from bench.support.processes import NotReady, child, family, python, wait_for_http

_READY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Path3:
    """A way to a server: the port where clients connect, and the pid of every process in between."""

    name: str
    port: int
    pids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What a DBLB is told: who its clients are, how it pools, and what it does with each statement."""

    protocol: str
    workers: int = 1
    pool: Mapping[str, Any] = field(default_factory=dict)
    route: Mapping[str, Any] = field(default_factory=dict)
    limits: tuple[Mapping[str, Any], ...] = ()
    users: Mapping[str, str] = field(default_factory=dict)
    """Who must prove a password; without any everybody is let in as who they say they are."""


@contextmanager
def dblb(name: str, upstream: int, asked: Asked, directory: Path) -> Iterator[Path3]:
    """A DBLB that serves. Raises NotReady."""
    port, grpc, health, metrics = free_ports(4)
    module = {
        "id": name,
        "type": "dblb",
        "grpc": f"127.0.0.1:{grpc}",
        "health": f"127.0.0.1:{health}",
        "metrics": f"127.0.0.1:{metrics}",
        "state_dir": str(directory / "state" / name),
        asked.protocol: f"127.0.0.1:{port}",
        "workers": asked.workers,
        "drain_seconds": 1,
        "log_level": "warning",
    }
    pool: dict[str, Any] = {
        "name": "db",
        "protocol": asked.protocol,
        "endpoints": [f"127.0.0.1:{upstream}"],
        "database": dict(asked.pool),
    }
    route: dict[str, Any] = {"id": "db", "protocol": asked.protocol, "module": "dblb", "backends": ["db"]}
    document: dict[str, Any] = {"modules": [module], "pools": [pool], "routes": [route]}
    if asked.route:
        route["database"] = dict(asked.route)
    if asked.limits:
        document["rate_limits"] = [dict(limit) for limit in asked.limits]
    if asked.users:
        users = directory / f"{name}.users"
        users.write_text("".join(f'"{user}" "{password}"\n' for user, password in asked.users.items()))
        document["authentication"] = [{"name": "people", "kind": "userlist", "file": str(users)}]
        route["authentication"] = ["people"]
        pool["database"] = {**asked.pool, "users": str(users)}
    file = directory / f"{name}.yaml"
    file.write_text(yaml.safe_dump(document))
    with child(name, python("marchproxy", "dblb", "--config", file), directory) as process:
        log = directory / f"{name}.log"
        wait_for_http(f"http://127.0.0.1:{health}/readyz", process, log)
        wait_for_port(port, process, log)
        yield Path3(name, port, tuple(family(process.pid)))


@contextmanager
def haproxy(name: str, upstream: int, directory: Path) -> Iterator[Path3]:
    """HAProxy in TCP mode, one thread. Raises NotReady."""
    (port,) = free_ports(1)
    file = directory / f"{name}.cfg"
    file.write_text(
        "global\n    nbthread 1\n    maxconn 8192\n"
        "defaults\n    mode tcp\n    timeout connect 5s\n    timeout client 1h\n    timeout server 1h\n"
        f"listen db\n    bind 127.0.0.1:{port}\n    server db 127.0.0.1:{upstream}\n"
    )
    with listening(name, ["haproxy", "-db", "-f", file], port, directory) as path:
        yield path


@contextmanager
def listening(name: str, command: list[str | Path], port: int, directory: Path) -> Iterator[Path3]:
    """A process for the length of the block, which begins when it takes connections. Raises NotReady."""
    with child(name, command, directory) as process:
        wait_for_port(port, process, directory / f"{name}.log")
        yield Path3(name, port, tuple(family(process.pid)))


def wait_for_port(port: int, process: Popen[bytes], log: Path) -> None:
    """Until a connection is taken. Raises NotReady."""

    def connects() -> bool:
        with suppress(OSError), create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    wait_until(connects, process, log)


def wait_until(true: Callable[[], bool], process: Popen[bytes], log: Path) -> None:
    """Until a process is as it should be. Raises NotReady when it ends before, or after half a minute."""
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if true():
            return
        time.sleep(0.05)
    raise NotReady(f"{log.stem} is not ready; {log.name} ends with:\n{log.read_text()[-2000:]}")
