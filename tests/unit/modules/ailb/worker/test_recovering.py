"""A decider that takes over reads what Envoy has written down."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from marchproxy.engines.envoy.log_rotation import aside
from marchproxy.kit.clock import Clock
from marchproxy.modules.ailb.asking import WRITTEN
from marchproxy.modules.ailb.settling.entries import Told
from marchproxy.modules.ailb.settling.written import Search
from marchproxy.modules.ailb.worker.house import House
from marchproxy.modules.ailb.worker.recovering import recover

SEARCH = Search(100, {8}, 0)


def line(number: int) -> bytes:
    found = {"at": "1", "cluster": "pool.a", "status": "200", "told": f'{{"x-ai-id":"{number}"}}'}
    return "\t".join([found.get(name, "-") for name in WRITTEN]).encode() + b"\n"


class Pauses:
    """A clock at whose pauses something happens."""

    def __init__(self, *happens: Callable[[], object]) -> None:
        self._happens = list(happens)

    async def sleep(self, _: float) -> None:
        if self._happens:
            self._happens.pop(0)()


async def recovered(path: Path, *happens: Callable[[], object]) -> list[int]:
    told: list[Told] = []
    house: Any = SimpleNamespace(envoy_says=told.append)
    await recover(path, SEARCH, cast("House", house), cast("Clock", Pauses(*happens)))
    return [one.report.number for one in told]


async def test_each_line_is_told_once_though_the_file_grows_and_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "ends.log"
    aside(path, 1).write_bytes(line(1) + line(8))
    path.write_bytes(line(2) + b"garbage\n" + line(3)[:-5])

    def grow() -> None:
        with path.open("ab") as file:
            file.write(line(3)[-5:] + line(4))

    def turn() -> None:
        path.replace(aside(path, 1))
        path.write_bytes(line(100) + line(5))

    assert await recovered(path, grow, turn) == [1, 2, 3, 4, 5]


async def test_where_nothing_was_written_nothing_is_told(tmp_path: Path) -> None:
    assert await recovered(tmp_path / "ends.log") == []


async def test_a_file_that_cannot_be_read_ends_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ends.log"
    path.mkdir()

    def mend() -> None:
        path.rmdir()
        path.write_bytes(line(1))

    assert await recovered(path, mend) == [1]
