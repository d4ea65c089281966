"""An NLB in a process of its own, for the real tests: started, killed and started again like any other."""

import asyncio
import contextlib
import json
import signal
import sys
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from marchproxy.contract.document import decode, encode
from marchproxy.contract.pb.nlb_pb2_grpc import NLBServiceStub
from marchproxy.kit import logs
from marchproxy.kit.tasks import run_service
from marchproxy.model.listener import Listener
from marchproxy.model.module import Version
from marchproxy.model.route import VersionWeight
from marchproxy.model.state import DesiredState
from marchproxy.nlb.server import Nlb, serve
from marchproxy.nlb.settings import NlbSettings
from tests.nlb_module import free_port


def listener(port: int, name: str = "web", **weights: int) -> Listener:
    shares = tuple(VersionWeight(Version(version), weight) for version, weight in weights.items())
    return Listener(name, "127.0.0.1", port, version_weights=shares)


@dataclass
class NlbProcess:
    """`python -m tests.real.nlb_rig`, its ports known in advance so that a second run has the same."""

    directory: Path
    desired: DesiredState
    grpc_port: int = field(default_factory=free_port)
    metrics_port: int = field(default_factory=free_port)
    admin_port: int = field(default_factory=free_port)
    heartbeat: float = 1.0
    host: str = "127.0.0.1"
    within: tuple[str, ...] = ()  # a command that runs the rest of its line elsewhere
    more: dict = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None

    async def start(self, *, expect_ready: bool = True) -> str:
        """Start it; return its first line on stdout ("ready", or nothing when it failed)."""
        settings = {
            "grpc": f"{self.host}:{self.grpc_port}",
            "metrics": f"127.0.0.1:{self.metrics_port}",
            "envoy": {"admin": f"127.0.0.1:{self.admin_port}"},
            "state_dir": str(self.directory),
            "heartbeat_interval": self.heartbeat,
            "drain_seconds": 1,
            **self.more,
        }
        self.process = await asyncio.create_subprocess_exec(
            *self.within,
            sys.executable,
            "-m",
            "tests.real.nlb_rig",
            json.dumps(settings),
            encode(self.desired).decode(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE if not expect_ready else None,
        )
        async with asyncio.timeout(20):
            line = (await self.process.stdout.readline()).decode().strip()
        assert line == "ready" or not expect_ready
        return line

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(20):
                await self.process.wait()

    async def failure(self) -> str:
        """What a process that could not start wrote on stderr."""
        _, err = await self.process.communicate()
        assert self.process.returncode != 0
        return err.decode()


@asynccontextmanager
async def nlb_process(directory: Path, *listeners: Listener, heartbeat: float = 1.0):
    nlb = NlbProcess(directory, DesiredState(listeners=listeners), heartbeat=heartbeat)
    try:
        await nlb.start()
        channel = grpc.aio.insecure_channel(
            f"127.0.0.1:{nlb.grpc_port}", options=[("grpc.max_reconnect_backoff_ms", 200)]
        )
        async with channel:
            yield nlb, NLBServiceStub(channel)
    finally:
        if nlb.process.returncode is not None:
            await nlb.start()  # it was killed: only a new one can stop the Envoy it left
        await nlb.stop()


async def ask(port: int, host: str = "127.0.0.1") -> list[str]:
    """One connection and one line; the answer in words: instance, version, client address."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"hello\n")
        async with asyncio.timeout(20):
            words = (await reader.readline()).decode().split()
        if not words:
            raise ConnectionError("closed without an answer")
        assert words[2] == "{}:{}".format(*writer.get_extra_info("sockname"))
        return words
    finally:
        await close(writer)


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def versions_of(port: int, requests: int) -> Counter:
    return Counter([(await ask(port))[1] for _ in range(requests)])


async def until(check, seconds: float = 10.0) -> None:
    """Poll until the awaitable check answers true."""
    async with asyncio.timeout(seconds):
        while not await check():
            await asyncio.sleep(0.02)


def main() -> None:
    logs.configure(level="info", json=True)
    settings = NlbSettings.model_validate(json.loads(sys.argv[1]))
    desired = decode(sys.argv[2].encode())

    def ready(_: Nlb) -> None:
        print("ready", flush=True)  # noqa: T201 - what the parent waits for

    async def service() -> None:
        await run_service(lambda stop: serve(settings, desired, stop, started=ready))

    asyncio.run(service())


if __name__ == "__main__":
    main()
