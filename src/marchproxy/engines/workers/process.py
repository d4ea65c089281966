"""Worker process: one worker as its supervisor sees it: found running or started, asked, ended.

Its folder holds `N.sock` (where it answers), `N.pid` and `N.log`. It outlives a supervisor that crashes; the next one
adopts it when it runs the same code, and otherwise lets it finish its connections beside a new one.
"""

import asyncio
import hashlib
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

from marchproxy.engines.detached import spawn_detached
from marchproxy.engines.envoy.handle import ProcessHandle, find_by_option
from marchproxy.engines.envoy.logfile import EnvoyLog
from marchproxy.engines.envoy.pidfile import PidRecord, parse_record, render_record
from marchproxy.engines.workers.line import Answer, Garbled, Line, Question
from marchproxy.kit.clock import Clock
from marchproxy.kit.files import write_atomically
from marchproxy.kit.logs import get_logger

_log = get_logger(__name__)
_START_SECONDS = 20.0
_ANSWER_SECONDS = 5.0
_POLL_SECONDS = 0.02
_LOG_LIMIT = 4 * 1024 * 1024
_PACKAGE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How workers of a kind are started: `python -m module --socket PATH options`.

    `name`: what they are called in messages; `code`: what two installations share exactly when a worker of one
    understands the other's supervisor (`code_of`); `unavailable`: what is raised when one cannot be reached.
    """

    name: str
    module: str
    code: str
    unavailable: type[Exception]
    options: tuple[str, ...] = ()


class WorkerProcess(Generic[Question, Answer]):
    """Worker number `index` of the folder. Call nothing of it concurrently but `ended`.

    Where something raises Unavailable, that is the recipe's.
    """

    def __init__(
        self, folder: Path, index: int, recipe: Recipe, line: Line[Question, Answer], *, clock: Clock
    ) -> None:
        self._socket = folder / f"{index}.sock"
        self._pid_file = folder / f"{index}.pid"
        self.log = EnvoyLog(folder / f"{index}.log", _LOG_LIMIT)
        self._recipe = recipe
        self._messages = line
        self._clock = clock
        self._handle: ProcessHandle | None = None
        self._leaving: list[ProcessHandle] = []
        self._line: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return self._handle.pid if self._handle else None

    async def adopt(self) -> bool:
        """Take over the worker that is running, when it is of this code; otherwise none of ours listens any more."""
        found = self._find()
        if found is None:
            return False
        handle, fingerprint = found
        if fingerprint != self._fingerprint():
            handle.close()
            self.retire()
            return False
        self._handle = handle
        _log.info("worker adopted", kind=self._recipe.name, pid=handle.pid)
        return True

    def retire(self) -> None:
        """Have the worker that is running finish its connections and end; it is looked after no more, but for `reap`."""
        own, self._handle = self._handle, None
        self._hang_up()
        found = self._find()
        handle = own or (found[0] if found else None)
        if handle is not None:
            _log.info(
                "worker that is not wanted finishes its connections", kind=self._recipe.name, pid=handle.pid
            )
            handle.signal(signal.SIGTERM)
        if own is not None:
            self._leaving.append(own)
        if found is not None:
            found[0].close()
        self._forget()

    def reap(self) -> None:
        """Let go of workers that were retired and have ended by now; to be called now and then."""
        for handle in [one for one in self._leaving if not one.alive()]:
            handle.kill_now(seconds=0)  # nobody is left to be killed: it is only noted
            handle.close()
            self._leaving.remove(handle)

    async def start(self) -> None:
        """Start one and wait until it answers. Raises Unavailable; then none is left running."""
        for pid in find_by_option("--socket", str(self._socket)):
            if (stray := ProcessHandle.open(pid)) is not None:  # no pid file leads to it
                stray.signal(signal.SIGTERM)
                stray.close()
        self._forget()
        self.log.mark()
        try:
            pid = spawn_detached(self._command(), self.log.path)
            handle = ProcessHandle.open(pid)
            if handle is None:
                raise self._unavailable(f"ended at once: {self.log.tail()}")
            self._handle = handle
            record = PidRecord(pid, handle.start_ticks, self._fingerprint())
            write_atomically(self._pid_file, render_record(record))
            await self._until_answers(handle)
        except BaseException as error:
            self.kill()
            if isinstance(error, OSError):
                raise self._unavailable(f"cannot be started: {error}") from error
            raise
        _log.info("worker started", kind=self._recipe.name, pid=pid)

    async def ask(self, question: Question) -> Answer:
        """Its answer. Raises Unavailable."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                if self._line is None:
                    self._line = await asyncio.open_unix_connection(str(self._socket))
                reader, writer = self._line
                self._messages.write_question(writer, question)
                await writer.drain()
                return await self._messages.read_answer(reader)
        except BaseException as error:
            self._hang_up()  # what it may still answer would be taken for another answer
            if isinstance(error, TimeoutError):
                raise self._unavailable(f"gave no answer in {_ANSWER_SECONDS:g} s") from error
            if isinstance(error, (OSError, EOFError, Garbled)):
                raise self._unavailable(f"does not answer: {error}") from error
            raise

    async def ended(self) -> None:
        """Wait for its end, and let go of it."""
        handle = self._handle
        if handle is None:
            return
        ended = await handle.exited()
        if self._handle is handle:
            self.let_go()
        _log.error(
            "worker died", kind=self._recipe.name, pid=handle.pid, exit=str(ended), log=self.log.tail()
        )

    async def end(self, seconds: float) -> None:
        """SIGTERM, then SIGKILL after so long; return when it is gone."""
        if self._handle is not None:
            try:
                await self._handle.terminate(seconds)
            finally:
                self.kill()

    def kill(self) -> None:
        """SIGKILL it, if there is one, and remove its files."""
        if self._handle is not None:
            self._handle.kill_now()
        self.let_go()
        self._forget()

    def let_go(self) -> None:
        """Leave it running, for the next supervisor to adopt."""
        self._hang_up()
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.close()

    async def _until_answers(self, handle: ProcessHandle) -> None:
        try:
            async with asyncio.timeout(_START_SECONDS):
                while self._line is None:
                    if not handle.alive():
                        raise self._unavailable(f"ended at its start: {self.log.tail()}")
                    try:
                        self._line = await asyncio.open_unix_connection(str(self._socket))
                    except (FileNotFoundError, ConnectionRefusedError):
                        await self._clock.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise self._unavailable(f"did not start in {_START_SECONDS:g} s") from error

    def _find(self) -> tuple[ProcessHandle, str] | None:
        try:
            record = parse_record(self._pid_file.read_bytes())
        except FileNotFoundError:
            return None
        handle = ProcessHandle.open(record.pid, start_ticks=record.start_ticks) if record else None
        return (handle, record.fingerprint) if record and handle else None

    def _command(self) -> list[str]:
        return [
            sys.executable,
            "-m",
            self._recipe.module,
            "--socket",
            str(self._socket),
            *self._recipe.options,
        ]

    def _fingerprint(self) -> str:
        return hashlib.sha256("\0".join([self._recipe.code, *self._command()]).encode()).hexdigest()

    def _unavailable(self, what: str) -> Exception:
        return self._recipe.unavailable(f"the {self._recipe.name} {what}")

    def _forget(self) -> None:
        self._pid_file.unlink(missing_ok=True)
        self._socket.unlink(missing_ok=True)

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line[1].close()
            self._line = None


def code_of(version: int, parts: Sequence[str]) -> str:
    """A digest of files and folders of this package, of `version`, and of the Python that runs."""
    digest = hashlib.sha256(f"{version} {sys.version}".encode())
    for part in parts:
        path = _PACKAGE / part
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()
