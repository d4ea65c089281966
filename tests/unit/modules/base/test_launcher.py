"""Replicas as real, small processes."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.modules.base import launcher as module
from marchproxy.modules.base.launcher import ProcessLauncher

OBEDIENT = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
Make = Callable[..., ProcessLauncher]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    """Launchers whose replicas write their number and pid to a file once they handle signals."""
    made: list[ProcessLauncher] = []
    prepared: list[int] = []

    def command(script: str) -> Callable[[int], Sequence[str]]:
        def of(number: int) -> Sequence[str]:
            up = f"{script}; open({str(tmp_path)!r} + '/{number}', 'w').close(); import time; time.sleep(60)"
            return [sys.executable, "-S", "-c", up]

        return of

    def make(script: str = OBEDIENT, *, most: int = 5) -> ProcessLauncher:
        made.append(ProcessLauncher(command(script), prepare=prepared.append, drain_seconds=0.1, most=most))
        return made[-1]

    make.prepared = prepared  # type: ignore[attr-defined]
    yield make
    for launcher in made:
        await launcher.close()


async def up(tmp_path: Path, *numbers: int) -> None:
    async with asyncio.timeout(10):
        while not all((tmp_path / str(number)).exists() for number in numbers):
            await asyncio.sleep(0.005)


def pids() -> list[int]:
    found = []
    for child in psutil.Process(os.getpid()).children():
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):  # it is ending
            if "-S" in child.cmdline():
                found.append(child.pid)
    return found


async def reaped(launcher: ProcessLauncher) -> None:
    """Wait until every replica that was told to stop has ended."""
    async with asyncio.timeout(10):
        while launcher.draining:
            await launcher.reap()
            await asyncio.sleep(0.005)


async def test_starts_and_drains(make: Make, tmp_path: Path) -> None:
    launcher = make()
    assert launcher.instances == 1
    assert await launcher.scale_to(3) == 3
    await up(tmp_path, 2, 3)
    assert make.prepared == [2, 3]  # type: ignore[attr-defined]
    assert await launcher.scale_to(2) == 2
    await reaped(launcher)
    assert len(pids()) == 1
    assert await launcher.scale_to(1) == 1
    await reaped(launcher)
    assert pids() == []


async def test_close_ends_them_all(make: Make, tmp_path: Path) -> None:
    launcher = make()
    await launcher.scale_to(3)
    await up(tmp_path, 2, 3)
    await launcher.close()
    assert (launcher.instances, pids()) == (1, [])


async def test_a_stubborn_one_is_killed(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MARGIN_SECONDS", 0.1)
    launcher = make(STUBBORN)
    await launcher.scale_to(2)
    await up(tmp_path, 2)
    assert await launcher.scale_to(1) == 1
    assert len(pids()) == 1
    await reaped(launcher)
    assert pids() == []


async def test_whoever_asks_does_not_wait_for_a_drain(make: Make, tmp_path: Path) -> None:
    launcher = make(STUBBORN)
    await launcher.scale_to(3)
    await up(tmp_path, 2, 3)
    assert await launcher.scale_to(2) == 2
    assert (launcher.draining, len(pids())) == (1, 2)
    assert await launcher.scale_to(3) == 3  # by another number: the old 3 is still there
    await up(tmp_path, 4)
    assert make.prepared == [2, 3, 4]  # type: ignore[attr-defined]
    for process in pids():
        os.kill(process, signal.SIGKILL)


async def test_one_that_died_is_forgotten_and_its_number_free(make: Make, tmp_path: Path) -> None:
    launcher = make()
    await launcher.scale_to(3)
    await up(tmp_path, 2, 3)
    first = psutil.Process(min(pids()))
    first.kill()
    async with asyncio.timeout(5):
        while launcher.instances == 3:
            await asyncio.sleep(0.005)
    assert await launcher.scale_to(3) == 3
    assert make.prepared == [2, 3, 2]  # type: ignore[attr-defined]


async def test_counting_while_replicas_leave(make: Make, tmp_path: Path) -> None:
    launcher = make()
    await launcher.scale_to(4)
    await up(tmp_path, 2, 3, 4)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(launcher.scale_to(1))
        while not task.done():
            assert 1 <= launcher.instances <= 4
            await asyncio.sleep(0)
    assert task.result() == 1


@pytest.mark.parametrize("wanted", [0, -1, 7, 1000])
async def test_too_many_and_too_few_are_refused(make: Make, wanted: int) -> None:
    launcher = make(most=5)
    with pytest.raises(Refused, match="from 1 to 6 can run here") as refused:
        await launcher.scale_to(wanted)
    assert refused.value.code is RefusalCode.INVALID_ARGUMENT
    assert launcher.instances == 1


async def test_a_command_that_is_not_there_is_refused() -> None:
    launcher = ProcessLauncher(lambda _: ["/nowhere/marchproxy"], prepare=lambda _: None, drain_seconds=0)
    with pytest.raises(Refused, match="cannot start a replica with /nowhere/marchproxy"):
        await launcher.scale_to(2)
    assert launcher.instances == 1
