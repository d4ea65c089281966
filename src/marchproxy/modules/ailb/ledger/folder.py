"""Folder: a journal's files, `usage-00000001.jsonl` and so on. The newest is appended to, the oldest are removed."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

_NAME = re.compile(r"usage-([0-9]{8})\.jsonl")
_BLOCK = 1 << 20
#: Bytes of a line that is read; none of ours is as long.
_LONGEST = 64 * 1024


def journal_files(folder: Path) -> list[tuple[int, Path]]:
    """The files by number, the oldest first; none where there is no folder. Raises OSError."""
    if not folder.exists():
        return []
    found = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return sorted((int(match[1]), path) for match, path in found if match)


def journal_file(folder: Path, number: int) -> Path:
    """The file of a number."""
    return folder / f"usage-{number:08d}.jsonl"


def whole_lines(path: Path, offset: int = 0) -> Iterator[bytes]:
    """The lines from `offset` on that have an end; the last may be one that is being written. Raises OSError."""
    with path.open("rb") as file:
        file.seek(offset)
        while line := file.readline(_LONGEST):
            if line.endswith(b"\n"):
                yield line
            elif len(line) == _LONGEST:
                yield b""  # a line of garbage, however long: read over, and counted by who reads it as one or more


def last_line(path: Path) -> bytes:
    """The last whole line; empty where there is none. Raises OSError."""
    end = end_of_lines(path)
    start = max(0, end - _LONGEST)
    with path.open("rb") as file:
        file.seek(start)
        return file.read(end - start).rstrip(b"\n").rpartition(b"\n")[2]


def end_of_lines(path: Path) -> int:
    """Where the last whole line ends: what is behind it was torn by a crash. Raises OSError."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - _BLOCK)
            file.seek(start)
            last = file.read(end - start).rfind(b"\n")
            if last >= 0:
                return start + last + 1
            end = start
    return 0
