"""Probe: which encoder works here. That ffmpeg lists one says nothing: there may be no such device."""

import asyncio
from collections.abc import Mapping, Sequence

from marchproxy.engines.ffmpeg.binary import find_ffmpeg
from marchproxy.engines.ffmpeg.command import probe_command
from marchproxy.engines.ffmpeg.encoders import WAYS, Way
from marchproxy.kit.logs import get_logger
from marchproxy.model.rtmp import Encoder

_log = get_logger(__name__)
_SECONDS = 15.0


class NoEncoder(Exception):
    """None that was asked for works here; says why."""


class Encoders:
    """What was found out; each encoder is tried once."""

    def __init__(self, ways: Mapping[Encoder, Way] = WAYS) -> None:
        self._ways = ways
        self._faults: dict[Encoder, str] = {}
        self._turn = asyncio.Lock()

    async def choose(self, wanted: Encoder) -> Way:
        """How to encode. Raises NoEncoder, NoFfmpeg."""
        candidates = list(self._ways) if wanted is Encoder.AUTO else [wanted]
        async with self._turn:
            for encoder in candidates:
                if encoder not in self._faults:
                    self._faults[encoder] = await _try(probe_command(find_ffmpeg(), self._ways[encoder]))
                    words = self._faults[encoder] or "works"
                    _log.info("encoder tried", encoder=encoder.value, result=words)
                if not self._faults[encoder]:
                    return self._ways[encoder]
        raise NoEncoder("; ".join(f"{one.value}: {self._faults[one]}" for one in candidates))


async def _try(command: Sequence[str]) -> str:
    """What is wrong; empty: nothing."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_SECONDS):
            _, said = await process.communicate()
    except TimeoutError:
        return f"no frame in {_SECONDS:g} s"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == 0:
        return ""
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:200] if lines else f"exit status {process.returncode}"
