"""Recovering: a decider that takes over reads what Envoy has written down of requests that the one before it let pass.

What Envoy had sent that one, and it had not written into the journal, died with it.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from marchproxy.engines.envoy.log_rotation import aside
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.modules.ailb.settling.entries import Told
from marchproxy.modules.ailb.settling.written import Search
from marchproxy.modules.ailb.worker.house import House

_log = get_logger(__name__)
#: Bytes of a line; none of Envoy's is as long.
_LONGEST = 64 * 1024
#: Envoy keeps lines for a second; what ends later is sent to us.
_LOOKS, _LOOK_SECONDS = 4, 1.0


async def recover(written: Path, search: Search, house: House, clock: Clock) -> None:
    """Settle what ended before we were there. `house` knows by what to decide: it makes those requests anew."""
    count = 0
    with closing(_Lines(written, search)) as lines:
        for _ in range(_LOOKS):
            for told in await asyncio.to_thread(lines.look):
                house.envoy_says(told)
                count += 1
            await clock.sleep(_LOOK_SECONDS)
    if count:
        _log.info("ends of requests that the decider before us was told, or should have been", count=count)


class _Lines:
    """Those of the file, and of the one before it. Files stay open: the number of an inode is given again to the next."""

    def __init__(self, written: Path, search: Search) -> None:
        self._paths = aside(written, 1), written
        self._search = search
        self._open: dict[int, BinaryIO] = {}

    def look(self) -> list[Told]:
        """What is new."""
        try:
            return [told for path in self._paths if path.exists() for told in self._new(path)]
        except OSError as error:
            _log.warning("the ends of requests that Envoy has written down cannot be read", reason=str(error))
            return []

    def close(self) -> None:
        """Close all."""
        for file in self._open.values():
            file.close()

    def _new(self, path: Path) -> Iterator[Told]:
        opened = path.open("rb")
        file = self._open.setdefault(os.fstat(opened.fileno()).st_ino, opened)
        if file is not opened:
            opened.close()
        while line := file.readline(_LONGEST):
            if not line.endswith(b"\n") and len(line) < _LONGEST:
                file.seek(-len(line), os.SEEK_CUR)  # it is being written
                return
            if (told := self._search.find(line)) is not None:
                yield told
