"""Layout: the file in which all workers of an instance count, and how it comes to be. Workers map it into their memory.

A page of header, then slots of four 64-bit words (the key, and an arrival time for each of a limit's three rates), then
for each of the columns a 32-bit count for each slot. A column belongs to one process: what it counts is what that process
holds, and can be subtracted when it is dead. The disk holds all of it, memory only what somebody counts.
"""

import fcntl
import mmap
import os
import secrets
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HEADER: Final = 4096
SLOT: Final = 32
#: Words of the header: where columns are marked as taken.
TAKEN: Final = 64
#: Processes that may count at once: workers, and those that finish while others have replaced them.
COLUMNS: Final = 64
#: A key is looked for in so many slots, which have one lock.
WAYS: Final = 16

_MAGIC = b"mpxlim01"
_KEY = 16
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are in the file, in bytes. `slots`: a power of two, at least WAYS."""

    slots: int = 65_536

    @property
    def sets(self) -> int:
        """In how many places a key can be."""
        return self.slots // WAYS

    @property
    def size(self) -> int:
        """Of the whole file."""
        return HEADER + self.slots * (SLOT + 4 * COLUMNS)

    def column(self, number: int) -> int:
        """Where a column begins."""
        return HEADER + self.slots * (SLOT + 4 * number)

    def header(self, key: bytes) -> bytes:
        """What a file of this layout begins with; arrival times mean nothing after a reboot, so that counts too."""
        return _MAGIC + struct.pack("<QQ", self.slots, COLUMNS) + _boot() + key


def open_file(path: Path, layout: Layout) -> int:
    """A descriptor of the file, made where there is none that fits. Raises OSError.

    A file of another layout or of before a reboot is replaced, never changed: who has it mapped goes on with it.
    """
    with _one_at_a_time(path):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return _create(path, layout)
        wanted = layout.header(bytes(_KEY))[:-_KEY]
        fits = os.pread(descriptor, len(wanted), 0) == wanted and os.fstat(descriptor).st_size == layout.size
        if fits:
            return descriptor
        os.close(descriptor)
        return _create(path, layout)


def hash_key(memory: mmap.mmap) -> bytes:
    """What keys are hashed with; by chance, so that nobody can aim at a slot."""
    start = len(_MAGIC) + 16 + len(_boot())
    return memory[start : start + _KEY]


def anonymous(layout: Layout) -> mmap.mmap:
    """The same in memory that no other process has."""
    memory = mmap.mmap(-1, layout.size)
    header = layout.header(secrets.token_bytes(_KEY))
    memory[: len(header)] = header
    return memory


def _create(path: Path, layout: Layout) -> int:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        os.posix_fallocate(descriptor, 0, layout.size)  # a disk that is full later would be a SIGBUS
        os.pwrite(descriptor, layout.header(secrets.token_bytes(_KEY)), 0)
        Path(name).replace(path)
    except BaseException:
        os.close(descriptor)
        Path(name).unlink(missing_ok=True)
        raise
    return descriptor


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # held for a few system calls
        yield
    finally:
        os.close(lock)


def _boot() -> bytes:
    return _BOOT.read_bytes().strip().ljust(40, b"\0")[:40]
