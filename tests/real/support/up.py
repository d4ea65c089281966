"""`marchproxy` as people run it: the example on free ports, and commands."""

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import psutil

from tests.ports import free_port
from tests.real.support.process import Started, kill_left, naming, start

EXAMPLE = Path(__file__).parents[3] / "examples" / "first-light.yaml"
MARCHPROXY = (sys.executable, "-m", "marchproxy")


class Up:
    """The example on free ports, and the command that runs it."""

    def __init__(self, folder: Path, ports: Mapping[str, int]) -> None:
        self.folder, self.ports = folder, ports
        self.file, self.state = folder / "up.yaml", folder / "s"
        self.process: Started | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['8000']}"

    @property
    def nlb(self) -> str:
        return f"127.0.0.1:{self.ports['50050']}"

    async def launch(self, within: tuple[str, ...] = ()) -> Started:
        """Run `up`; `within` is a command that runs the rest of its line elsewhere."""
        command = (*within, *MARCHPROXY, "up", str(self.file), "--state-dir", str(self.state))
        self.process = await start(command, self.folder / "up.log")
        return self.process

    async def says(self, words: str, within: float = 20.0, times: int = 1) -> None:
        """Wait for a status line."""
        assert self.process is not None
        deadline = time.monotonic() + within
        while self.process.log.read_text().count(words) < times:
            assert self.process.running, self.process.log.read_text()
            assert time.monotonic() < deadline, f"no {words!r} in\n{self.process.log.read_text()}"
            await asyncio.sleep(0.05)

    def edit(self, old: str, new: str) -> None:
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))

    def part(self, kind: str) -> psutil.Process:
        (found,) = [p for p in naming(self.state) if p.info["cmdline"][2:4] == ["marchproxy", kind]]
        return found

    async def get(self) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(self.url)

    async def serves(self) -> bool:
        with suppress(httpx.TransportError):
            return (await self.get()).status_code == 200
        return False


@asynccontextmanager
async def example(folder: Path, backend: str = "127.0.0.1:1") -> AsyncIterator[Up]:
    ports: dict[str, int] = {}

    def free(match: re.Match[str]) -> str:
        return f":{ports.setdefault(match[1], free_port())}"

    up = Up(folder, ports)
    text = re.sub(r":(\d{4,5})\b", free, EXAMPLE.read_text())
    up.file.write_text(re.sub(r"endpoints: \[.*\]", f'endpoints: ["{backend}"]', text))
    try:
        yield up
    finally:
        if up.process is not None:
            await up.process.end()
        kill_left(up.state)


async def run(*arguments: str, within: tuple[str, ...] = ()) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *within,
        *MARCHPROXY,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()
