"""Instructions that an Envoy's worker executes for a request, counted by valgrind: the same number on a busy machine as on an idle
one, to within two in a thousand. What the kernel does, and what memory takes, is not in it.
"""

import http.client
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.support.processes import NotReady, child, wait_for_http
from marchproxy.engines.envoy.binary import find_envoy

_WARM_UP = 300
_START_SECONDS = 120.0
_STEP_SECONDS = 60.0
_TOTAL = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)


def check_installed() -> None:
    """Raises NotReady when there is no valgrind."""
    if shutil.which("valgrind") is None:
        raise NotReady("valgrind is not installed; run: apt-get install valgrind")


def instructions(config: Mapping[str, Any], port: int, directory: Path, *, requests: int) -> float:
    """For each of `requests` requests on one connection, of the Envoy with this bootstrap that listens at `port`.

    `directory` is made for it. Raises NotReady, and RuntimeError for an answer other than 200.
    """
    directory.mkdir()
    file = directory / "envoy.json"
    file.write_text(json.dumps(config))
    valgrind = [
        "valgrind",
        "--tool=callgrind",
        "--instr-atstart=no",
        "--separate-threads=yes",
        f"--callgrind-out-file={directory}/counted",
        f"--vgdb-prefix={directory}/vgdb",
    ]
    envoy: list[str | Path] = [
        find_envoy(None),
        "-c",
        file,
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "-l",
        "error",
    ]
    with child("valgrind", [*valgrind, *envoy], directory) as process:
        url = f"http://127.0.0.1:{port}/"
        wait_for_http(url, process, directory / "valgrind.log", seconds=_START_SECONDS)
        _tell(process.pid, directory, "instrumentation", "on")
        _ask(port, _WARM_UP)
        _tell(process.pid, directory, "zero")
        _ask(port, requests)
        _tell(process.pid, directory, "dump")
        # one file for each thread; the worker is the one that was busy
        counted = [_TOTAL.search(part.read_text()) for part in directory.glob("counted.1-*")]
    found = [int(total.group(1)) for total in counted if total is not None]
    if not found:
        raise NotReady(f"valgrind wrote no count:\n{(directory / 'valgrind.log').read_text()[-2000:]}")
    return max(found) / requests


def _tell(pid: int, directory: Path, *words: str) -> None:
    command = ["vgdb", f"--pid={pid}", f"--vgdb-prefix={directory}/vgdb", *words]
    subprocess.run(command, check=True, capture_output=True, timeout=_STEP_SECONDS)


def _ask(port: int, count: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_STEP_SECONDS)
    try:
        for _ in range(count):
            connection.request("GET", "/items")
            answer = connection.getresponse()
            answer.read()
            if answer.status != http.client.OK:
                raise RuntimeError(f"port {port} answers {answer.status}")
    finally:
        connection.close()
