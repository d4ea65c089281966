"""Starts Envoys of one run directory: the first in its own session, a next one as the successor of the one that serves."""

import hashlib
import json
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from marchproxy.engines.detached import OWN_DIRECTORY, Kept, spawn_kept
from marchproxy.engines.envoy import shared_memory, stand_in
from marchproxy.engines.envoy.binary import find_envoy
from marchproxy.engines.envoy.handle import ProcessHandle, find_by_option, find_keeper, wait_for_keeper
from marchproxy.engines.envoy.logfile import EnvoyLog
from marchproxy.engines.envoy.pidfile import PidRecord
from marchproxy.engines.envoy.run_directory import HOT_SOCKETS, EnvoyStartError, Role, RunDirectory
from marchproxy.engines.envoy.settings import EnvoySettings
from marchproxy.engines.envoy.xds.identity import STARTED_AT
from marchproxy.kit.files import write_atomically
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings.types import HostPort

__all__ = ["EnvoyStartError", "Launched", "Launcher"]

_log = get_logger(__name__)


@dataclass(slots=True)
class Launched:
    """An Envoy that was started, or found, and what its pid file says."""

    handle: ProcessHandle
    record: PidRecord


@dataclass(frozen=True, slots=True)
class Stray:
    """An Envoy of this run directory, and the base id it was started with (0: none)."""

    handle: ProcessHandle
    base_id: int


@dataclass(frozen=True, slots=True)
class Start:
    """How one Envoy is to be started: its command line, and the one before it, if there is one."""

    argv: tuple[str, ...]
    fingerprint: str
    base_id: int
    old: PidRecord | None = None

    @property
    def epoch(self) -> int:
        """How many hot restarts there have been."""
        return 0 if self.old is None else self.old.epoch + 1

    @property
    def role(self) -> Role:
        """What it is at first."""
        return Role.SERVING if self.old is None else Role.NEXT


