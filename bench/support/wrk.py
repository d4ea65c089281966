"""wrk (github.com/wg/wrk): the client of the HTTP benchmarks."""

import re
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True, slots=True)
class Run:
    """What one run came to."""

    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float


def run_wrk(
    url: str,
    *,
    connections: int,
    seconds: float,
    close: bool = False,
    script: Path | None = None,
    patience: int = 2,
) -> Run:
    """Keep `connections` busy for `seconds`, from one thread; `close`: each request on a connection of its own.

    `script`: a Lua program that says what is asked for. An answer that takes more than `patience` seconds is an error. Raises RuntimeError when any request failed.
    """
    header = ["-H", "Connection: close"] if close else ["-s", str(script)] if script is not None else []
    # its own clock knows whole seconds only; interrupted, it reports what it has
    bounds = [f"-d{int(seconds) + 60}s", "--timeout", f"{patience}s"]
    command = ["wrk", "-t1", f"-c{connections}", *bounds, "--latency", *header, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=30)
    return parse(text)


def parse(text: str) -> Run:
    """What wrk printed. Raises RuntimeError when requests failed, or when it is something else."""
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(f"requests failed:\n{text}")
    (requests,) = _found(r"(\d+) requests in", text)
    (rate,) = _found(r"Requests/sec:\s+([\d.]+)", text)
    return Run(int(requests), float(rate), _latency(50, text), _latency(99, text))


def _latency(percent: int, text: str) -> float:
    number, unit = _found(rf"\b{percent}%\s+([\d.]+)(us|ms|s|m)", text)
    return float(number) * _MILLISECONDS[unit]


def _found(pattern: str, text: str) -> tuple[str, ...]:
    match = re.search(pattern, text)
    if match is None:
        raise RuntimeError(f"wrk printed something else than expected:\n{text}")
    return match.groups()
