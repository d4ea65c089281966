"""Files of entries: what is there after a crash, on a full disk, and after many turns."""

import os
from dataclasses import replace

import psutil
import pytest

from marchproxy.model.ai import AllowanceScope
from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.ledger.entry import Entry, Garbled, decode
from marchproxy.modules.ailb.ledger.file_store import FileLimits, FileStore
from marchproxy.modules.ailb.ledger.folder import journal_files
from marchproxy.modules.ailb.ledger.periods import DAY, SECOND, iso, nanoseconds, today
from marchproxy.modules.ailb.ledger.totals import Totals
from marchproxy.modules.ailb.ledger.who import Who

NOW = nanoseconds("2031-05-20T12:00:00Z")
ENTRY = Entry(NOW, 7, "r-1", Who("k", "ann", "red"), "m", "p", Usage(10, 20, 5), 1_500_000, "complete", True)


def spent(folder, now=NOW):
    store, totals = FileStore(folder), Totals()
    store.restore(totals, now)
    store.close()
    return totals.of(AllowanceScope.USER, "ann").in_day(today(now)), totals.of(
        AllowanceScope.EVERYTHING, ""
    ).in_month(today(now))


@pytest.fixture
def store(tmp_path):
    store = FileStore(tmp_path / "journal")
    yield store
    store.close()


@pytest.mark.parametrize(
    "entry", [ENTRY, replace(ENTRY, who=Who(), request_id='"\n\u2028', is_counted=False)]
)
def test_an_entry_is_a_line_and_back(entry):
    line = entry.encode()
    assert line.count(b"\n") == 1
    assert decode(line) == entry


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b"1",
        b"\xff",
        b"[" * 100_000,
        ENTRY.encode()[:-5],
        ENTRY.encode().replace(b"1500000", b"-1"),
        ENTRY.encode().replace(b"1500000", b"9" * 30),
        ENTRY.encode().replace(b"2031-", b"9999-"),
    ],
)
def test_what_is_no_entry(line):
    with pytest.raises(Garbled):
        decode(line)


def test_nothing_is_lost_without_a_snapshot(store, tmp_path):
    store.append([ENTRY, ENTRY])
    store.append([ENTRY])
    store.close()
    assert spent(tmp_path / "journal") == (4_500_000, 4_500_000)


def test_a_snapshot_and_what_came_after_it(store, tmp_path):
    totals = Totals()
    store.restore(totals, NOW)
    store.append([ENTRY])
    totals.add(ENTRY.who, "m", ENTRY.cost, today(NOW))
    store.snapshot(totals.rows())
    store.append([ENTRY])
    store.close()
    assert spent(tmp_path / "journal") == (3_000_000, 3_000_000)


def test_who_spent_nothing_this_month_is_not_restored(store, tmp_path):
    totals = Totals()
    totals.add(ENTRY.who, "m", ENTRY.cost, today(NOW))
    store.snapshot(totals.rows())
    again = Totals()
    store.restore(again, NOW + 31 * DAY)
    assert again.rows() == ()


def test_what_was_spent_on_other_days_is_not_of_this_one(store, tmp_path):
    for at in (NOW - 30 * DAY, NOW - DAY, NOW):
        store.append([replace(ENTRY, at=at)])
    store.close()
    assert spent(tmp_path / "journal") == (1_500_000, 3_000_000)
    assert spent(tmp_path / "journal", NOW + DAY) == (0, 3_000_000)
    assert spent(tmp_path / "journal", NOW + 15 * DAY) == (0, 0)


def test_a_torn_last_line_is_cut_off(store, tmp_path):
    store.append([ENTRY])
    store.close()
    path = tmp_path / "journal" / "usage-00000001.jsonl"
    with path.open("ab") as file:
        file.write(ENTRY.encode()[:40])
    assert spent(tmp_path / "journal") == (1_500_000, 1_500_000)
    store.append([ENTRY])
    assert path.read_bytes() == ENTRY.encode() * 2


def test_garbage_between_lines_is_stepped_over(store, tmp_path):
    store.append([ENTRY])
    with (tmp_path / "journal" / "usage-00000001.jsonl").open("ab") as file:
        file.write(b"\0" * 200_000 + b"\nnonsense\n")
    store.close()
    store.append([ENTRY])
    store.close()
    assert spent(tmp_path / "journal") == (3_000_000, 3_000_000)
    assert len(list(store.entries(0, NOW + DAY))) == 2


