"""Detached: starts a process that outlives us, in a session of its own; with a keeper, where its parent must too."""

import errno
import fcntl
import os
import resource
import select
import shlex
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

_SHELL = "/bin/sh"
# descriptors: where the keeper tells the pid, what it holds, and the directory that the process is given
_TOLD, _HELD, _DIRECTORY = 3, 8, 9
_TELL_SECONDS = 5.0

#: How a process that `spawn_kept` starts can name files in its directory, however long the directory's path is.
OWN_DIRECTORY = f"/proc/self/fd/{_DIRECTORY}"


@dataclass(frozen=True, slots=True)
class Kept:
    """A process and its keeper, which is its parent, waits for it, and ends as it ended (128 + n for signal n)."""

    pid: int
    keeper: int


def spawn_detached(argv: Sequence[str], log: Path) -> int:
    """Start it with its output appended to `log` and as many descriptors as it may have; return its pid. Raises OSError."""
    pid = _spawn(argv, log)
    with suppress(OSError, ValueError):  # a bonus: every proxied connection takes two descriptors
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
    return pid


def spawn_kept(
    argv: Sequence[str],
    log: Path,
    directory: Path,
    *,
    hold: int | None = None,
    afterwards: Sequence[str] = (),
) -> Kept:
    """As `spawn_detached`, but below a keeper that outlives us too: for a program that ends when its parent does.

    `directory` stays open in the process as OWN_DIRECTORY. The keeper holds the descriptor `hold` open for as long as
    the process runs, and runs the command `afterwards` when it has ended. Raises OSError. Blocks for a few milliseconds.
    """
    _check_runnable(argv[0])
    # one word of the keeper's own command line: who looks for the process by its options must not find the keeper
    command = (
        f'ulimit -n "$(ulimit -Hn)"; {shlex.join(argv)} {_TOLD}>&- {_HELD}>&- {_DIRECTORY}<{shlex.quote(str(directory))} &'
        f" echo $! >&{_TOLD}; exec {_TOLD}>&-; wait $!; ended=$?; {shlex.join(afterwards or (':',))} 2>/dev/null;"
        " exit $ended"
    )
    told, telling = os.pipe()
    try:
        try:
            keeper = _spawn(
                [_SHELL, "-c", command], log, {_TOLD: telling} | ({} if hold is None else {_HELD: hold})
            )
        finally:
            os.close(telling)
        pid = _read_pid(told)
    finally:
        os.close(told)
    if pid is None:
        os.kill(keeper, signal.SIGKILL)
        os.waitpid(keeper, 0)
        raise OSError(f"{_SHELL} did not start {argv[0]}")
    return Kept(pid, keeper)


def _check_runnable(path: str) -> None:
    # a shell takes any other file for a script of its own and runs what it says
    with Path(path).open("rb") as file:
        if not file.read(4).startswith((b"\x7fELF", b"#!")):
            raise OSError(errno.ENOEXEC, os.strerror(errno.ENOEXEC), path)


def _spawn(argv: Sequence[str], log: Path, given: Mapping[int, int] = MappingProxyType({})) -> int:
    # out of the way of each other's places first
    copies = {theirs: fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, 10) for theirs, ours in given.items()}
    try:
        # posix_spawn and not subprocess: Popen and asyncio's transports both hold on to a child that is to outlive us
        return os.posix_spawn(
            argv[0],
            list(argv),
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                *((os.POSIX_SPAWN_DUP2, copy, theirs) for theirs, copy in copies.items()),
            ],
            setsid=True,  # a Ctrl-C for the supervisor is not one for the process
            setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
        )
    finally:
        for copy in copies.values():
            os.close(copy)


def _read_pid(told: int) -> int | None:
    poll = select.poll()
    poll.register(told, select.POLLIN)
    if not poll.poll(_TELL_SECONDS * 1000):
        return None
    text = os.read(told, 32).strip()
    return int(text) if text.isdigit() else None
