"""Record: a file that says which process runs in a folder, and of which configuration file it is.

The process holds the record's lock while it lives. What it wrote outlives one that is killed, so that `marchproxy down`
knows whose the folder is; a clean end empties the record.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from marchproxy.engines.envoy.handle import read_start_ticks
from marchproxy.engines.envoy.pidfile import PidRecord, parse_record, render_record
from marchproxy.kit.settings import Problem, SettingsError

SERVICE = "service.lock"
"""The record's name in the state folder of a single service."""


@contextmanager
def recorded(path: Path, file: Path) -> Iterator[bool]:
    """Hold the record at `path` for the length of the block, as a process of `file`. Raises SettingsError.

    False: another process holds it, and nothing was written.
    """
    with _opened(path) as record:
        try:
            fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        ticks = read_start_ticks(os.getpid()) or 1
        record.truncate(0)
        record.write(render_record(PidRecord(os.getpid(), ticks, str(file.absolute()))))
        record.flush()
        yield True
        record.truncate(0)


def _opened(path: Path) -> BinaryIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab")
    except OSError as error:
        reason = f"{path.parent} cannot be used: {error.strerror or error}"
        raise SettingsError([Problem("state_dir", reason)]) from error


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Keep others from the record at `path` without changing what it says; False: somebody holds it. Raises OSError."""
    with path.open("ab") as record:
        try:
            fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def read_record(path: Path) -> PidRecord | None:
    """Return who runs or ran there, its file as `fingerprint`; None after a clean end. Raises OSError."""
    try:
        return parse_record(path.read_bytes())
    except FileNotFoundError:
        return None