@pytest.mark.parametrize(
    "damage", [b"", b"{}\n[]", b"\xff\n", b'{"format": 1, "file": 9, "offset": 9, "crc32": 1}\n[]']
)
def test_a_damaged_snapshot_means_reading_the_journal(store, tmp_path, damage):
    store.append([ENTRY])
    totals = Totals()
    totals.add(ENTRY.who, "m", ENTRY.cost, today(NOW))
    store.snapshot(totals.rows())
    store.close()
    (tmp_path / "journal" / "totals").write_bytes(damage)
    assert spent(tmp_path / "journal") == (1_500_000, 1_500_000)


def test_files_turn_and_the_oldest_go(tmp_path):
    store = FileStore(tmp_path, FileLimits(largest=1000, keep=3))
    for _ in range(40):
        store.append([ENTRY])
    store.close()
    files = journal_files(tmp_path)
    assert [number for number, _ in files] == [files[0][0], files[0][0] + 1, files[0][0] + 2]
    assert all(path.stat().st_size < 1000 + len(ENTRY.encode()) for _, path in files)


@pytest.mark.parametrize("loss", ["all", "the end"])
def test_a_snapshot_that_reaches_further_than_the_journal_hides_nothing(store, tmp_path, loss):
    store.append([ENTRY] * 3)
    totals = Totals()
    totals.add(ENTRY.who, "m", 3 * ENTRY.cost, today(NOW))
    store.snapshot(totals.rows())
    store.close()
    path = tmp_path / "journal" / "usage-00000001.jsonl"
    if loss == "all":
        path.unlink()
    else:
        os.truncate(path, len(ENTRY.encode()))
    again = FileStore(tmp_path / "journal")
    again.append([ENTRY])
    again.close()
    assert spent(tmp_path / "journal") == (6_000_000, 6_000_000)


def test_a_batch_that_does_not_fit_leaves_no_part(store, tmp_path, monkeypatch):
    store.append([ENTRY])
    write = os.write

    def full(descriptor, data):
        if len(data) > 100:
            return write(descriptor, data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        store.append([ENTRY, ENTRY])
    monkeypatch.undo()
    store.append([ENTRY])
    assert (tmp_path / "journal" / "usage-00000001.jsonl").read_bytes() == ENTRY.encode() * 2


def test_a_file_that_cannot_be_finished_leaves_nothing_open(tmp_path, monkeypatch):
    store = FileStore(tmp_path, FileLimits(largest=1))
    store.append([ENTRY])
    before = psutil.Process().num_fds()

    def broken(_descriptor):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", broken)
        for _ in range(3):
            with pytest.raises(OSError, match="Input/output"):
                store.append([ENTRY])
    assert psutil.Process().num_fds() == before
    store.append([ENTRY])
    store.close()
    assert spent(tmp_path) == (3_000_000, 3_000_000)


def test_two_do_not_write_to_one_folder(store, tmp_path):
    store.append([ENTRY])
    with pytest.raises(OSError, match="another process"):
        FileStore(tmp_path / "journal").append([ENTRY])


def test_entries_between_two_times(store):
    times = [NOW - 2 * SECOND, NOW - SECOND, NOW]
    store.append([replace(ENTRY, at=at) for at in times])
    assert [entry.at for entry in store.entries(times[1], times[2])] == [times[1]]


def test_the_numbers_between_two_times(store, tmp_path):
    times = [NOW - 2 * SECOND, NOW - SECOND, NOW]
    store.append([replace(ENTRY, at=at, number=number) for number, at in enumerate(times)])
    with (tmp_path / "journal" / "usage-00000001.jsonl").open("ab") as file:
        file.write(b"garbage\n" + ENTRY.encode()[:-1])
    assert store.numbers(times[0], NOW + SECOND) == {0, 1, 2}
    assert store.numbers(times[1], times[2]) == {1}


@pytest.mark.parametrize("text", ["2031-05-20T12:00:00.123Z", "1970-01-01T00:00:00.000Z"])
def test_times_as_text_and_back(text):
    assert iso(nanoseconds(text)) == text


@pytest.mark.parametrize(
    ("text", "month_ends"),
    [
        ("2031-12-31T23:59:59.999Z", "2032-01-01T00:00:00.000Z"),
        ("2032-02-29T00:00:00Z", "2032-03-01T00:00:00.000Z"),
    ],
)
def test_days_and_months(text, month_ends):
    when = today(nanoseconds(text))
    assert when.begins <= nanoseconds(text) < when.ends == when.begins + DAY
    assert iso(when.month_ends) == month_ends
    assert today(when.month_ends).month == when.month + 1
