"""One child process: started in its own session, on a leash, and ended for certain."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress


class Child:
    """A process of ours. `status` is None while it runs."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, command: Sequence[str], environ: Mapping[str, str], log: int) -> "Child":
        """Start it; both its outputs go to the descriptor `log`. Raises OSError.

        A session of its own keeps a Ctrl-C on our terminal from it; the leash ends it when we are killed.
        """
        process = await asyncio.create_subprocess_exec(
            *command,
            *("--leash", str(os.getpid())),
            env=environ,
            stdin=DEVNULL,
            stdout=log,
            stderr=STDOUT,
            start_new_session=True,
        )
        return cls(process)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Its exit code, or minus the signal that ended it."""
        return self._process.returncode

    async def exited(self) -> str:
        """Wait for its end; how it ended, in words."""
        code = await self._process.wait()
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    async def stop(self, seconds: float) -> bool:
        """SIGTERM, and SIGKILL after so many seconds; whether it ended by itself. Cancelled: SIGKILL at once."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(seconds):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()
            return False
        return True

    def kill(self) -> None:
        """SIGKILL, without waiting."""
        with suppress(ProcessLookupError):
            self._process.kill()
