"""Recovering: a decider that takes over reads what Envoy has written down of requests that the one before it let pass.

What Envoy had sent that one, and it had not written into the journal, died with it.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

from marchproxy.engines.envoy.log_rotation import aside
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.modules.ailb.ledger.folder import whole_lines
from marchproxy.modules.ailb.settling.entries import Told
from marchproxy.modules.ailb.settling.written import Search
from marchproxy.modules.ailb.worker.house import House

_log = get_logger(__name__)
#: Envoy keeps lines for a second; what ends later is sent to us.
_LOOKS, _LOOK_SECONDS = 4, 1.0


async def recover(written: Path, search: Search, house: House, clock: Clock) -> None:
    """Settle what ended before we were there. `house` knows by what to decide: it makes those requests anew."""
    read: dict[int, int] = {}
    count = 0
    for _ in range(_LOOKS):
        for told in await asyncio.to_thread(_look, written, search, read):
            house.envoy_says(told)
            count += 1
        await clock.sleep(_LOOK_SECONDS)
    if count:
        _log.info("ends of requests that the decider before us was told, or should have been", count=count)


def _look(written: Path, search: Search, read: dict[int, int]) -> list[Told]:
    """What is new. `read`: how far, by inode."""
    try:
        return [told for path in (aside(written, 1), written) for told in _new(path, search, read)]
    except OSError as error:
        _log.warning("the ends of requests that Envoy has written down cannot be read", reason=str(error))
        return []


def _new(path: Path, search: Search, read: dict[int, int]) -> Iterator[Told]:
    if not path.exists():
        return
    inode = path.stat().st_ino
    for line in whole_lines(path, read.get(inode, 0)):
        read[inode] = read.get(inode, 0) + len(line)
        if (told := search.find(line)) is not None:
            yield told
