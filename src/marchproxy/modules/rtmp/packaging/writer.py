"""Writer: a stream's files, in the order in which they are to appear, by a thread, so that a slow disk stops nobody."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from marchproxy.kit.files import write_atomically
from marchproxy.kit.logs import get_logger

_log = get_logger(__name__)
_READABLE = 0o644
#: Bytes that may wait for a disk.
MOST_WAITING = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Errand:
    """New files first, then lists that name them, then what no list names any more."""

    files: tuple[tuple[str, bytes], ...] = ()
    lists: Mapping[str, bytes] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    then: Callable[[], object] | None = None
    """Called when the lists are there; of two that are joined, the later one's."""

    @property
    def size(self) -> int:
        """Bytes of the new files."""
        return sum(len(data) for _, data in self.files)

    def joined(self, later: "Errand") -> "Errand | None":
        """Both as one, without what the later one makes needless; None where that brings back what this one removes."""
        if not set(self.gone).isdisjoint([*later.lists, *(name for name, _ in later.files)]):
            return None
        held = {name for name, _ in self.files}
        unwanted = set(later.gone)
        return Errand(
            tuple(file for file in (*self.files, *later.files) if file[0] not in unwanted),
            {name: data for name, data in {**self.lists, **later.lists}.items() if name not in unwanted},
            (*self.gone, *(name for name in later.gone if name not in held)),
            later.then or self.then,
        )


class Writer:
    """Writes into one folder, which it makes. `failed` is called when files could not be written; what waits is dropped."""

    def __init__(self, folder: Path, failed: Callable[[str], None]) -> None:
        self._folder = folder
        self._failed = failed
        self._errands: deque[Errand] = deque()
        self._waiting = 0
        self._wanted = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._ended = False

    def add(self, errand: Errand) -> None:
        """Have it done behind the others; what waits already is joined, so that a slow disk is not asked for old lists."""
        before = self._waiting
        if self._errands and (both := self._errands[-1].joined(errand)) is not None:
            self._waiting -= self._errands.pop().size
            errand = both
        if self._waiting + errand.size > MOST_WAITING:
            self._drop(f"{before} bytes wait for the disk")
            return
        self._errands.append(errand)
        self._waiting += errand.size
        self._idle.clear()
        self._wanted.set()

    def end(self) -> None:
        """Let `run` return when all is done."""
        self._ended = True
        self._wanted.set()

    async def idle(self) -> None:
        """Wait until all is done that was added."""
        await self._idle.wait()

    async def run(self) -> None:
        """Do what is added until `end`."""
        while not self._ended or self._errands:
            await self._wanted.wait()
            self._wanted.clear()
            while self._errands:
                errand = self._errands.popleft()
                self._waiting -= errand.size
                try:
                    await asyncio.to_thread(_carry_out, self._folder, errand)
                    if errand.then is not None:
                        errand.then()
                except OSError as error:
                    self._meet(errand, error.strerror or str(error))
            self._idle.set()

    def _meet(self, errand: Errand, reason: str) -> None:
        if errand.files:
            self._drop(reason)
        else:
            _log.warning("files are not as they should be", folder=str(self._folder), reason=reason)

    def _drop(self, reason: str) -> None:
        self._errands.clear()
        self._waiting = 0
        self._failed(reason)


def _carry_out(folder: Path, errand: Errand) -> None:
    folder.mkdir(exist_ok=True)
    for name, data in errand.files:
        (folder / name).write_bytes(data)
    for name, data in errand.lists.items():
        write_atomically(folder / name, data, mode=_READABLE, durable=False)
    for name in errand.gone:
        (folder / name).unlink(missing_ok=True)
