"""A SQLite store whose process is killed, and one whose disk is full."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from marchproxy.model.revision import RevisionNumber
from marchproxy.store import Store, StoreUnavailable
from tests.store_suite.place import Place, certificate, committed, draft, event

_WITHIN = 60.0


@pytest.mark.parametrize("lines", [1, 2, 7, 20])
async def test_killed_anywhere_it_has_the_old_or_the_new(tmp_path: Path, lines: int) -> None:
    file = tmp_path / "state.db"
    place = Place(f"sqlite:///{file}", "", tmp_path)
    begun, kept = await _killed_after(lines, str(file), str(tmp_path / "secret.key"))
    async with place.open() as store:
        head, pending = await store.head(), await store.pending()
        newest = head.number if head else 0
        assert newest >= kept
        if pending is None:
            assert newest >= begun
        else:
            assert pending.head.number == newest + 1 >= begun
            assert pending.document == b"document %d" % (newest + 1) * 1000
            await store.commit(pending.head.number)
        for head in await store.revisions(limit=1000):
            found = await store.revision(head.number)
            assert found is not None
            assert found.document == b"document %d" % head.number * 1000
        assert await committed(store)


async def _killed_after(lines: int, *arguments: str) -> tuple[int, int]:
    """The numbers that it said it had begun, and committed, last; killed while it works on the next."""
    command = (sys.executable, "-m", "tests.real.support.committing", *arguments)
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    said: list[bytes] = []
    try:
        async with asyncio.timeout(_WITHIN):
            for _ in range(lines):
                said.append(await process.stdout.readline())  # noqa: PERF401 - what came before a deadline counts
    finally:
        process.kill()
        rest, _ = await process.communicate()
    said += [line for line in rest.splitlines(keepends=True) if line.endswith(b"\n")]
    last = dict(line.split() for line in said)
    return int(last[b"begun"]), int(last.get(b"committed", 0))


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


async def test_on_a_full_disk_it_keeps_what_it_has(tiny_disk: Path) -> None:
    place = Place(f"sqlite:///{tiny_disk}/state.db", "", tiny_disk)
    async with place.open() as store:
        head = await committed(store, count=3)
        _fill(tiny_disk / "filler")
        with pytest.raises(
            StoreUnavailable, match=r"state\.db: (no space is left|the disk failed, or is full)"
        ):
            await _write(store, certificates=200)
        assert await store.head() == head
        kept = await store.certificates()
        assert await store.revision(RevisionNumber(3)) is not None
        (tiny_disk / "filler").unlink()
        assert (await committed(store)).number == 4
        assert await store.certificates() == kept
    async with place.open() as store:
        assert (await store.begin(draft(4))).number == 5


async def _write(store: Store, certificates: int) -> None:
    for number in range(certificates):
        await store.put_certificate(certificate(f"c{number}", key_pem=b"x" * 20_000))


async def test_a_disk_that_is_full_from_the_beginning(tiny_disk: Path) -> None:
    place = Place(f"sqlite:///{tiny_disk}/state.db", "", tiny_disk)
    assert place.sealer
    _fill(tiny_disk / "filler")
    with pytest.raises(StoreUnavailable, match=r"state\.db"):
        async with place.open():
            pytest.fail("it was opened")
    (tiny_disk / "filler").unlink()
    async with place.open() as store:
        await store.write_event(event())


def _fill(path: Path) -> None:
    disk = os.statvfs(path.parent)
    path.write_bytes(bytes(disk.f_bavail * disk.f_frsize))
