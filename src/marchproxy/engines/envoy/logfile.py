"""Envoy's own log: a file it appends to by itself, so that it can outlive us; kept below a size by copying it away."""

import shutil
from pathlib import Path

_TAIL = 8192


class EnvoyLog:
    """The log file and one older copy of it; together at most about twice `limit` bytes."""

    def __init__(self, path: Path, limit: int) -> None:
        self.path = path
        self._limit = limit
        self._mark = 0

    def mark(self) -> None:
        """Remember the end: `tail` shows what is written after it."""
        self._mark = self._size()

    def tail(self, lines: int = 12) -> str:
        """Return the last lines written since the mark, invalid UTF-8 replaced; empty without a file."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(self._mark, self._size() - _TAIL))
                text = file.read(_TAIL).decode(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.strip().splitlines()[-lines:])

    async def trim(self) -> None:
        """Move the content to the older copy when it has outgrown the limit.

        Envoy holds the file open for appending, so it is emptied in place; lines written between the copy and the
        emptying are lost.
        """
        if self._size() > self._limit:
            shutil.copyfile(self.path, self.path.with_name(self.path.name + ".1"))
            with self.path.open("r+b") as file:
                file.truncate(0)
            self._mark = 0

    def _size(self) -> int:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0
