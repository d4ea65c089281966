"""What the Envoys of one supervisor use of the machine, over restarts."""

from collections.abc import Iterable
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds of all Envoys since the supervisor's start, percent of one core since the last look; resident bytes."""

    cpu_seconds: float = 0.0
    cpu_percent: float = 0.0
    memory_bytes: int = 0


class Consumption:
    """Adds up the Envoys that run, and remembers what those that ended had used when they were last looked at."""

    def __init__(self) -> None:
        self._processes: dict[int, psutil.Process] = {}
        self._seconds: dict[int, float] = {}
        self._ended = 0.0

    def read(self, pids: Iterable[int]) -> Usage:
        """Look at the processes that run now."""
        running = set(pids)
        for pid in self._processes.keys() - running:
            del self._processes[pid]
            self._ended += self._seconds.pop(pid, 0.0)
        percent, memory = 0.0, 0
        for pid in running:
            try:
                process = self._processes.setdefault(pid, psutil.Process(pid))
                with process.oneshot():
                    times = process.cpu_times()
                    self._seconds[pid] = times.user + times.system
                    percent += process.cpu_percent()
                    memory += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return Usage(self._ended + sum(self._seconds.values()), percent, memory)
