"""File store: entries in files of lines that are appended to, and a snapshot of the totals beside them.

One process writes to a folder, which a lock says; anybody may read it meanwhile.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from marchproxy.kit.files import write_atomically
from marchproxy.kit.logs import get_logger
from marchproxy.modules.ailb.ledger import snapshot
from marchproxy.modules.ailb.ledger.entry import HEAD, Entry, Garbled, decode
from marchproxy.modules.ailb.ledger.folder import (
    end_of_lines,
    journal_file,
    journal_files,
    last_line,
    whole_lines,
)
from marchproxy.modules.ailb.ledger.periods import iso, today
from marchproxy.modules.ailb.ledger.snapshot import Position, Snapshot, Unusable
from marchproxy.modules.ailb.ledger.totals import Row, Totals

_SNAPSHOT = "totals"
_MODE = 0o640
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FileLimits:
    """`largest`: bytes after which a file is followed by another; `keep`: how many there are at most."""

    largest: int = 64 * 1024 * 1024
    keep: int = 16


class FileStore:
    """A folder. It is made, locked and put in order when it is first written to, or restored from."""

    def __init__(self, folder: Path, limits: FileLimits = FileLimits()) -> None:
        self._folder = folder
        self._limits = limits
        self._lock: int | None = None
        self._file: int | None = None
        self._number = 0
        self._size = 0

    def restore(self, totals: Totals, now: int) -> None:
        """Add what was spent in the month of `now`. Raises OSError, also where another process writes to the folder."""
        self._open()
        when = today(now)
        kept = self._kept()
        kept.restore(totals, when)
        garbled = 0
        for number, path in journal_files(self._folder):
            if number < kept.position.file or _ends_before(path, when.month_begins):
                continue
            offset = kept.position.offset if number == kept.position.file else 0
            for line in whole_lines(path, offset):
                try:
                    entry = decode(line)
                except Garbled:
                    garbled += 1
                else:
                    at = today(entry.at)
                    if at.month >= when.month:
                        totals.add(entry.who, entry.model, entry.cost, at)
        if garbled:
            _log.warning("lines of the journal are none", count=garbled, folder=str(self._folder))

    def append(self, entries: Sequence[Entry]) -> None:
        """Write all of them, or none. Raises OSError."""
        self._open()
        if self._size >= self._limits.largest:
            self._turn()
        assert self._file is not None
        data = memoryview(b"".join(entry.encode() for entry in entries))
        written = 0
        try:
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError:
            os.ftruncate(self._file, self._size)  # possible on a full disk, too
            raise
        self._size += written

    def snapshot(self, rows: Sequence[Row]) -> None:
        """Keep the totals with where the journal ends now; both outlive the host's power. Raises OSError."""
        self._open()
        assert self._file is not None
        os.fdatasync(self._file)
        kept = Snapshot(Position(self._number, self._size), rows)
        write_atomically(self._folder / _SNAPSHOT, kept.encode(), mode=_MODE)

    def entries(self, since: int, until: int) -> Iterator[Entry]:
        """Those that ended at or after `since` and before `until`; lines that are none are left out. Raises OSError."""
        for _, path in journal_files(self._folder):
            if _ends_before(path, since):
                continue
            for line in whole_lines(path):
                try:
                    entry = decode(line)
                except Garbled:
                    continue
                if since <= entry.at < until:
                    yield entry

    def numbers(self, since: int, until: int) -> set[int]:
        """The reservations of those entries. Only their heads are read: a decider that takes over has no time to lose. Raises OSError."""
        first, last, found = iso(since).encode(), iso(until).encode(), set[int]()
        for _, path in journal_files(self._folder):
            if _ends_before(path, since):
                continue
            heads = (HEAD.match(line) for line in whole_lines(path))
            found.update(int(head[2]) for head in heads if head and first <= head[1] < last)
        return found

    def close(self) -> None:
        """Let go of the file and the folder."""
        for descriptor in (self._file, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._file = self._lock = None

    def _open(self) -> None:
        if self._file is not None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._lock is None:
            self._lock = _locked(self._folder / "lock")
        files, known = journal_files(self._folder), self._kept().position
        number = files[-1][0] if files else known.file + 1
        path = journal_file(self._folder, number)
        file = _appending(path)
        try:
            size, end = os.fstat(file).st_size, end_of_lines(path)
            if size > end:
                _log.warning("the journal's last line was torn", file=str(path), bytes=size - end)
                os.ftruncate(file, end)
        except OSError:
            os.close(file)
            raise
        if number == known.file and end < known.offset:
            # the host's power took some with it: behind the snapshot's position nothing would be seen
            os.close(file)
            number, end = number + 1, 0
            file = _appending(journal_file(self._folder, number))
        self._file, self._number, self._size = file, number, end

    def _turn(self) -> None:
        """Go on in another file."""
        assert self._file is not None
        os.fdatasync(self._file)
        following = _appending(journal_file(self._folder, self._number + 1))
        os.close(self._file)
        self._file, self._number, self._size = following, self._number + 1, 0
        for _, path in journal_files(self._folder)[: -self._limits.keep]:
            path.unlink(missing_ok=True)

    def _kept(self) -> Snapshot:
        try:
            return snapshot.decode((self._folder / _SNAPSHOT).read_bytes())
        except FileNotFoundError:
            return Snapshot()
        except Unusable as error:
            _log.warning("the snapshot of the totals cannot be used; the journal is read", reason=str(error))
            return Snapshot()


def _appending(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _MODE)


def _locked(path: Path) -> int:
    """Hold the lock of a folder. Raises OSError, where another process does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise OSError(error.errno, "another process writes to this journal", str(path.parent)) from error
    return descriptor


def _ends_before(path: Path, time: int) -> bool:
    """Whether the last entry of a file is older."""
    try:
        return decode(last_line(path)).at < time
    except Garbled:
        return False
