"""Files of a stream in their order, and what is left out when a disk is slow."""

import asyncio
from pathlib import Path

import pytest

from marchproxy.modules.rtmp.packaging.writer import Errand, Writer


def done() -> None:
    """What comes after lists."""


_FIRST = Errand((("1", b"one"),), {"list": b"1"}, ("0",), done)


@pytest.mark.parametrize(
    ("later", "both"),
    [
        (Errand(), _FIRST),
        (
            Errand((("2", b"two"),), {"list": b"2", "other": b"2"}),
            Errand((("1", b"one"), ("2", b"two")), {"list": b"2", "other": b"2"}, ("0",), done),
        ),
        (Errand(gone=("1",)), Errand((), {"list": b"1"}, ("0",), done)),  # it was never there
        (Errand(gone=("9",)), Errand((("1", b"one"),), {"list": b"1"}, ("0", "9"), done)),
        (
            Errand(gone=("list",)),
            Errand((("1", b"one"),), {}, ("0", "list"), done),
        ),  # an older one may be there
        (Errand((("0", b"again"),)), None),
        (Errand(lists={"0": b"again"}), None),
    ],
)
def test_errands_that_wait_are_joined(later: Errand, both: Errand | None) -> None:
    assert _FIRST.joined(later) == both


async def test_a_backlog_is_no_longer_than_what_is_listed(tmp_path: Path) -> None:
    folder, written = tmp_path / "stream", 0
    failures: list[str] = []
    writer = Writer(folder, failures.append)

    def count() -> None:
        nonlocal written
        written += 1

    writer.add(Errand(gone=("list",)))
    data = bytes(2**20)
    for number in range(200):  # three times as much as may wait
        gone = (f"{number - 3}",) if number >= 3 else ()
        writer.add(Errand(((f"{number}", data),), {"list": b"%d" % number}, gone, count))
    writer.end()
    async with asyncio.timeout(20):
        await writer.run()
    assert not failures
    assert sorted(one.name for one in folder.iterdir()) == ["197", "198", "199", "list"]
    assert (folder / "list").read_bytes() == b"199"
    assert written == 1


async def test_what_comes_back_is_not_removed(tmp_path: Path) -> None:
    writer = Writer(tmp_path, pytest.fail)
    writer.add(Errand(lists={"list": b"before"}))
    writer.add(Errand(gone=("list",)))
    writer.add(Errand(lists={"list": b"after"}))
    writer.end()
    async with asyncio.timeout(20):
        await writer.run()
    assert (tmp_path / "list").read_bytes() == b"after"
