import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from marchproxy.engines.envoy.handle import ProcessHandle, find_by_option, read_start_ticks
from marchproxy.engines.envoy.restart import LastExit

IGNORES_SIGTERM = (
    "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); sys.stdin.read()"
)


def spawn(code: str) -> int:
    """Start a Python child without a subprocess.Popen, which would reap it behind our back; its stdin never ends."""
    read, write = os.pipe()
    ready, started = os.pipe()
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-S", "-E", "-c", code],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, read, 0), (os.POSIX_SPAWN_DUP2, started, 1)],
    )
    os.close(started)
    os.close(read)
    os.read(ready, 1)  # its first line, or its end
    os.close(ready)
    PIPES[pid] = write
    return pid


PIPES: dict[int, int] = {}


@pytest.fixture(autouse=True)
def _close_pipes() -> Iterator[None]:
    yield
    while PIPES:
        os.close(PIPES.popitem()[1])


def opened(pid: int) -> ProcessHandle:
    handle = ProcessHandle.open(pid)
    assert handle is not None
    return handle


@pytest.mark.parametrize(
    ("code", "end"),
    [("import sys; sys.exit(3)", LastExit(code=3)), ("import os; os.abort()", LastExit(signal=6))],
)
async def test_how_a_child_ended(code, end):
    handle = opened(spawn(f"print(flush=True); input(); {code}"))
    assert handle.alive()
    os.write(PIPES[handle.pid], b"\n")
    assert await handle.exited() == end
    assert await handle.exited() == end  # any number of waiters
    assert not handle.alive()
    handle.signal(signal.SIGTERM)  # the dead do not mind
    handle.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(handle.pid, 0)  # reaped


async def test_terminate_goes_on_to_sigkill():
    handle = opened(spawn(IGNORES_SIGTERM))
    assert await handle.terminate(0.05) == LastExit(signal=9)
    handle.close()


async def test_a_cancelled_terminate_kills():
    handle = opened(spawn(IGNORES_SIGTERM))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(handle.terminate(60))
        await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()
    assert await handle.exited() == LastExit(signal=9)
    handle.close()


def test_another_process_with_the_same_pid_is_not_taken_for_it():
    pid = spawn(IGNORES_SIGTERM)
    ticks = read_start_ticks(pid)
    assert ticks is not None
    assert ProcessHandle.open(pid, start_ticks=ticks + 1) is None
    handle = ProcessHandle.open(pid, start_ticks=ticks)
    assert handle is not None
    assert handle.kill_now()
    handle.close()
    assert ProcessHandle.open(pid, start_ticks=ticks) is None


def test_a_zombie_is_dead():
    pid = spawn("print(flush=True)")
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # ended, not reaped
    assert read_start_ticks(pid) is None
    assert ProcessHandle.open(pid) is None
    os.waitpid(pid, 0)


def test_found_by_its_option_and_not_by_the_value_alone(tmp_path):
    path = str(tmp_path / "x")
    code = "print(flush=True); input()"
    arguments = [["--admin-address-path", path], ["--other", path]]
    children = [
        subprocess.Popen(
            [sys.executable, "-S", "-E", "-c", code, *extra], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for extra in arguments
    ]
    try:
        for child in children:
            assert child.stdout is not None
            child.stdout.readline()
        assert find_by_option("--admin-address-path", path) == [children[0].pid]
    finally:
        for child in children:
            child.communicate(b"\n")
