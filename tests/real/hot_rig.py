"""An Envoy with one static listener for everything that can be open while it is restarted hot, and its supervisor."""

import asyncio
import itertools
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import psutil

from marchproxy.engines.envoy.binary import find_envoy
from marchproxy.engines.envoy.handle import find_by_option
from marchproxy.engines.envoy.process import EnvoyProcess, EnvoySettings
from marchproxy.kit.clock import SystemClock
from marchproxy.kit.settings.types import HostPort
from tests.ports import free_port

_TYPE = "type.googleapis.com/"
_HCM = _TYPE + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = _TYPE + "envoy.extensions.filters.http.router.v3.Router"
_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def bootstrap(port: int, *, answer: str = "hello", backends: dict[str, int] | None = None) -> bytes:
    """`/` answers by itself; `/ws` goes to the backend `ws`, `/echo.Echo/` to the backend `grpc`."""
    backends = backends or {}
    routes = [
        {"match": {"prefix": prefix}, "route": {"cluster": name, "timeout": "0s"}}
        for prefix, name in (("/ws", "ws"), ("/echo.Echo/", "grpc"))
        if name in backends
    ]
    reply = {"status": 200, "body": {"inline_string": answer}}
    hcm = {
        "@type": _HCM,
        "stat_prefix": "test",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [*routes, {"match": {"prefix": "/"}, "direct_response": reply}],
                }
            ]
        },
        "http_filters": [{"name": "router", "typed_config": {"@type": _ROUTER}}],
    }
    listener = {
        "name": "test",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": hcm}]}],
    }
    document = {
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "static_resources": {
            "listeners": [listener],
            "clusters": [_cluster(name, to) for name, to in backends.items()],
        },
        "stats_flush_interval": "0.1s",
    }
    return json.dumps(document).encode()


def _cluster(name: str, port: int) -> dict[str, Any]:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    cluster = {
        "name": name,
        "type": "STATIC",
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
    }
    if name == "grpc":
        http2 = {"@type": _TYPE + _OPTIONS, "explicit_http_config": {"http2_protocol_options": {}}}
        cluster["typed_extension_protocol_options"] = {_OPTIONS: http2}
    return cluster


@dataclass
class Hot:
    """One run directory, and the supervisors of its Envoy."""

    run_dir: Path
    backends: dict[str, int] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    memory: set[Path] = field(default_factory=set)

    def settings(self, **changes: Any) -> EnvoySettings:
        fields = {"node_id": "n", "cluster": "c", "admin": HostPort("127.0.0.1", 0), "concurrency": 2}
        return EnvoySettings(run_dir=self.run_dir, drain_seconds=1, **{**fields, **changes})

    def make(self, *, answer: str = "hello", start_from: bytes | None = None, **changes: Any) -> EnvoyProcess:
        made = start_from or bootstrap(self.port, answer=answer, backends=self.backends)
        return EnvoyProcess(self.settings(**changes), bootstrap=made, clock=SystemClock())

    def pids(self) -> list[int]:
        """The Envoys of this directory. What memory they share is remembered."""
        found = find_by_option("--admin-address-path", str(self.run_dir / "envoy.admin"))
        for pid in found:
            with suppress(psutil.Error, KeyError):  # one that is ending has no arguments
                self.memory.add(Path(f"/dev/shm/envoy_shared_memory_{arguments(pid)['--base-id']}0"))
        return found

    async def only(self, pid: int | None, within: float = 20) -> None:
        """Wait until this is the only Envoy left."""
        await until(lambda: self.pids() == [pid], within)


def arguments(pid: int) -> dict[str, str]:
    """The options of a process with their values."""
    argv = psutil.Process(pid).cmdline()
    return dict(itertools.pairwise(argv))


async def until(condition: Callable[[], object], within: float = 20) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def hot(run_dir: Path, **backends: int) -> AsyncIterator[Hot]:
    """A run directory of which nothing is left afterwards: no process, no file in memory."""
    made, memory = Hot(run_dir, backends), Path("/dev/shm")
    before = set(memory.glob("envoy_shared_memory_*"))
    left: list[int] = []
    try:
        yield made
    finally:
        left = made.pids()
        bases = {arguments(pid).get("--base-id", "") for pid in left}
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        for path in (memory / f"envoy_shared_memory_{base}0" for base in bases):
            path.unlink(missing_ok=True)
    assert left == []
    assert not [path for path in made.memory if path.exists() and path not in before]


def copy_binary(folder: Path, name: str = "envoy") -> Path:
    """A copy of the Envoy that is installed, with a time of its own."""
    folder.mkdir(exist_ok=True)
    shutil.copy(find_envoy(None), folder / f".{name}")
    (folder / f".{name}").replace(folder / name)
    return folder / name


def script(path: Path, text: str) -> None:
    """Put a program there, in one step."""
    made = path.with_name(path.name + ".made")
    made.write_text(f"#!/bin/sh\n{text}\n")
    made.chmod(0o755)
    made.replace(path)


@dataclass
class Calls:
    """gRPC calls one after the other over one channel: how many came back, and how the others failed."""

    done: int = 0
    failures: list[str] = field(default_factory=list)


@asynccontextmanager
async def calling(port: int) -> AsyncIterator[Calls]:
    """Unary calls without end while the block runs. grpcio opens another connection when a server says GOAWAY."""
    calls, stop = Calls(), asyncio.Event()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel, asyncio.TaskGroup() as group:
        group.create_task(_call(channel.unary_unary("/echo.Echo/Once"), calls, stop))
        try:
            yield calls
        finally:
            stop.set()


async def _call(once: Any, calls: Calls, stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            assert await once(b"x", timeout=10) == b"x"
            calls.done += 1
        except grpc.aio.AioRpcError as error:
            calls.failures.append(f"{error.code()}: {error.details()}")
        await asyncio.sleep(0.002)
