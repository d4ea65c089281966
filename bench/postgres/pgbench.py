"""pgbench: one run of reads, and what it says of them."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.support.numbers import percentile
from bench.support.unprivileged import postgres_programs


@dataclass(frozen=True, slots=True)
class Transactions:
    """What a run came to; times in milliseconds."""

    count: int
    per_second: float
    p50_ms: float
    p99_ms: float


def run_pgbench(port: int, *, protocol: str, clients: int, seconds: float, directory: Path) -> Transactions:
    """Reads by key from `clients` connections that stay open. Raises RuntimeError when anything failed."""
    for old in directory.glob("pgbench_log.*"):
        old.unlink()
    command = [
        *(str(postgres_programs() / "pgbench"), "-n", "-S", "-M", protocol, "-c", str(clients), "-j", "1"),
        *("-T", str(max(1, round(seconds))), "-l", "--log-prefix", str(directory / "pgbench_log")),
        *("-h", "127.0.0.1", "-p", str(port), "-U", "app", "app"),
    ]
    if clients >= 200:
        command.append("--sampling-rate=0.25")
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(f"pgbench failed:\n{done.stderr[-2000:]}")
    times = sorted(
        int(line.split()[2]) / 1000 for log in directory.glob("pgbench_log.*") for line in log.open()
    )
    return Transactions(
        int(_number(r"actually processed: (\d+)", done.stdout)),
        _number(r"tps = ([\d.]+)", done.stdout),
        percentile(times, 50),
        percentile(times, 99),
    )


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"pgbench said something else:\n{text}")
    return float(found[1])
