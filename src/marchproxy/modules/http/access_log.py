"""The file of the access log: where it is, that it can be written, and that it is kept below its size."""

import os
from contextlib import suppress
from pathlib import Path

from marchproxy.engines.envoy.admin import EnvoyAdmin
from marchproxy.engines.envoy.log_rotation import RotatedLog, RotationLimits, make
from marchproxy.kit.clock import Clock
from marchproxy.kit.settings import Problem, SettingsError
from marchproxy.kit.tasks import every
from marchproxy.modules.http.access_log_section import HttpAccessLog
from marchproxy.modules.http.resources.access_log import AccessLog

#: The `path` that means the process's own output.
STDOUT = Path("stdout")
_LOOK_SECONDS = 1.0
_MEGABYTE = 1024 * 1024


class AccessLogFile:
    """The file that an ALB's Envoy writes its access log to."""

    def __init__(self, section: HttpAccessLog, folder: Path) -> None:
        """`folder` is the instance's state folder. Raises SettingsError when the file cannot be written."""
        self._section = section
        self._to_stdout = section.path == STDOUT
        self.path = folder / ("access.stdout" if self._to_stdout else section.path)
        try:
            if self._to_stdout:
                self._point_to_our_output()
            make(self.path)
        except OSError as error:
            raise SettingsError([Problem("access_log.path", self._words(error))]) from error

    def resource(self) -> AccessLog:
        """What Envoy is told of it."""
        section = self._section
        return AccessLog(
            path=str(self.path),
            fields=tuple(section.fields.items()),
            percent=section.sample_percent,
            status_from=section.always.status_from,
            slower_than=section.always.slower_than,
        )

    async def keep(self, admin: EnvoyAdmin, clock: Clock) -> None:
        """Look after the file until cancelled."""
        largest = 0 if self._to_stdout else self._section.max_megabytes * _MEGABYTE
        log = RotatedLog(self.path, RotationLimits(largest, self._section.keep), admin.reopen_logs)
        await every(_LOOK_SECONDS, log.look, clock=clock, name="access-log")

    def _point_to_our_output(self) -> None:
        # one path, whichever process we are: an Envoy that outlives us has nothing to learn but to open it anew
        with suppress(FileNotFoundError):
            self.path.unlink()
        self.path.symlink_to(f"/proc/{os.getpid()}/fd/1")

    def _words(self, error: OSError) -> str:
        reason = error.strerror or str(error)
        if self._to_stdout:
            return f"Envoy cannot write to our standard output ({reason}); is it a socket? Name a file"
        return f"{self.path} cannot be written: {reason}"
