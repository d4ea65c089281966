"""Detached: starts a process that outlives us, in a session of its own."""

import os
import resource
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path


def spawn_detached(argv: Sequence[str], log: Path) -> int:
    """Start it with its output appended to `log` and as many descriptors as it may have; return its pid. Raises OSError."""
    # posix_spawn and not subprocess: Popen and asyncio's transports both hold on to a child that is to outlive us
    pid = os.posix_spawn(
        argv[0],
        list(argv),
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,  # a Ctrl-C for the supervisor is not one for the process
        setsigmask=(),
        setsigdef=(signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
    )
    with suppress(OSError, ValueError):  # a bonus: every proxied connection takes two descriptors
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
    return pid
