"""Ownership: whose the rules in the kernel are, and the removal of those whose NLB is gone.

One NLB of a network namespace can have the kernel: it holds an abstract Unix socket, which the kernel frees when the
process ends. An NLB that may have set rules has a mark in its state folder, which outlives it as they do.
"""

import socket
from enum import Enum
from pathlib import Path

from marchproxy.engines.nftables import NftablesEngine, NftablesError

_LOCK = "\0marchproxy-nftables"


class Rules(Enum):
    """What was found of an NLB's rules, and done."""

    NEVER_SET = "none"
    REMOVED = "removed"
    ABSENT = "not in this network namespace"
    ANOTHERS = "another NLB has the kernel"


def mark_of(directory: Path) -> Path:
    """The mark of the NLB whose state folder this is."""
    return directory / "kernel-rules"


def lock_kernel() -> socket.socket | None:
    """Become the one that may set rules, until it is closed; None when an NLB already is."""
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(_LOCK)
    except OSError:
        lock.close()
        return None
    return lock


async def remove_rules(directory: Path) -> Rules:
    """Remove the rules of the NLB that ran in this state folder, and has ended. Raises NftablesError, OSError.

    Where there are none the mark stays: they may be in another namespace than ours.
    """
    mark = mark_of(directory)
    if not mark.exists():
        return Rules.NEVER_SET
    lock = lock_kernel()
    if lock is None:
        return Rules.ANOTHERS
    try:
        removed = await NftablesEngine().remove()
    except NftablesError as error:
        raise NftablesError(f"the kernel's rules of {directory} stay: {error}") from error
    finally:
        lock.close()
    if not removed:
        return Rules.ABSENT
    mark.unlink(missing_ok=True)
    return Rules.REMOVED
