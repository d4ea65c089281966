"""A handle on one process, ours or adopted: signal it, wait for its end, reap it. Never confuses a reused pid."""

import asyncio
import os
import select
import signal
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import psutil

from marchproxy.engines.envoy.restart import LastExit
from marchproxy.kit.logs import get_logger

_log = get_logger(__name__)
_KEEPER_SECONDS = 1.0
_KILL_SECONDS = 5.0  # a process in the kernel's hands (disk, network file system) does not die at once


class ProcessHandle:
    """One process, held by its pidfd (Linux ≥ 5.3): the descriptor stays with the process even when the pid is reused.

    Must be closed. `exited` needs the event loop it was first awaited on.
    """

    def __init__(self, pid: int, descriptor: int, start_ticks: int, *, keeper: int | None = None) -> None:
        """`keeper`: the pidfd of its keeper (see `engines.detached`), our child, which ends as the process ended."""
        self.pid = pid
        self.start_ticks = start_ticks
        self._descriptor = descriptor
        self._keeper = keeper
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gone = asyncio.Event()
        self._exit = LastExit()

    @classmethod
    def open(
        cls, pid: int, *, start_ticks: int | None = None, keeper: int | None = None
    ) -> "ProcessHandle | None":
        """Return a handle; None when no such process lives, or it started at another time than `start_ticks`.

        `keeper` is the pid of its keeper, where that is our child (`find_keeper`).
        """
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return None
        # read after the descriptor is held: from here on the pid cannot become another process unnoticed
        found = read_start_ticks(pid)
        if found is None or (start_ticks is not None and found != start_ticks):
            os.close(descriptor)
            return None
        return cls(pid, descriptor, found, keeper=None if keeper is None else os.pidfd_open(keeper))

    def alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        return not self._gone.is_set() and not _ends_within(self._descriptor, 0)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when it is gone."""
        try:
            signal.pidfd_send_signal(self._descriptor, number)
        except ProcessLookupError:
            return

    async def exited(self) -> LastExit:
        """Wait for its end, any number of waiters; reaps it when it is our child."""
        if self._loop is None and not self._gone.is_set():
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._descriptor, self._on_exit)
        await self._gone.wait()
        return self._exit

    async def terminate(self, seconds: float) -> LastExit:
        """SIGTERM, then SIGKILL after `seconds`; returns when it is gone. Cancelled: SIGKILL at once."""
        self.signal(signal.SIGTERM)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    return await self.exited()
            self.signal(signal.SIGKILL)
            async with asyncio.timeout(_KILL_SECONDS):
                return await self.exited()
        except asyncio.CancelledError:
            self.kill_now()
            raise
        except TimeoutError:
            _log.error("process survives SIGKILL, left to the kernel", pid=self.pid)
            return LastExit()

    def kill_now(self, *, seconds: float = 1.0) -> bool:
        """SIGKILL and wait without the event loop, for cleaning up while cancelled; False when it outlived that."""
        if self._gone.is_set():
            return True
        self.signal(signal.SIGKILL)
        if gone := _ends_within(self._descriptor, seconds):
            self._settle(seconds)
        return gone

    def close(self) -> None:
        """Let go of the process, which goes on. Not to be called twice."""
        self._unwatch()
        os.close(self._descriptor)
        if self._keeper is not None:
            os.close(self._keeper)

    def _on_exit(self) -> None:
        # the keeper follows its process within a millisecond or two: not worth another turn of the loop
        self._settle(_KEEPER_SECONDS)

    def _settle(self, seconds: float) -> None:
        """Note how it ended; a keeper that does not follow its process within `seconds` has no business any more."""
        if self._gone.is_set():
            return
        self._unwatch()
        if self._keeper is None:
            self._exit = _reap(self._descriptor)
        elif _ends_within(self._keeper, seconds):
            self._exit = _kept(_reap(self._keeper))
        else:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._keeper, signal.SIGKILL)
            _ends_within(self._keeper, _KEEPER_SECONDS)
            _reap(self._keeper)
        self._gone.set()

    def _unwatch(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._descriptor)
            self._loop = None


def read_start_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot (proc(5)); None when it is gone or a zombie."""
    try:
        content = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # the command name may contain spaces and parentheses; what follows its last one is regular
    fields = content.rpartition(b")")[2].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def find_keeper(pid: int) -> int | None:
    """Return the keeper of a process (see `engines.detached`) where that is our child, else None."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid).parent()
        if parent is not None and parent.pid != os.getpid() and parent.ppid() == os.getpid():
            return parent.pid
    return None


def wait_for_keeper(keeper: int) -> LastExit:
    """Return how a process ended, when its keeper, our child, is about to end with it."""
    descriptor = os.pidfd_open(keeper)
    try:
        _ends_within(descriptor, _KEEPER_SECONDS)
        return _kept(_reap(descriptor))
    finally:
        os.close(descriptor)


def find_by_option(option: str, value: str) -> list[int]:
    """Return the pids of this host's processes with `option value` on their command line."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if (option, value) in pairwise(process.info["cmdline"] or ())
    ]


def _ends_within(descriptor: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _kept(keeper: LastExit) -> LastExit:
    """How a process ended, by how its keeper did: shells tell a signal by an exit code above 128."""
    if keeper.code is None:
        return LastExit()  # somebody killed the keeper
    return LastExit(signal=keeper.code - 128) if keeper.code > 128 else keeper


def _reap(descriptor: int) -> LastExit:
    try:
        result = os.waitid(os.P_PIDFD, descriptor, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return LastExit()  # adopted: its parent, not we, learns how it ended
    if result is None:
        return LastExit()
    if result.si_code == os.CLD_EXITED:
        return LastExit(code=result.si_status)
    return LastExit(signal=result.si_status)
