"""The demo's world: four backends and a `marchproxy up`, all real processes, gone when the block ends."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from marchproxy.cli.demo.config import ALB, MANAGER, BackendSpec, DemoConfig, make_config
from marchproxy.cli.demo.load import Bounds, run_load
from marchproxy.cli.up.parts import Folders
from marchproxy.cli.up.strays import end_strays
from marchproxy.contract.fleet.client import Client, connected
from marchproxy.manager.places import INITIAL_PASSWORD, LOCAL_KEY

_READY_SECONDS = 30.0
_STOP_SECONDS = 20.0
_LOOK_SECONDS = 0.05
_LAST_LINES = 20


class DemoFailed(Exception):
    """The demo cannot go on; the message holds the last lines of what was started."""


class World:
    """What runs, and where it is."""

    def __init__(self, config: DemoConfig, folder: Path, client: Client) -> None:
        self.config = config
        self.client = client
        self.file = folder / "demo.yaml"
        self._state = folder / "state"
        self._log = folder / "up.log"
        self._backends: dict[str, Process] = {}
        self._up: Process | None = None

    @property
    def certificate(self) -> Path:
        """What the ALB shows to clients; it made it itself, so nobody else vouches for it."""
        return self._state / ALB / "self-signed.crt"

    @property
    def local_key(self) -> Path:
        """What opens the manager on this machine."""
        return self._state / MANAGER / LOCAL_KEY

    async def start(self) -> float:
        """Start everything and wait for the first answer; the seconds it took. Raises DemoFailed."""
        started = time.monotonic()
        self.file.write_text(self.config.text)
        for spec in self.config.backends:
            self._backends[spec.name] = await _spawn(_backend_command(spec))
        marchproxy = (sys.executable, "-m", "marchproxy", "up", str(self.file))
        options = ("--state-dir", str(self._state), "--leash", str(os.getpid()))
        with self._log.open("wb") as log:
            self._up = await _spawn([*marchproxy, *options], log.fileno())
        seen = "nothing"
        while time.monotonic() - started < _READY_SECONDS:
            if self._up.returncode is not None:
                raise DemoFailed(
                    f"marchproxy up ended with exit code {self._up.returncode}:\n{self._words()}"
                )
            probe = await run_load(self.config.web, Bounds(requests=1), connections=1)
            if probe.statuses.get(200):
                return time.monotonic() - started
            seen = ", ".join([*probe.complaints, *probe.broken]) or seen
            await asyncio.sleep(_LOOK_SECONDS)
        what = f"{self.config.web} did not serve within {_READY_SECONDS:.0f} s: {seen}"
        raise DemoFailed(f"{what}\n{self._words()}")

    async def first_password(self) -> str:
        """The one that the manager made for its first user. Raises DemoFailed."""
        file = self._state / MANAGER / INITIAL_PASSWORD
        until = time.monotonic() + _READY_SECONDS
        while time.monotonic() < until:
            if file.exists():
                return file.read_text().strip()
            await asyncio.sleep(_LOOK_SECONDS)
        raise DemoFailed(f"the manager did not start in {_READY_SECONDS:.0f} s:\n{self._words()}")

    def kill_backend(self, name: str) -> int:
        """SIGKILL a backend; its process id."""
        self._backends[name].kill()
        return self._backends[name].pid

    async def drain(self) -> tuple[int, float]:
        """Ask `up` to stop as Ctrl-C does; its exit code, and the seconds it took. Raises DemoFailed."""
        if self._up is None:
            raise DemoFailed("nothing was started")
        started = time.monotonic()
        with suppress(ProcessLookupError):
            self._up.send_signal(signal.SIGINT)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                code = await self._up.wait()
        except TimeoutError:
            raise DemoFailed(f"it did not stop in {_STOP_SECONDS:.0f} s:\n{self._words()}") from None
        return code, time.monotonic() - started

    async def until_stopped(self) -> None:
        """Wait until `up` ends."""
        if self._up is not None:
            await self._up.wait()

    async def close(self) -> None:
        """End whatever still runs."""
        up = self._up
        if up is not None and up.returncode is None:
            with suppress(DemoFailed):
                await self.drain()
        if up is not None and up.returncode is None:
            up.kill()
            await up.wait()
        self.end_now()

    def end_now(self) -> None:
        """Kill what is left, without grace."""
        for process in self._backends.values():
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
        end_strays(self._state, Folders(self._state).running_file)

    def _words(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-_LAST_LINES:])


@asynccontextmanager
async def running_world(*, managed: bool = False) -> AsyncIterator[World]:
    """A world for the length of the block, not started yet; nothing of it is left afterwards. `managed`: with a manager."""
    config = make_config(managed=managed)
    folder = Path(tempfile.mkdtemp(prefix="marchproxy-demo-"))
    try:
        async with connected(str(config.nlb)) as client:
            world = World(config, folder, client)
            try:
                yield world
            finally:
                await world.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _backend_command(spec: BackendSpec) -> list[str]:
    module = (sys.executable, "-m", "marchproxy.cli.demo.backend")
    options = ("--version", spec.version, "--name", spec.name, "--port", str(spec.port))
    return [*module, *options, "--leash", str(os.getpid())]


async def _spawn(command: Sequence[str], output: int = DEVNULL) -> Process:
    return await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=output, stderr=STDOUT, start_new_session=True
    )
