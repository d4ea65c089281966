"""Log rotation: a file that an Envoy appends to is put aside when it is large, and made again when it is gone.

Envoy holds the file open. It writes on into one that was renamed until it has opened the path anew, so no line is lost. It
is asked to only when the file is there: with one that it cannot open, lines are lost until it is asked again.
"""

import fcntl
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from marchproxy.engines.envoy.admin import AdminError
from marchproxy.kit.logs import get_logger

_log = get_logger(__name__)
_MODE = 0o640


@dataclass(frozen=True, slots=True)
class RotationLimits:
    """`largest` in bytes: a larger file is put aside; 0: it only grows. `keep`: how many that were put aside stay."""

    largest: int = 0
    keep: int = 1


class RotatedLog:
    """One file. `look` at it every second or so; between two looks it may grow beyond the limit."""

    def __init__(self, path: Path, limits: RotationLimits, reopen: Callable[[], Awaitable[None]]) -> None:
        """`reopen` asks Envoy to open its logs anew; it raises AdminError when Envoy cannot be asked."""
        self._path = path
        self._limits = limits
        self._reopen = reopen
        self._written: tuple[int, int] | None = None  # device and inode that Envoy writes to; None: not known
        self._trouble = ""

    async def look(self) -> None:
        """Put the file aside, make it, have Envoy open it, as needed. What fails is logged once and tried again."""
        try:
            if (present := _identity(self._path)) is None or self._too_large():
                if present is not None:
                    self._put_aside()
                make(self._path)
                present = _identity(self._path)
            if present != self._written:
                await self._reopen()
                self._written = present
        except (OSError, AdminError) as error:
            self._tell(str(error))
        else:
            self._tell("")

    def _too_large(self) -> bool:
        return 0 < self._limits.largest < self._path.stat().st_size

    def _put_aside(self) -> None:
        with self._path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return  # another instance that writes to the same file does it
            if _identity(self._path) != _identity_of(os.fstat(file.fileno())):
                return  # and has done it
            self._shift()

    def _shift(self) -> None:
        for number in range(self._limits.keep - 1, 0, -1):
            older = aside(self._path, number)
            if older.exists():
                older.replace(aside(self._path, number + 1))
        self._path.replace(aside(self._path, 1))

    def _tell(self, trouble: str) -> None:
        if trouble and not self._trouble:
            _log.warning("the access log is not in order", file=str(self._path), reason=trouble)
        elif self._trouble and not trouble:
            _log.info("the access log is in order again", file=str(self._path))
        self._trouble = trouble


def aside(path: Path, number: int) -> Path:
    """What the file is called that was put aside as the `number`th last."""
    return path.with_name(f"{path.name}.{number}")


def make(path: Path) -> None:
    """Make the file, and its folder; one that is there stays as it is. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK, _MODE))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return _identity_of(found)


def _identity_of(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
