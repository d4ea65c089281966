"""wrk (github.com/wg/wrk): the client of the HTTP benchmarks."""

import re
import subprocess
from dataclasses import dataclass

_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True, slots=True)
class Run:
    """What one run came to."""

    requests: int
    per_second: float
    p99_ms: float


def run_wrk(url: str, *, connections: int, seconds: int) -> Run:
    """Keep `connections` busy for `seconds`, from one thread. Raises RuntimeError when any request failed."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", url]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30)
    text = done.stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(f"requests to {url} failed:\n{text}")
    p99, unit = _found(r"99%\s+([\d.]+)(us|ms|s|m)", text)
    (requests,) = _found(r"(\d+) requests in", text)
    (rate,) = _found(r"Requests/sec:\s+([\d.]+)", text)
    return Run(int(requests), float(rate), float(p99) * _MILLISECONDS[unit])


def _found(pattern: str, text: str) -> tuple[str, ...]:
    match = re.search(pattern, text)
    if match is None:
        raise RuntimeError(f"wrk printed something else than expected:\n{text}")
    return match.groups()
