"""The file as a source of catalogues: read at the start, on request, and when it has changed."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from marchproxy.cli.file import Loaded, load_file
from marchproxy.cli.xds.catalogue import Catalogue
from marchproxy.cli.xds.settings import XdsSettings
from marchproxy.engines.envoy.xds import InconsistentSnapshot
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import SettingsError
from marchproxy.model.problem import InvalidValue

_log = get_logger(__name__)

#: What a file may be refused for.
FAULTS = (SettingsError, InvalidValue, InconsistentSnapshot, OSError)

Signature = tuple[int, int, int]


def settings_of(loaded: Loaded) -> XdsSettings:
    """The section `xds`; its defaults when there is none."""
    return loaded.document.xds or XdsSettings()


def catalogue_of(loaded: Loaded) -> Catalogue:
    """Compile a file. Raises InvalidValue and InconsistentSnapshot."""
    return Catalogue(loaded.state, settings_of(loaded).nodes)


class Source:
    """Hands a new catalogue to `publish` whenever there is one. A file with errors is told of, and changes nothing."""

    def __init__(self, file: Path, publish: Callable[[Catalogue], None]) -> None:
        self._file = file
        self._publish = publish
        self._lock = asyncio.Lock()
        self._read = self._settling = _signature(file)
        self.fault = ""

    async def reload(self) -> None:
        """Read the file now."""
        async with self._lock:
            self._read = self._settling = _signature(self._file)
            try:
                # thousands of routes take seconds, in which streams must go on
                catalogue = await asyncio.to_thread(lambda: catalogue_of(load_file(self._file, os.environ)))
            except FAULTS as error:
                self.fault = str(error)
                _log.error("the changed file is not put in force", file=str(self._file), reason=self.fault)
                return
            self.fault = ""
            self._publish(catalogue)
            _log.info("the file is in force", file=str(self._file))

    async def look(self) -> None:
        """Reload when the file has changed and was left alone since the last look: half a file may be a sound one."""
        now, before = _signature(self._file), self._settling
        self._settling = now
        if now is not None and now == before and now != self._read:
            await self.reload()


def _signature(file: Path) -> Signature | None:
    """What changes with a file's content; None while there is no file."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
