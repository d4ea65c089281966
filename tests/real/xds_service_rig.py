"""`marchproxy xds` as a process, with gRPC servers that say their name and a gRPC client that resolves `xds:///`."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import grpc.aio
import httpx
import yaml

from tests.ports import free_port
from tests.real.support.process import start

PATIENCE = 20.0
METHOD = "/test.Namer/Name"


class Service:
    """A running control plane and its file."""

    def __init__(self, folder: Path, document: dict) -> None:
        self.port, self.status, self.metrics = free_port(), free_port(), free_port()
        self.file = folder / "xds.yaml"
        self.log = folder / "xds.log"
        self.push_interval = 0.1
        self.env: dict[str, str] = {}
        self.write(document)

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "marchproxy", "xds", "--config", str(self.file)]

    def write(self, document: dict) -> None:
        ports = {"grpc": self.port, "status": self.status, "metrics": self.metrics}
        own = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        own |= {"state_dir": str(self.file.parent / "kept"), "push_interval": self.push_interval}
        self.own = {**document.get("xds", {}), **own}
        text = yaml.safe_dump({**document, "xds": self.own})
        written = self.file.with_suffix(".new")
        written.write_text(text)
        written.replace(self.file)

    @asynccontextmanager
    async def running(self):
        """The process, once it is ready; at the end it must stop by itself when asked to."""
        async with self.started() as process:
            yield process
            process.send(signal.SIGTERM)
            assert await process.ended(PATIENCE) == 0

    @asynccontextmanager
    async def started(self):
        """The process, once it is ready; it may die."""
        process = await start(self.command, self.log, self.env)
        try:
            async with asyncio.timeout(PATIENCE):
                while not await self._ready():
                    assert process.running, self.log.read_text()
                    await asyncio.sleep(0.05)
            yield process
        finally:
            await process.end()

    async def _ready(self) -> bool:
        async with httpx.AsyncClient() as client:
            with suppress(httpx.TransportError):
                return (await client.get(f"http://127.0.0.1:{self.metrics}/readyz")).status_code == 200
        return False


@asynccontextmanager
async def namer(name: str):
    """A gRPC server whose one method answers its name; yields its port."""

    async def answer(request: bytes, context: object) -> bytes:
        return name.encode()

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Namer", {"Name": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


# gRPC reads its bootstrap once for a process, so the client is one of its own
_CLIENT = """
import json, sys
from collections import Counter
import grpc

channel = grpc.insecure_channel(sys.argv[1])
call = channel.unary_unary(sys.argv[2])
for line in sys.stdin:
    seen = Counter()
    for _ in range(int(line)):
        try:
            seen[call(b"", timeout=10, wait_for_ready=True).decode()] += 1
        except grpc.RpcError as error:
            seen[error.code().name] += 1
    print(json.dumps(seen), flush=True)
"""


class Caller:
    """A process that makes gRPC calls."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def call(self, times: int) -> Counter:
        """Answers by the server's name, or by status."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{times}\n".encode())
        async with asyncio.timeout(60):
            return Counter(json.loads(await self._process.stdout.readline()))


@asynccontextmanager
async def grpc_client(folder: Path, server: int, target: str, node: dict):
    """A gRPC client of the control plane at port `server` that dials `target`."""
    bootstrap = folder / "grpc-bootstrap.json"
    source = {
        "server_uri": f"127.0.0.1:{server}",
        "channel_creds": [{"type": "insecure"}],
        "server_features": ["xds_v3"],
    }
    bootstrap.write_text(json.dumps({"xds_servers": [source], "node": node}))
    unproxied = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    with (folder / "client.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _CLIENT, target, METHOD),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env={**unproxied, "GRPC_XDS_BOOTSTRAP": str(bootstrap)},
        )
    try:
        yield Caller(process)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
