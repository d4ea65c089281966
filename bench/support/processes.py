"""Child processes of a benchmark: started, measured through /proc, and ended by pid whatever happens."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

_TICKS = os.sysconf("SC_CLK_TCK")
_STOP_SECONDS = 10.0
_PR_SET_CHILD_SUBREAPER = 36


class NotReady(Exception):
    """A process did not come up; the message holds the end of its log."""


@contextmanager
def child(name: str, command: Sequence[str | Path], directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command for the length of the block, output in `directory`/NAME.log; ended with all its descendants.

    In a session of its own, as a service has: Linux divides a busy machine by sessions (autogroup) before processes, so
    that one among its clients would fare otherwise than the Envoy of an NLB.
    """
    with (directory / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
    try:
        yield process
    finally:
        _end(process)


def python(module: str, *arguments: str | Path) -> list[str | Path]:
    """The command that runs a module of ours."""
    return [sys.executable, "-m", module, *arguments]


def family(pid: int) -> list[int]:
    """A process and its descendants, whatever session they are in."""
    return [pid, *(descendant.pid for descendant in psutil.Process(pid).children(recursive=True))]


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time that these processes have used; a tool that was under way and has ended counts nothing."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS


def run_seconds(pids: Iterable[int]) -> float:
    """The same by the scheduler's own clock, in nanoseconds and not in ticks; a thread that has ended counts nothing."""
    found = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found += int(task.read_text().split()[0])
    return found / 1e9


def resident_mb(pid: int, *, peak: bool = False) -> float:
    """Resident memory in MiB, now or at its highest."""
    field, status = "VmHWM:" if peak else "VmRSS:", Path(f"/proc/{pid}/status").read_text()
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith(field))
    return int(kilobytes) / 1024


def wait_for_http(
    url: str, process: subprocess.Popen[bytes], log: Path, *, host: str = "", seconds: float = 30.0
) -> None:
    """Wait until the URL answers 2xx, asked as `host` if given. Raises NotReady: the process ended, or after `seconds`."""
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(request, timeout=2).close()
            return
        time.sleep(0.05)
    raise NotReady(f"{url} does not answer; {log.name} ends with:\n{log.read_text()[-2000:]}")


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent dies, so that they can be found and ended."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_orphans() -> None:
    """Kill whatever is left below this process: an Envoy outlives a supervisor that was killed."""
    for orphan in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            orphan.kill()


def stop_on_term() -> None:
    """Make SIGTERM unwind like Ctrl-C, through every `finally`."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def _end(process: subprocess.Popen[bytes]) -> None:
    below = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for descendant in psutil.wait_procs(below, timeout=1)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            descendant.kill()
