"""Launcher: starts and drains further instances of a module as processes on this machine."""

import asyncio
import signal
from asyncio.subprocess import Process
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from marchproxy.kit.clock import Clock, SystemClock
from marchproxy.kit.logs import get_logger
from marchproxy.model.problem import RefusalCode, Refused

_log = get_logger(__name__)
_MARGIN_SECONDS = 15.0  # for a replica to end after its drain, before it is killed
_POLL_SECONDS = 0.05

#: The command line that starts the replica of a number.
Command = Callable[[int], Sequence[str]]


@dataclass(frozen=True, slots=True)
class _Leaving:
    """A replica that was told to stop, and when it is killed (monotonic seconds)."""

    process: Process
    deadline: float


class ProcessLauncher:
    """Owns the replicas it started: they end when it closes. Bounded by `most` replicas beside the instance itself.

    Whoever asks for fewer does not wait for their drain: `reap`, called now and then, sees to its end.
    """

    def __init__(
        self,
        command: Command,
        *,
        prepare: Callable[[int], None],
        drain_seconds: float,
        most: int = 63,
        clock: Clock | None = None,
    ) -> None:
        """`prepare` is called with a replica's number before it starts; it leaves the running state for it."""
        self._command = command
        self._prepare = prepare
        self._drain_seconds = drain_seconds
        self._most = most
        self._clock = clock or SystemClock()
        self._replicas: dict[int, Process] = {}
        self._leaving: dict[int, _Leaving] = {}
        self._busy = asyncio.Lock()

    @property
    def instances(self) -> int:
        """How many instances there are to stay, the first one included."""
        self._forget_ended()
        return 1 + len(self._replicas)

    @property
    def draining(self) -> int:
        """How many replicas have been told to stop and have not ended yet."""
        return len(self._leaving)

    async def scale_to(self, wanted: int) -> int:
        """Start replicas, or have them drain, until there are `wanted` instances; the newest go first. Raises Refused."""
        if not 1 <= wanted <= self._most + 1:
            raise Refused(
                RefusalCode.INVALID_ARGUMENT, f"{wanted} instances: from 1 to {self._most + 1} can run here"
            )
        async with self._busy:
            while self.instances < wanted:
                await self._start_one()
            self._dismiss(sorted(self._replicas, reverse=True)[: self.instances - wanted])
        return self.instances

    async def reap(self) -> None:
        """Let go of replicas that have ended, and kill those that should have by now."""
        now = self._clock.monotonic()
        for number, leaving in list(self._leaving.items()):
            process = leaving.process
            if process.returncode is not None:
                _log.info("replica ended", number=number, exit_code=process.returncode)
                del self._leaving[number]
            elif now >= leaving.deadline:
                _log.warning("replica did not stop in time and was killed", number=number, pid=process.pid)
                process.kill()
                await process.wait()
                del self._leaving[number]

    async def close(self) -> None:
        """Drain and end every replica."""
        async with self._busy:
            self._dismiss(list(self._replicas))
            while self._leaving:
                await self.reap()
                await asyncio.sleep(_POLL_SECONDS if self._leaving else 0)

    async def _start_one(self) -> None:
        taken = self._replicas.keys() | self._leaving.keys()
        number = next(n for n in range(2, len(taken) + 3) if n not in taken)
        self._prepare(number)
        command = self._command(number)
        try:
            self._replicas[number] = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
            )
        except OSError as error:
            raise Refused(RefusalCode.ERROR, f"cannot start a replica with {command[0]}: {error}") from error
        _log.info("replica started", number=number, pid=self._replicas[number].pid)

    def _dismiss(self, numbers: Collection[int]) -> None:
        deadline = self._clock.monotonic() + self._drain_seconds + _MARGIN_SECONDS
        for number in numbers:
            process = self._replicas.pop(number)
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            self._leaving[number] = _Leaving(process, deadline)

    def _forget_ended(self) -> None:
        for number, process in list(self._replicas.items()):
            if process.returncode is not None:
                _log.warning("replica ended by itself", number=number, exit_code=process.returncode)
                del self._replicas[number]
