"""Simulated engines in a process of their own, that a test may tell what to do, count, kill and start again."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import httpx

from tests.ports import free_port
from tests.real.support.process import Started, start


class Engines:
    """So many engines in one process; `behaviour` as the simulator's. Their ports stay when they are started again."""

    def __init__(self, directory: Path, name: str, count: int = 1, **behaviour: object) -> None:
        self.ports = [free_port() for _ in range(count)]
        self._log = directory / f"{name}.log"
        self._behaviour = [f"{option}={value}" for option, value in behaviour.items()]
        self._process: Started | None = None

    @property
    def addresses(self) -> list[str]:
        return [f"127.0.0.1:{port}" for port in self.ports]

    @property
    def pid(self) -> int:
        """Of the process that all of them are."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> Self:
        """Started, and taking connections."""
        command = [sys.executable, "-m", "tests.real.support.engine_simulator", *map(str, self.ports)]
        self._process = await start([*command, *self._behaviour], self._log)
        async with asyncio.timeout(20), httpx.AsyncClient(trust_env=False) as client:
            while True:
                assert self._process.running, self._log.read_text()
                with contextlib.suppress(httpx.TransportError):
                    await client.get(f"http://{self.addresses[-1]}/health")
                    return self
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """SIGKILL, and gone."""
        assert self._process is not None
        self._process.send(signal.SIGKILL)
        await self._process.ended(20)

    async def end(self) -> None:
        if self._process is not None:
            await self._process.end()

    async def tell(self, **told: object) -> None:
        """All of them: a `fault` for so many `times`, `forget`, or another behaviour."""
        async with httpx.AsyncClient(trust_env=False) as client:
            for address in self.addresses:
                answer = await client.post(f"http://{address}/control", json=told)
                assert answer.status_code == 200, answer.text

    async def counts(self) -> list[dict[str, Any]]:
        """What each has counted."""
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            return [(await client.get(f"http://{address}/counts")).json() for address in self.addresses]

    async def requests(self, tag: str | None = None) -> list[dict[str, Any]]:
        """Their records, of one tag if one is given."""
        found = [record for counted in await self.counts() for record in counted["requests"]]
        return [record for record in found if tag is None or record["tag"] == tag]


@asynccontextmanager
async def engines(
    directory: Path, name: str = "engines", count: int = 1, **behaviour: object
) -> AsyncIterator[Engines]:
    """Running for the length of the block."""
    started = Engines(directory, name, count, **behaviour)
    try:
        yield await started.start()
    finally:
        await started.end()
