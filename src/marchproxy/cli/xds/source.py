"""The file as a source of catalogues: read at the start, on request, and when it has changed."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from marchproxy.cli.file import Loaded, load_file
from marchproxy.cli.xds.catalogue import Catalogue
from marchproxy.cli.xds.material import read_material, signatures
from marchproxy.cli.xds.offered import left_out
from marchproxy.cli.xds.settings import XdsSettings
from marchproxy.contract.document import checksum, encode
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
    """Compile a file, with the files of certificates that it names. Raises InvalidValue and InconsistentSnapshot."""
    state, settings = loaded.state, settings_of(loaded)
    return Catalogue(
        state,
        settings.nodes,
        read_material(state),
        keys=settings.knows_nodes,
        revision=checksum(encode(state)),
    )


def left_out_of(loaded: Loaded) -> list[str]:
    """The listeners of a file that are not offered, each with the reason."""
    return list(left_out(loaded.state.listeners, keys=settings_of(loaded).knows_nodes))


class Source:
    """Hands a new catalogue to `publish` whenever there is one. A file with errors is told of, and changes nothing."""

    def __init__(
        self,
        file: Path,
        publish: Callable[[Catalogue], None],
        *,
        judge: Callable[[Catalogue], Awaitable[None]],
        read: Signature | None = None,
        beside: tuple[str, ...] = (),
    ) -> None:
        """`read`: the signature of the file just before it was first read. `judge` raises InvalidValue.

        `beside`: the files that it names.
        """
        self._file = file
        self._publish = publish
        self._judge = judge
        self._lock = asyncio.Lock()
        self._read = self._settling = read
        self._beside = beside
        self._read_beside = self._settling_beside = signatures(beside)
        self.fault = ""

    async def reload(self) -> None:
        """Read the file now."""
        async with self._lock:
            self._read = self._settling = signature_of(self._file)
            self._read_beside = self._settling_beside = signatures(self._beside)
            try:
                # thousands of routes take seconds, in which streams must go on
                catalogue, hints = await asyncio.to_thread(self._compile)
                await self._judge(catalogue)
            except FAULTS as error:
                self.fault = str(error)
                _log.error("the changed file is not put in force", file=str(self._file), reason=self.fault)
                return
            self.fault = ""
            if catalogue.files != self._beside:
                self._beside = catalogue.files
                self._read_beside = self._settling_beside = signatures(self._beside)
            self._publish(catalogue)
            for hint in hints:
                _log.warning(hint)
            _log.info("the file is in force", file=str(self._file))

    def _compile(self) -> tuple[Catalogue, list[str]]:
        loaded = load_file(self._file, os.environ)
        return catalogue_of(loaded), left_out_of(loaded)

    async def look(self) -> None:
        """Reload when the file has changed and was left alone since the last look: half a file may be a sound one."""
        now, before = signature_of(self._file), self._settling
        beside, beside_before = signatures(self._beside), self._settling_beside
        self._settling, self._settling_beside = now, beside
        is_calm = now is not None and (now, beside) == (before, beside_before)
        if is_calm and (now, beside) != (self._read, self._read_beside):
            await self.reload()


def signature_of(file: Path) -> Signature | None:
    """What changes with a file's content; None while there is no file."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
