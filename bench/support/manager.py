"""A real manager, started with the command and the file that a user would write, and somebody who asks it."""

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from bench.support.ports import free_ports
from bench.support.processes import child, python, wait_for_http

_START_SECONDS = 120.0  # ten thousand routes are read with the line of each key
_PASSWORD = "of a benchmark alone"


@dataclass(frozen=True, slots=True)
class RunningManager:
    """A manager that serves. `home` is the folder of its state."""

    process: subprocess.Popen[bytes]
    url: str
    home: Path

    @property
    def key(self) -> str:
        """The key that this machine has."""
        return (self.home / "local.key").read_text().strip()


@contextmanager
def running_manager(
    name: str, state: Mapping[str, Any], directory: Path, *, nlb: str = ""
) -> Iterator[RunningManager]:
    """A manager with a database in a file; `nlb` is the gRPC address of what it manages. Raises NotReady."""
    http, metrics = free_ports(2)
    section = {
        "id": name,
        "http": f"127.0.0.1:{http}",
        "metrics": f"127.0.0.1:{metrics}",
        "nlbs": [nlb] if nlb else [],
        "state_dir": str(directory / "state"),
        "log_level": "warning",
    }
    file = directory / f"{name}.yaml"
    file.write_bytes(orjson.dumps({"manager": section, **state}))  # JSON is YAML
    command = python("marchproxy", "manager", "--config", file)
    with child(name, command, directory) as process:
        log = directory / f"{name}.log"
        wait_for_http(f"http://127.0.0.1:{metrics}/readyz", process, log, seconds=_START_SECONDS)
        yield RunningManager(process, f"http://127.0.0.1:{http}", directory / "state" / name)


async def sign_in(session: aiohttp.ClientSession, manager: RunningManager) -> None:
    """The first admin, once, who has to choose a password; the session keeps the cookies. Raises ClientResponseError."""
    given = (manager.home / "initial-password").read_text().strip()
    body = {"name": "admin", "password": given}
    async with session.post(f"{manager.url}/api/v1/session", json=body, raise_for_status=True) as answer:
        csrf = (await answer.json())["csrf"]
    async with session.post(
        f"{manager.url}/api/v1/session/password",
        json={"old": given, "new": _PASSWORD},
        headers={"x-csrf-token": csrf},
        raise_for_status=True,
    ) as answer:
        await answer.read()


async def fetch(session: aiohttp.ClientSession, method: str, url: str, **options: Any) -> tuple[float, bytes]:
    """How many milliseconds an answer takes to its last byte, and its body. Raises ClientResponseError."""
    started = time.perf_counter()
    async with session.request(method, url, raise_for_status=True, **options) as answer:
        body = await answer.read()
    return (time.perf_counter() - started) * 1000, body
