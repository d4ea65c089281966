"""Servers of a TLS and of an RTMP stream, on ports of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.ports import free_port
from tests.real.support.databases import run, served
from tests.real.support.process import Started


@dataclass(frozen=True)
class TlsServer:
    """`openssl s_server`, which answers a request with a page about the session. `ca`: a file that vouches for it."""

    port: int
    ca: Path


async def certify(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for the name, which vouches for itself, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    await run(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-keyout", str(key), "-out", str(certificate), "-days", "2"),
        *("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
    )
    return certificate, key


@asynccontextmanager
async def tls_server(folder: Path, name: str) -> AsyncIterator[TlsServer]:
    """A TLS server with a certificate for the name."""
    certificate, key = await certify(folder, name)
    port = free_port()
    command = ("openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-www", "-quiet")
    async with served((*command, "-cert", str(certificate), "-key", str(key)), folder, port):
        yield TlsServer(port, certificate)


@dataclass(frozen=True)
class RtmpServer:
    """An ffmpeg that takes one publisher and ends with it."""

    port: int
    process: Started
    progress: Path

    async def frames(self, within: float) -> int:
        """The frames it received, once the publisher is gone."""
        assert await self.process.ended(within) == 0, self.process.log.read_text()
        facts = dict(line.split("=", 1) for line in self.progress.read_text().split())
        assert facts["progress"] == "end"
        return int(facts["frame"])


@asynccontextmanager
async def rtmp_server(folder: Path) -> AsyncIterator[RtmpServer]:
    """An RTMP server that a stream `live/x` may be published to."""
    port, progress = free_port(), folder / "progress"
    command = ("ffmpeg", "-nostdin", "-v", "warning", "-progress", str(progress), "-listen", "1")
    source = ("-f", "flv", "-i", f"rtmp://127.0.0.1:{port}/live/x", "-c", "copy", "-f", "null", "-")
    async with served((*command, *source), folder, port) as process:
        yield RtmpServer(port, process, progress)


async def publish(port: int, frames: int) -> None:
    """Publish so many frames of a test picture to the stream `live/x`."""
    await run(
        *("ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=64x48:rate=25"),
        *("-frames:v", str(frames), "-c:v", "flv", "-f", "flv", f"rtmp://127.0.0.1:{port}/live/x"),
    )
