"""Keeper: what a module runs, on disk, so that a process that comes back goes on where it was."""

import asyncio
import json
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from marchproxy.contract.document import Encoder, checksum, decode
from marchproxy.contract.document.progress import dump_ramps, dump_shifts, parse_ramps, parse_shifts
from marchproxy.kit.files import write_atomically
from marchproxy.kit.logs import get_logger
from marchproxy.modules.base.running import Running

_FORMAT = 1
_REST = 9  # times as long as writing took: encoding holds the GIL, and may have a tenth of it
_LONGEST_REST = 2.0
_log = get_logger(__name__)


class Keeper:
    """Writes the newest state behind the changes: a burst of changes costs one write."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._encoder = Encoder()
        self._newest: Running | None = None
        self._wake = asyncio.Event()
        self._writing = threading.Lock()

    def keep(self, running: Running) -> None:
        """Remember to write this; replaces what was not written yet."""
        self._newest = running
        self._wake.set()

    async def run(self) -> None:
        """Write whatever is to be kept, until cancelled; the last of it is written on the way out."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                started = time.monotonic()
                await asyncio.to_thread(self.flush)
                await asyncio.sleep(min(_LONGEST_REST, _REST * (time.monotonic() - started)))
        finally:
            self.flush()

    def flush(self) -> None:
        """Write what is to be kept, now. A disk that refuses is logged: traffic does not depend on it."""
        with self._writing:  # the last flush waits for one that is under way in its thread
            running, self._newest = self._newest, None
            if running is not None:
                self._write(running)

    def _write(self, running: Running) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path, _dump(running, self._encoder))
        except OSError as error:
            _log.error("cannot keep the running state", path=str(self._path), reason=str(error))

    def load(self) -> Running | None:
        """What was kept, or None: nothing, or nothing that can be read (which is logged)."""
        try:
            return _parse(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            _log.warning("the kept state cannot be used", path=str(self._path), reason=str(error))
            return None


def _dump(running: Running, encoder: Encoder) -> bytes:
    document = encoder.encode(running.desired)
    content = {
        "format": _FORMAT,
        "document": document.decode(),
        "document_checksum": checksum(document),
        "checksum": running.checksum,
        "origin": running.origin,
        "modified": running.modified,
        "updated_at": running.updated_at.isoformat() if running.updated_at else None,
        "shifts": dump_shifts(running.shifts),
        "ramps": dump_ramps(running.ramps),
        "draining": running.draining,
    }
    return json.dumps(content).encode()


def _parse(data: bytes) -> Running:
    content: dict[str, Any] = json.loads(data)
    if content["format"] != _FORMAT:
        raise ValueError(f"format {content['format']}, not {_FORMAT}")
    document = content["document"].encode()
    if checksum(document) != content["document_checksum"]:
        raise ValueError("its checksum is wrong")
    return Running(
        desired=decode(document),
        checksum=content["checksum"],
        origin=content["origin"],
        modified=content["modified"],
        updated_at=datetime.fromisoformat(content["updated_at"]) if content["updated_at"] else None,
        shifts=parse_shifts(content["shifts"]),
        ramps=parse_ramps(content["ramps"]),
        draining=content.get("draining") is True,  # one that was kept before there was such a thing has none
    )
