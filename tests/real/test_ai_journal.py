"""The journal of a process that is killed: nothing is written twice or by half, and the totals are those of what was written."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from marchproxy.model.ai import AllowanceScope
from marchproxy.modules.ailb.ledger.file_store import FileLimits, FileStore
from marchproxy.modules.ailb.ledger.folder import journal_files
from marchproxy.modules.ailb.ledger.periods import nanoseconds, today
from marchproxy.modules.ailb.ledger.totals import Totals

NOW = nanoseconds("2031-05-20T12:00:00Z")
LIMITS = FileLimits(largest=200_000, keep=100)
# settles requests as fast as it can, numbered from what the journal has already; snapshots all the time
WRITER = f"""
import asyncio, sys
from pathlib import Path
from marchproxy.kit.clock import SystemClock
from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.ledger import Totals, Who
from marchproxy.modules.ailb.ledger.entry import Entry
from marchproxy.modules.ailb.ledger.file_store import FileLimits, FileStore
from marchproxy.modules.ailb.ledger.journal import Journal, JournalLimits
from marchproxy.modules.ailb.ledger.periods import today

async def main(folder, first):
    totals, store = Totals(), FileStore(folder, FileLimits({LIMITS.largest}, {LIMITS.keep}))
    store.restore(totals, {NOW})
    journal = Journal(store, totals, SystemClock(), JournalLimits(gather=0.0, snapshot_every=0.01))
    async with asyncio.TaskGroup() as group:
        group.create_task(journal.run())
        while True:
            for _ in range(100):
                totals.add(Who("k"), "m", 5, today({NOW}))
                journal.put(Entry({NOW}, first, "r", Who("k"), "m", "p", Usage(1, 2), 5, "complete", True))
                first += 1
            while journal.waiting > 1000:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0)

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


def write_and_kill(folder: Path, first: int, more: int) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(folder), str(first)]) as writer:
        try:
            size, deadline = written(folder), time.monotonic() + 60
            while written(folder) < size + more:
                assert writer.poll() is None, "the writer ended by itself"
                assert time.monotonic() < deadline, "the writer writes nothing"
                time.sleep(0.005)
        finally:
            writer.send_signal(signal.SIGKILL)


def written(folder: Path) -> int:
    return sum(path.stat().st_size for _, path in journal_files(folder))


def test_a_journal_whose_writer_is_killed_again_and_again(tmp_path):
    numbers: list[int] = []
    for more in (50_000, 300_000, 1):
        write_and_kill(tmp_path, len(numbers), more)
        store, totals = FileStore(tmp_path, LIMITS), Totals()
        store.restore(totals, NOW)
        store.close()
        numbers = [entry.number for entry in store.entries(0, 2 * NOW)]
        assert numbers == list(range(len(numbers)))
        assert totals.of(AllowanceScope.KEY, "k").in_day(today(NOW)) == 5 * len(numbers)
    assert len(journal_files(tmp_path)) > 1
