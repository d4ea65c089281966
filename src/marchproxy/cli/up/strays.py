"""Strays: processes that a part left behind, because it was killed. Looked for once everything has stopped."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from marchproxy.cli.down.remains import WORKERS

_SECONDS = 3.0


def end_strays(folder: Path, running_file: Path) -> int:
    """End the Envoys and workers that run from `folder` and the replicas started from `running_file`; blocks a few seconds.

    Returns how many there were.
    """
    strays = list(_strays(folder, running_file))
    for stray in strays:
        _signal(stray, "terminate")
    _, stubborn = psutil.wait_procs(strays, timeout=_SECONDS)
    for stray in stubborn:
        _signal(stray, "kill")
    psutil.wait_procs(stubborn, timeout=_SECONDS)
    return len(strays)


def _strays(folder: Path, running_file: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        is_envoy = Path(_after(command, "--admin-address-path")).is_relative_to(folder)
        is_worker = _after(command, "-m") in WORKERS and Path(_after(command, "--socket")).is_relative_to(
            folder
        )
        is_replica = _after(command, "--config") == str(running_file) and "--replica" in command
        if is_envoy or is_worker or is_replica:
            yield process


def _after(command: Sequence[str], option: str) -> str:
    """The argument of an option, or nothing."""
    position = command.index(option) + 1 if option in command else len(command)
    return command[position] if position < len(command) else ""


def _signal(process: psutil.Process, verb: str) -> None:
    try:
        getattr(process, verb)()
    except psutil.NoSuchProcess:
        return
