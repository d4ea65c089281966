"""The run directory of one Envoy: whose it is, and what is known of the Envoys that were started there.

`envoy.json` (bootstrap), `envoy.pid`, `envoy.lock` (held by the one supervisor), `envoy.log` and `envoy.admin` (both
written by Envoy). During a hot restart also `envoy.next.json`, `envoy.next.pid` of the Envoy that starts, after it
`envoy.old.pid` of the one that finishes, and `hot_*`, the sockets through which they talk.
"""

import fcntl
import os
from enum import Enum
from pathlib import Path

from marchproxy.engines.envoy.pidfile import PidRecord, parse_record, render_record
from marchproxy.engines.envoy.restart import LastExit
from marchproxy.kit.files import write_atomically
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings.types import HostPort

_log = get_logger(__name__)

#: How the names of Envoy's own sockets for hot restarts begin.
HOT_SOCKETS = "hot"


class EnvoyStartError(Exception):
    """Envoy could not be started, or not be supervised; the message has Envoy's own words where it had any.

    `exit` is how it ended, where it did at once.
    """

    exit: LastExit | None = None


class Role(Enum):
    """Which of the Envoys of a run directory a pid file is about."""

    SERVING = "envoy.pid"
    NEXT = "envoy.next.pid"
    OLD = "envoy.old.pid"


class RunDirectory:
    """The files of one Envoy. Entered, it belongs to this process until it is left; a crash leaves it too."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.bootstrap = self.path / "envoy.json"
        self.next_bootstrap = self.path / "envoy.next.json"
        self.log = self.path / "envoy.log"
        self.admin = self.path / "envoy.admin"
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

    def read_record(self, role: Role = Role.SERVING) -> PidRecord | None:
        """Return what a pid file says; None without a file, or with one that says nothing (logged, then removed)."""
        path = self.path / role.value
        try:
            record = parse_record(path.read_bytes())
        except FileNotFoundError:
            return None
        if record is None:
            _log.warning("unreadable pid file removed", path=str(path))
            path.unlink(missing_ok=True)
        return record

    def write_record(self, record: PidRecord, role: Role = Role.SERVING) -> None:
        """Replace a pid file. Raises OSError."""
        write_atomically(self.path / role.value, render_record(record))

    def promote_next(self, old: PidRecord) -> None:
        """The Envoy that started serves from now on, with its bootstrap; `old` finishes. Raises OSError."""
        self.write_record(old, Role.OLD)
        if self.next_bootstrap.exists():
            self.next_bootstrap.replace(self.bootstrap)
        (self.path / Role.NEXT.value).replace(self.path / Role.SERVING.value)

    def read_admin(self) -> HostPort | None:
        """Return where the newest Envoy's admin API is bound; None until one has said so."""
        try:
            return HostPort.parse(self.admin.read_text())
        except (FileNotFoundError, ValueError):
            return None

    def forget(self, role: Role) -> None:
        """Remove what one dead Envoy leaves."""
        (self.path / role.value).unlink(missing_ok=True)
        match role:
            case Role.SERVING:
                self.admin.unlink(missing_ok=True)
            case Role.NEXT:
                self.next_bootstrap.unlink(missing_ok=True)
            case Role.OLD:
                pass

    def forget_all(self) -> None:
        """Remove what dead Envoys leave, once none is left."""
        for role in Role:
            self.forget(role)
        for socket in self.path.glob(f"{HOT_SOCKETS}_*"):
            socket.unlink(missing_ok=True)
