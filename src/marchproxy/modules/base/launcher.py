"""Launcher: starts and drains further instances of a module as processes on this machine."""

import asyncio
import signal
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence

from marchproxy.kit.logs import get_logger
from marchproxy.model.problem import RefusalCode, Refused

_log = get_logger(__name__)
_MARGIN_SECONDS = 15.0  # for a replica to end after its drain, before it is killed

#: The command line that starts the replica of a number.
Command = Callable[[int], Sequence[str]]


class ProcessLauncher:
    """Owns the replicas it started: they end when it closes. Bounded by `most` replicas beside the instance itself."""

    def __init__(
        self, command: Command, *, prepare: Callable[[int], None], drain_seconds: float, most: int = 63
    ) -> None:
        """`prepare` is called with a replica's number before it starts; it leaves the running state for it."""
        self._command = command
        self._prepare = prepare
        self._drain_seconds = drain_seconds
        self._most = most
        self._replicas: dict[int, Process] = {}
        self._busy = asyncio.Lock()

    @property
    def instances(self) -> int:
        """How many instances there are, the first one included."""
        self._forget_ended()
        return 1 + len(self._replicas)

    async def scale_to(self, wanted: int) -> int:
        """Start or drain replicas until there are `wanted` instances; the newest go first. Raises Refused."""
        if not 1 <= wanted <= self._most + 1:
            raise Refused(
                RefusalCode.INVALID_ARGUMENT, f"{wanted} instances: from 1 to {self._most + 1} can run here"
            )
        async with self._busy:
            while self.instances < wanted:
                await self._start_one()
            surplus = sorted(self._replicas, reverse=True)[: self.instances - wanted]
            await self._end(surplus)
        return self.instances

    async def close(self) -> None:
        """Drain and end every replica."""
        async with self._busy:
            await self._end(list(self._replicas))

    async def _start_one(self) -> None:
        number = next(n for n in range(2, self._most + 3) if n not in self._replicas)
        self._prepare(number)
        command = self._command(number)
        try:
            self._replicas[number] = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
            )
        except OSError as error:
            raise Refused(RefusalCode.ERROR, f"cannot start a replica with {command[0]}: {error}") from error
        _log.info("replica started", number=number, pid=self._replicas[number].pid)

    async def _end(self, numbers: Sequence[int]) -> None:
        leaving = [(number, self._replicas[number]) for number in numbers]
        for _, process in leaving:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
        for number, process in leaving:
            try:
                async with asyncio.timeout(self._drain_seconds + _MARGIN_SECONDS):
                    await process.wait()
            except TimeoutError:
                _log.warning("replica did not stop in time and was killed", number=number, pid=process.pid)
                process.kill()
                await process.wait()
            self._replicas.pop(number, None)  # whoever counted meanwhile may have forgotten it already

    def _forget_ended(self) -> None:
        for number, process in list(self._replicas.items()):
            if process.returncode is not None:
                _log.warning("replica ended by itself", number=number, exit_code=process.returncode)
                del self._replicas[number]
