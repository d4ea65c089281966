"""Processes of a test: they end with it, by their own id, and a test that fails shows what they said."""

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from marchproxy.engines.envoy import shared_memory


class Started:
    """A process that was started; its output goes to `log`."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self.log = log

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def ended(self, within: float) -> int:
        """Its exit code; fails with its log when it does not end in time."""
        try:
            async with asyncio.timeout(within):
                return await self._process.wait()
        except TimeoutError:
            raise AssertionError(f"it did not end within {within} s:\n{self.log.read_text()}") from None

    async def end(self) -> None:
        """SIGTERM, then SIGKILL; shows the log, which pytest prints when the test failed."""
        if self.running:
            with suppress(ProcessLookupError):
                self.send(signal.SIGTERM)
            with suppress(TimeoutError):
                async with asyncio.timeout(8):
                    await self._process.wait()
        if self.running:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        print(f"--- {self.log}\n{self.log.read_text()}")  # noqa: T201 - pytest shows it when the test failed


async def start(command: Sequence[str], log: Path, env: dict[str, str] | None = None) -> Started:
    """Start a command in its own session, its output appended to `log`."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
    return Started(process, log)


def naming(path: Path) -> list[psutil.Process]:
    """The processes that name a path of this test on their command line, but for keepers: they end with their Envoys.

    `info` of each has its name and its command line as they were, also when it has gone meanwhile.
    """
    return [
        process
        for process in psutil.process_iter(["name", "cmdline"])
        if process.info["name"] != "sh" and any(str(path) in word for word in process.info["cmdline"] or ())
    ]


def kill_left(path: Path) -> None:
    """Kill what still names the path: an Envoy that outlived its supervisor, as it should."""
    for process in naming(path):
        with suppress(psutil.Error):
            arguments = process.cmdline()
            process.kill()
            process.wait(5)
            if "--base-id" in arguments:  # an Envoy that is killed leaves its piece of shared memory
                shared_memory.remove(int(arguments[arguments.index("--base-id") + 1]))
