"""An RTMP module on this machine, from one file; and ffmpeg, which publishes and plays."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import grpc
import httpx
import psutil
import yaml

from marchproxy.contract.pb import module_pb2_grpc
from tests.ports import free_port
from tests.real.support.process import Started, kill_left, naming, start
from tests.real.support.system import DRAIN_SECONDS, Part
from tests.real.support.waiting import until

NOTHING: Mapping[str, Any] = MappingProxyType({})
#: A route that takes every stream and keeps it here.
HERE: Mapping[str, Any] = MappingProxyType({"id": "here", "protocol": "rtmp", "module": "rtmp"})


class Streaming:
    """`rtmp` of `document` and what is said here. Clients come at `port`."""

    def __init__(
        self,
        directory: Path,
        document: Mapping[str, Any],
        *,
        workers: int = 2,
        settings: Mapping[str, Any] = NOTHING,
    ) -> None:
        self.directory, self.file, self.port = directory, directory / "file.yaml", free_port()
        ports = {name: free_port() for name in ("grpc", "health", "metrics")}
        self.rtmp = Part(self, "rtmp-1", ["rtmp"], ports)  # type: ignore[arg-type]
        section = {
            "id": "rtmp-1",
            "type": "rtmp",
            **{name: f"127.0.0.1:{port}" for name, port in ports.items()},
            "traffic": f"127.0.0.1:{self.port}",
            "playback": None,
            "state_dir": str(directory),
            "workers": workers,
            "drain_seconds": DRAIN_SECONDS,
            **settings,
        }
        self.document: dict[str, Any] = {"modules": [section], **document}
        self.save()

    def save(self) -> None:
        """Write the file anew."""
        self.file.write_text(yaml.safe_dump(self.document))

    def url(self, stream: str, host: str = "127.0.0.1") -> str:
        """Where a stream (`app/name`) is published and played."""
        return f"rtmp://{host}:{self.port}/{stream}"

    def workers(self) -> list[psutil.Process]:
        """The worker processes, by their number."""
        found = [
            p for p in naming(self.rtmp.folder / "workers") if "marchproxy.modules.rtmp.worker" in p.cmdline()
        ]
        return sorted(found, key=lambda one: int(one.cmdline()[one.cmdline().index("--index") + 1]))

    async def count(self, metric: str) -> float:
        """A metric, added up over all that has it; see docs/metrics.md."""
        async with httpx.AsyncClient(trust_env=False) as client:
            said = (await client.get(f"http://127.0.0.1:{self.rtmp.metrics}/metrics")).text
        named = [line for line in said.splitlines() if line.startswith(f"marchproxy_rtmp_{metric}{{")]
        return sum(float(line.rsplit(" ", 1)[1]) for line in named)

    async def counts(self, metric: str, number: float) -> None:
        """Wait until the metric is so much."""

        async def is_so_much() -> bool:
            return await self.count(metric) == number

        await until(is_so_much)

    @asynccontextmanager
    async def asked(self) -> AsyncIterator[Any]:
        """The module's ModuleService."""
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.rtmp.grpc}") as channel:
            yield module_pb2_grpc.ModuleServiceStub(channel)


@asynccontextmanager
async def streaming(
    directory: Path, document: Mapping[str, Any], *, workers: int = 2, **settings: Any
) -> AsyncIterator[Streaming]:
    """A running module with these `settings` too; nothing is left afterwards."""
    system = Streaming(directory, document, workers=workers, settings=settings)
    try:
        await system.rtmp.start()
        yield system
    finally:
        if system.rtmp.process is not None:
            await system.rtmp.process.end()
        kill_left(directory)
        for log in sorted((system.rtmp.folder / "workers").glob("*.log")):
            print(f"--- {log}\n{log.read_text()}")  # noqa: T201 - pytest shows it when the test failed


async def make_flv(file: Path, *, seconds: float = 2.0, gop: int = 25, more: Sequence[str] = ()) -> Path:
    """A small film with a tone, 25 frames a second. `more`: options of the output."""
    picture = ["-f", "lavfi", "-i", f"testsrc=size=192x108:rate=25:duration={seconds}"]
    tone = ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=44100:duration={seconds}"]
    coded = ["-c:v", "libx264", "-preset", "ultrafast", "-g", str(gop), "-c:a", "aac", "-b:a", "32k"]
    await ffmpeg([*picture, *tone, *coded, *more, "-f", "flv", str(file)])
    return file


async def ffmpeg(arguments: Sequence[str], within: float = 30.0) -> str:
    """Run it to its end; what it wrote to its output. Fails with what it said."""
    process = await asyncio.create_subprocess_exec(
        "ffmpeg", "-v", "error", "-nostdin", "-y", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(within):
            out, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, said.decode()
    return out.decode()


async def publish(file: Path, url: str, *more: str) -> None:
    """Publish a film at its own speed."""
    await ffmpeg(["-re", *more, "-i", str(file), "-c", "copy", "-f", "flv", url])


async def frames(source: str | Path, *more: str) -> list[str]:
    """The frames of a film or a stream until it ends, each with its times and digest."""
    said = await ffmpeg([*more, "-i", str(source), "-c", "copy", "-f", "framemd5", "-"])
    return [line for line in said.splitlines() if not line.startswith("#")]


@asynccontextmanager
async def publishing(file: Path, url: str, log: Path) -> AsyncIterator[Started]:
    """A publisher that sends a film again and again for as long as the block lasts."""
    words = ["ffmpeg", "-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", str(file)]
    process = await start([*words, "-c", "copy", "-f", "flv", url], log)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            await process.end()
