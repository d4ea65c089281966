"""Starts one Envoy in its own session and keeps what is known of it in the run directory.

Run directory: `envoy.json` (bootstrap), `envoy.pid`, `envoy.lock` (held by the one supervisor), `envoy.log` and
`envoy.admin` (both written by Envoy).
"""

import fcntl
import hashlib
import os
from pathlib import Path

from marchproxy.engines.detached import spawn_detached
from marchproxy.engines.envoy.binary import find_envoy
from marchproxy.engines.envoy.handle import ProcessHandle, find_by_option
from marchproxy.engines.envoy.logfile import EnvoyLog
from marchproxy.engines.envoy.pidfile import PidRecord, parse_record, render_record
from marchproxy.engines.envoy.settings import EnvoySettings
from marchproxy.kit.files import write_atomically
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings.types import HostPort

_log = get_logger(__name__)


class EnvoyStartError(Exception):
    """Envoy could not be started, or not be supervised; the message has Envoy's own words where it had any."""


class RunDirectory:
    """The files of one Envoy. Entered, it belongs to this process until it is left; a crash leaves it too."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.bootstrap = self.path / "envoy.json"
        self.log = self.path / "envoy.log"
        self.admin = self.path / "envoy.admin"
        self._pid = self.path / "envoy.pid"
        self._lock: int | None = None

    @property
    def held(self) -> bool:
        """Whether this process supervises there."""
        return self._lock is not None

    def acquire(self) -> None:
        """Create it where needed and lock it. Raises EnvoyStartError when another process supervises there."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o750)
            lock = os.open(self.path / "envoy.lock", os.O_RDWR | os.O_CREAT, 0o640)
        except OSError as error:
            raise EnvoyStartError(
                f"the run directory {self.path} cannot be used: {error.strerror}"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(lock, 32).decode(errors="replace").strip() or "?"
            os.close(lock)
            raise EnvoyStartError(
                f"process {holder} already supervises the Envoy of {self.path}; use another run directory"
            ) from None
        os.truncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        self._lock = lock

    def release(self) -> None:
        """Unlock it; nothing happens when it is not locked."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def read_record(self) -> PidRecord | None:
        """Return what the pid file says; None without a file, or with one that says nothing (logged, then removed)."""
        try:
            record = parse_record(self._pid.read_bytes())
        except FileNotFoundError:
            return None
        if record is None:
            _log.warning("unreadable pid file removed", path=str(self._pid))
            self._pid.unlink(missing_ok=True)
        return record

    def write_record(self, record: PidRecord) -> None:
        """Replace the pid file."""
        write_atomically(self._pid, render_record(record))

    def read_admin(self) -> HostPort | None:
        """Return where the running Envoy's admin API is bound; None until it has said so."""
        try:
            return HostPort.parse(self.admin.read_text())
        except (FileNotFoundError, ValueError):
            return None

    def forget(self) -> None:
        """Remove what a dead Envoy leaves: pid file and address."""
        self._pid.unlink(missing_ok=True)
        self.admin.unlink(missing_ok=True)


class Launcher:
    """Knows how this Envoy is started; holds no state of a running one."""

    def __init__(self, settings: EnvoySettings, bootstrap: bytes) -> None:
        self._settings = settings
        self._bootstrap = bootstrap
        self.directory = RunDirectory(settings.run_dir)
        self.log = EnvoyLog(self.directory.log, settings.log_limit)

    def fingerprint(self) -> str:
        """Return what two Envoys share exactly when they were started alike. Raises EnvoyMissing."""
        binary = find_envoy(self._settings.binary)
        installed = binary.stat()  # hashing 100 MB takes longer than starting it
        told = [str(binary), str(installed.st_size), str(installed.st_mtime_ns), *self._arguments()]
        return hashlib.sha256("\0".join(told).encode() + b"\0" + self._bootstrap).hexdigest()

    def spawn(self) -> ProcessHandle:
        """Start it and write the pid file. Raises EnvoyMissing, EnvoyStartError. Blocks for a few milliseconds."""
        binary = find_envoy(self._settings.binary)
        self.log.mark()
        try:
            self.directory.forget()
            write_atomically(self.directory.bootstrap, self._bootstrap)
            pid = spawn_detached([str(binary), *self._arguments()], self.directory.log)
        except OSError as error:
            raise EnvoyStartError(f"{binary} cannot be started in {self.directory.path}: {error}") from error
        handle = ProcessHandle.open(pid)
        if handle is None:
            os.waitpid(pid, 0)
            raise self.explain_failure("ended at once")
        try:
            self.directory.write_record(PidRecord(pid, handle.start_ticks, self.fingerprint()))
        except OSError as error:
            handle.kill_now()  # without a pid file nobody would find it again
            handle.close()
            raise EnvoyStartError(
                f"the pid file in {self.directory.path} cannot be written: {error}"
            ) from error
        return handle

    def remember(self, handle: ProcessHandle, admin: HostPort) -> None:
        """Add the address of the admin API to the pid file; a full disk is logged and costs only a later adoption."""
        try:
            self.directory.write_record(PidRecord(handle.pid, handle.start_ticks, self.fingerprint(), admin))
        except OSError as error:
            _log.warning("pid file not updated", reason=str(error))

    def find_strays(self) -> list[ProcessHandle]:
        """Return the Envoys started from this run directory, whatever the pid file says."""
        handles = (
            ProcessHandle.open(pid)
            for pid in find_by_option("--admin-address-path", str(self.directory.admin))
        )
        return [handle for handle in handles if handle is not None]

    def explain_failure(self, what: str) -> EnvoyStartError:
        """Return the error for an Envoy that `what`, with its last log lines and, for a taken port, what to change."""
        tail = self.log.tail()
        lines = [f"Envoy {what}"]
        if "Address already in use" in tail and str(self._settings.admin) in tail:
            lines = [
                f"Envoy's admin address {self._settings.admin} is in use; change the setting `envoy.admin`"
            ]
        binary = self._settings.binary
        doubt = f"; is {binary}, from the setting `envoy.binary`, an Envoy?" if binary else ""
        return EnvoyStartError("\n".join([*lines, tail or f"(nothing in {self.log.path}{doubt})"]))

    def _arguments(self) -> list[str]:
        settings, directory = self._settings, self.directory
        return [
            *("-c", str(directory.bootstrap)),
            *("--service-node", settings.node_id, "--service-cluster", settings.cluster),
            *("--concurrency", str(settings.concurrency), "--log-level", settings.log_level),
            *("--drain-time-s", str(settings.drain_seconds)),
            *("--admin-address-path", str(directory.admin)),
            # two Envoys on one host must not share hot-restart memory, and with hot restart Envoy asks the kernel for
            # SIGTERM when its parent dies (PR_SET_PDEATHSIG in its hot_restart_impl.cc): it could not outlive us
            "--disable-hot-restart",
            *settings.extra_args,
        ]