class Launcher:
    """Knows how this Envoy is started; holds no state of a running one."""

    def __init__(self, settings: EnvoySettings, bootstrap: bytes) -> None:
        self._settings = settings
        self.bootstrap = bootstrap
        self.directory = RunDirectory(settings.run_dir)
        self.log = EnvoyLog(self.directory.log, settings.log_limit)
        self._reserved = 0
        self.handover_seconds = settings.handover_seconds
        self.drain_seconds = settings.drain_seconds

    def trial_arguments(self) -> list[str]:
        """Return what tells an Envoy that only tries the bootstrap who it is."""
        settings = self._settings
        return [
            "--service-node",
            settings.node_id,
            "--service-cluster",
            settings.cluster,
            "--disable-hot-restart",
        ]

    def binary(self) -> Path:
        """Return the binary that a start would run now. Raises EnvoyMissing."""
        return find_envoy(self._settings.binary)

    def fingerprint(self) -> str:
        """Return what two Envoys share exactly when they were started alike. Raises EnvoyMissing."""
        binary = self.binary()
        installed = binary.stat()  # hashing 100 MB takes longer than starting it
        told = [str(binary), str(installed.st_size), str(installed.st_mtime_ns), *self._common()]
        return hashlib.sha256("\0".join(told).encode() + b"\0" + self.bootstrap).hexdigest()

    def spawn(self) -> Launched:
        """Start the first of a row and write its pid file. Raises EnvoyMissing, EnvoyStartError. Blocks for milliseconds."""
        binary = self.binary()
        before = self.directory.read_record()
        self.log.mark()
        base_id = self._base_id(before)
        try:
            self.directory.forget(Role.SERVING)
            self.directory.forget(Role.NEXT)
            write_atomically(self.directory.bootstrap, self.bootstrap)
        except OSError as error:
            raise EnvoyStartError(f"{binary} cannot be started in {self.directory.path}: {error}") from error
        argv = (str(binary), "-c", str(self.directory.bootstrap), *self._common(), *_restarting(base_id, 0))
        return self._start(Start(argv, self.fingerprint(), base_id))

    def spawn_next(self, old: PidRecord, finish_seconds: float) -> Launched:
        """Start the successor of `old`, which then may finish for so long. Raises EnvoyMissing, EnvoyStartError."""
        binary = self.binary()
        self.log.mark()
        try:
            write_atomically(self.directory.next_bootstrap, self.bootstrap)
        except OSError as error:
            raise EnvoyStartError(
                f"the bootstrap in {self.directory.path} cannot be written: {error}"
            ) from error
        row = _restarting(old.base_id, old.epoch + 1, finish_seconds)
        argv = (str(binary), "-c", str(self.directory.next_bootstrap), *self._common(), *row)
        return self._start(Start(argv, self.fingerprint(), old.base_id, old))

    def spawn_again(self, old: Launched, argv: tuple[str, ...]) -> Launched:
        """Start a successor of `old` that is like it, whatever the binary is now; `argv` is its command line."""
        record = old.record
        row = _restarting(record.base_id, record.epoch + 1, self.handover_seconds)
        own = argv[3 : argv.index("--base-id")]  # behind `BINARY -c BOOTSTRAP`, which has been renamed since
        start = (f"/proc/{record.pid}/exe", "-c", str(self.directory.bootstrap), *own, *row)
        return self._start(Start(start, record.fingerprint, record.base_id, record))

    def remember(self, launched: Launched, admin: HostPort, role: Role = Role.SERVING) -> None:
        """Add the address of the admin API to the pid file; a full disk is logged and costs only a later adoption."""
        launched.record = replace(launched.record, admin=admin)
        try:
            self.directory.write_record(launched.record, role)
        except OSError as error:
            _log.warning("pid file not updated", reason=str(error))

    def find_strays(self) -> list[Stray]:
        """Return the Envoys started from this run directory, whatever the pid files say."""
        pids = find_by_option("--admin-address-path", str(self.directory.admin))
        found = ((pid, ProcessHandle.open(pid, keeper=find_keeper(pid))) for pid in pids)
        return [Stray(handle, _base_id_of(pid)) for pid, handle in found if handle is not None]

    def forget(self, record: PidRecord | None) -> None:
        """Remove everything that the dead Envoys of this directory leave, on disk and in memory."""
        known = record or self.directory.read_record()
        for base_id in {self._reserved, known.base_id if known is not None else 0} - {0}:
            shared_memory.remove(base_id)
        self._reserved = 0
        self.directory.forget_all()

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

    def _start(self, start: Start) -> Launched:
        try:
            kept = self._spawn(start)
        except OSError as error:
            raise EnvoyStartError(
                f"{start.argv[0]} cannot be started in {self.directory.path}: {error}"
            ) from error
        handle = ProcessHandle.open(kept.pid, keeper=kept.keeper)
        if handle is None:
            ended = wait_for_keeper(kept.keeper)
            failure = self.explain_failure(f"ended at once ({ended})")
            failure.exit = ended
            raise failure
        record = PidRecord(
            kept.pid, handle.start_ticks, start.fingerprint, epoch=start.epoch, base_id=start.base_id
        )
        try:
            self.directory.write_record(record, start.role)
        except OSError as error:
            handle.kill_now()  # without a pid file nobody would find it again
            handle.close()
            raise EnvoyStartError(
                f"the pid file in {self.directory.path} cannot be written: {error}"
            ) from error
        return Launched(handle, record)

    def _spawn(self, start: Start) -> Kept:
        run_dir = self.directory.path
        if not start.base_id:
            return spawn_kept(start.argv, self.directory.log, run_dir)
        afterwards = stand_in.place_command(run_dir, start.base_id, start.epoch)
        if start.old is None:
            return spawn_kept(start.argv, self.directory.log, run_dir, afterwards=afterwards)
        with stand_in.bind(run_dir, start.old) as held:
            return spawn_kept(
                start.argv, self.directory.log, run_dir, hold=held.fileno(), afterwards=afterwards
            )

    def _base_id(self, before: PidRecord | None) -> int:
        if before is not None and before.base_id:
            return before.base_id
        if self._reserved:
            return self._reserved  # by an attempt that failed
        base_id = shared_memory.reserve(str(self.directory.path))
        if base_id is None:
            _log.warning("no shared memory for hot restarts: replacing Envoy will cut connections")
        self._reserved = base_id or 0
        return self._reserved

    def _common(self) -> list[str]:
        settings, directory = self._settings, self.directory
        return [
            *("--service-node", settings.node_id, "--service-cluster", settings.cluster),
            *("--concurrency", str(settings.concurrency), "--log-level", settings.log_level),
            *("--drain-time-s", str(settings.drain_seconds)),
            *("--admin-address-path", str(directory.admin)),
            *settings.extra_args,
        ]


def _restarting(base_id: int, epoch: int, finish_seconds: float = 1.0) -> list[str]:
    """The part of a command line that differs from one Envoy of a row to the next; begins with the base id."""
    if not base_id:
        return ["--disable-hot-restart"]
    # the control plane lets the newest of the Envoys that share a node id speak for it; one that reconnects is not newer
    started = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    metadata = {"node": {"metadata": {STARTED_AT: started}}}
    return [
        *("--base-id", str(base_id), "--restart-epoch", str(epoch)),
        # in our own directory: Envoy's default is an abstract socket, which any user of the host may talk to
        *("--socket-path", f"{OWN_DIRECTORY}/{HOT_SOCKETS}"),
        # every flush of statistics would wait for an answer of the one before, for ever or until Envoy aborts
        "--skip-hot-restart-parent-stats",
        *("--parent-shutdown-time-s", str(max(1, round(finish_seconds)))),
        *("--config-yaml", json.dumps(metadata)),
    ]


def _base_id_of(pid: int) -> int:
    with suppress(psutil.Error):
        argv = psutil.Process(pid).cmdline()
        after = argv[argv.index("--base-id") + 1] if "--base-id" in argv else ""
        return int(after) if after.isdigit() else 0
    return 0
