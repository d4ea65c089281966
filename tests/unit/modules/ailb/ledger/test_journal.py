"""The journal's task: a store that is slow, full, or gone never holds anybody up."""

import asyncio
import threading

import pytest

from marchproxy.kit.clock import SystemClock
from marchproxy.kit.tasks import beside
from marchproxy.model.ai import AllowanceScope
from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.ledger.entry import Entry
from marchproxy.modules.ailb.ledger.file_store import FileStore
from marchproxy.modules.ailb.ledger.journal import Journal, JournalLimits
from marchproxy.modules.ailb.ledger.periods import today
from marchproxy.modules.ailb.ledger.totals import Totals
from marchproxy.modules.ailb.ledger.who import Who

NOW = 1_900_000_000 * 10**9
QUICK = JournalLimits(queue=10, gather=0.001, patience=0.001, snapshot_every=0.0)


def entry(number: int) -> Entry:
    return Entry(NOW, number, "", Who("k"), "m", "p", Usage(1, 2), 5, "complete", True)


class FakeStore:
    """Keeps what it is given, unless it is full; waits while it is held."""

    def __init__(self) -> None:
        self.kept: list[Entry] = []
        self.rows = ()
        self.full = False
        self.free = threading.Event()
        self.free.set()
        self.closed = False

    def append(self, entries) -> None:
        assert self.free.wait(30)
        if self.full:
            raise OSError(28, "No space left on device")
        self.kept += entries

    def snapshot(self, rows) -> None:
        self.rows = rows

    def close(self) -> None:
        self.closed = True


async def until(condition) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


def numbers(store: FakeStore) -> list[int]:
    return [one.number for one in store.kept]


async def test_entries_are_written_in_order_and_the_rest_at_the_end():
    store, totals = FakeStore(), Totals()
    journal = Journal(store, totals, SystemClock(), QUICK)
    async with beside(journal.run(), name="journal"):
        for number in range(5):
            journal.put(entry(number))
        await until(lambda: len(store.kept) == 5)
        totals.add(Who("k"), "m", 5, today(NOW))
        journal.put(entry(5))
    assert numbers(store) == [0, 1, 2, 3, 4, 5]
    assert (AllowanceScope.KEY.value, "k") in [row[:2] for row in store.rows]
    assert store.closed


async def test_who_asks_is_told_what_is_written_and_what_never_will_be():
    store, told = FakeStore(), []
    store.full = True
    journal = Journal(store, Totals(), SystemClock(), QUICK)
    journal.written = told.extend
    async with beside(journal.run(), name="journal"):
        for number in range(12):
            journal.put(entry(number))
        await until(lambda: told == [10, 11])
        store.full = False
        await until(lambda: told == [10, 11, *range(10)])


async def test_a_full_disk_costs_what_does_not_fit_and_nothing_twice():
    store = FakeStore()
    store.full = True
    journal = Journal(store, Totals(), SystemClock(), QUICK)
    async with beside(journal.run(), name="journal"):
        for number in range(13):
            journal.put(entry(number))
        assert journal.unwritten == 3
        assert journal.waiting == 10
        store.full = False
        await until(lambda: journal.waiting == 0)
        journal.put(entry(99))
    assert numbers(store) == [*range(10), 99]


async def test_a_slow_disk_holds_nobody_up():
    store = FakeStore()
    store.free.clear()
    journal = Journal(store, Totals(), SystemClock(), QUICK)
    async with beside(journal.run(), name="journal"):
        for number in range(20):
            journal.put(entry(number))
            await asyncio.sleep(0)
        assert journal.waiting == 10
        assert journal.unwritten == 10
        store.free.set()
        await until(lambda: journal.waiting == 0)
    assert numbers(store) == list(range(10))


@pytest.mark.parametrize("crash_before_snapshot", [True, False])
async def test_restored_totals_have_everything_once(tmp_path, crash_before_snapshot):
    store, totals = FileStore(tmp_path), Totals()
    store.restore(totals, NOW)
    limits = JournalLimits(snapshot_every=1e9 if crash_before_snapshot else 0.0, gather=0.001)
    journal = Journal(store, totals, SystemClock(), limits)
    for number in range(2500):  # more than are written at once
        totals.add(Who("k"), "m", 5, today(NOW))
        journal.put(entry(number))
        if number % 700 == 0:
            journal.flush()
    if crash_before_snapshot:
        journal.flush()
        store.close()
    else:
        async with beside(journal.run(), name="journal"):
            await until(lambda: journal.waiting == 0)
    again = Totals()
    store.restore(again, NOW)
    store.close()
    assert again.of(AllowanceScope.KEY, "k").in_day(today(NOW)) == 2500 * 5
