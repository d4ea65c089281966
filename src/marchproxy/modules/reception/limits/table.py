"""Table: buckets and counts in memory that the workers of an instance share. One process counts in one column.

A key is in one of the 16 slots of its set, and whoever reads and writes one holds the set's lock: a record lock (fcntl), which
the kernel takes back when its owner dies. A slot is given to another key when its buckets are full and nobody holds a seat in
it, so nothing is forgotten that matters. Where no slot of a set can be given, or a lock is not to be had, nothing is
limited, and the tally counts that.

Record locks belong to a process: nothing else in it may open the table's file, for closing that would unlock everything.
"""

import fcntl
import mmap
import os
import time
from hashlib import blake2b
from pathlib import Path

from marchproxy.modules.reception.limits.layout import (
    COLUMNS,
    HEADER,
    SLOT,
    TAKEN,
    WAYS,
    Layout,
    anonymous,
    hash_key,
    open_file,
)

#: Seconds that a lock is waited for; once in vain, it is not waited for again for a while.
_PATIENCE = 0.25
_SULKING = 5.0
_WORDS = SLOT // 8
_LOCKS_OF_COLUMNS = 1 << 40


LAYOUT = Layout()


class LimitTable:
    """The table as one process has it. `path` None: in memory that is gone with the process.

    `alone`: no other process counts at the same time, but for one that it replaces; then slots are not locked.
    """

    def __init__(self, path: Path | None = None, layout: Layout = LAYOUT, *, alone: bool = False) -> None:
        """Raises OSError when the file cannot be made or mapped, or when all columns are taken."""
        self.shared = path is not None and not alone
        """Whether slots are locked."""
        self._layout = layout
        self._file: int | None = None if path is None else open_file(path, layout)
        try:
            self._memory = anonymous(layout) if self._file is None else mmap.mmap(self._file, layout.size)
            self._key = hash_key(self._memory)
            self.words = memoryview(self._memory).cast("Q")
            self._counts = memoryview(self._memory).cast("I")
            self._impatient_until = 0.0
            self._column = self._take_column()
        except BaseException:
            if self._file is not None:
                os.close(self._file)
            raise
        self._mine = layout.column(self._column) // 4

    def key(self, *parts: str) -> int:
        """What stands for these in the table; never 0."""
        text = "\0".join(parts).encode("utf-8", "surrogatepass")
        return int.from_bytes(blake2b(text, digest_size=8, key=self._key).digest(), "little") or 1

    def lock(self, key: int) -> bool:
        """Hold the set of a key; False: somebody else holds it for so long that something is wrong."""
        return not self.shared or self._try(key % self._layout.sets) or self._wait(key)

    def unlock(self, key: int) -> None:
        """Let go of the set of a key."""
        if self.shared and self._file is not None:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, key % self._layout.sets)

    def find(self, key: int, now: int) -> int:
        """The first word of the key's slot, which is taken when there is none; -1: none can be had. Under the lock."""
        words = self.words
        first = (HEADER // 8) + (key % self._layout.sets) * WAYS * _WORDS
        end = first + WAYS * _WORDS
        keys = words[first:end:_WORDS].tolist()
        if key in keys:
            return first + keys.index(key) * _WORDS
        at = next((at for at in range(first, end, _WORDS) if self._is_free(at, now)), -1)
        if at >= 0:
            words[at + 1] = words[at + 2] = words[at + 3] = 0
            words[at] = key
        return at

    def held(self, at: int) -> int:
        """How many seats are held in a slot, by all processes."""
        counts, layout = self._counts, self._layout
        row = self._row(at)
        return sum(
            counts[layout.column(column) // 4 + row]
            for column, taken in enumerate(self.words[TAKEN : TAKEN + COLUMNS])
            if taken
        )

    def hold(self, at: int) -> None:
        """One more seat for this process."""
        self._counts[self._mine + self._row(at)] += 1

    def let_go(self, at: int) -> None:
        """One less; the slot is still the same, for a held one is not given away."""
        self._counts[self._mine + self._row(at)] -= 1

    def bury(self) -> None:
        """Forget what processes held that are dead. Called about once a second."""
        for column in range(COLUMNS):
            if column != self._column and self.words[TAKEN + column] and self._lock_column(column):
                self._clear(column)
                self.words[TAKEN + column] = 0
                self._unlock_column(column)

    def close(self) -> None:
        """Give everything back. The table must not be used any more."""
        self._clear(self._column)
        self.words[TAKEN + self._column] = 0
        self.words.release()
        self._counts.release()
        self._memory.close()
        if self._file is not None:
            os.close(self._file)

    def _row(self, at: int) -> int:
        return (at - HEADER // 8) // _WORDS

    def _is_free(self, at: int, now: int) -> bool:
        key, *times = self.words[at : at + _WORDS].tolist()
        return not key or (max(times) <= now and not self.held(at))

    def _wait(self, key: int) -> bool:
        started = time.monotonic()
        if started < self._impatient_until:
            return False
        while time.monotonic() < started + _PATIENCE:
            os.sched_yield()
            if self._try(key % self._layout.sets):
                return True
        self._impatient_until = started + _SULKING
        return False

    def _take_column(self) -> int:
        for column in range(COLUMNS):
            if self._lock_column(column):
                self._clear(column)
                self.words[TAKEN + column] = 1
                return column
        raise OSError(f"{COLUMNS} processes count in the table of limits already")

    def _clear(self, column: int) -> None:
        start, nothing = self._layout.column(column), bytes(4 * self._layout.slots)
        if self._memory[start : start + len(nothing)] != nothing:  # or every column would take memory
            self._memory[start : start + len(nothing)] = nothing

    def _lock_column(self, column: int) -> bool:
        return self._file is None or self._try(_LOCKS_OF_COLUMNS + column)

    def _unlock_column(self, column: int) -> None:
        if self._file is not None:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _LOCKS_OF_COLUMNS + column)

    def _try(self, place: int) -> bool:
        try:
            fcntl.lockf(self._file or 0, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except BlockingIOError:
            return False
        return True
