"""A leash: a process that ends with the one that started it, however that one ends. Linux, prctl(2)."""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1


class ParentGone(Exception):
    """The process that should be above this one has ended already."""


def end_with(parent: int) -> None:
    """Have SIGTERM sent to this process when its parent, which must be `parent`, ends. Raises ParentGone, OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    if os.getppid() != parent:  # it ended before it could have been noticed
        raise ParentGone(f"process {parent}, which started this one, has ended")
