"""An NLB and its ALBs on one machine: one file, each part a process of its own, started by the command people use."""

import asyncio
import contextlib
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import grpc
import httpx
import psutil
import yaml

from marchproxy.contract.pb import module_pb2_grpc, nlb_pb2, nlb_pb2_grpc, types_pb2
from tests.ports import free_port
from tests.real.support.backends import serving
from tests.real.support.process import Started, kill_left, naming, start

DRAIN_SECONDS = 3
# a part that was killed is found again at once, by a channel of the test's own
_CHANNEL = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 100)]


class Part:
    """One process of the file. Its ports stay the same when it is started again."""

    def __init__(self, system: "System", name: str, command: list[str], ports: Mapping[str, int]) -> None:
        self.name = name
        self.grpc = ports["grpc"]
        self.health = ports["health"]
        self.metrics = ports["metrics"]
        self.log = system.directory / f"{name}.log"
        self.folder = system.directory / name
        self.command = [sys.executable, "-m", "marchproxy", *command, "--config", str(system.file)]
        self.process: Started | None = None

    async def launch(self) -> Started:
        """Start it and wait for nothing."""
        self.process = await start(self.command, self.log)
        return self.process

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        process = await self.launch()
        async with asyncio.timeout(40), httpx.AsyncClient(trust_env=False) as client:
            while True:
                assert process.running, self.log.read_text()
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get(f"http://127.0.0.1:{self.health}/readyz")).status_code == 200:
                        return
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """SIGKILL to the process, not to its Envoy."""
        assert self.process is not None
        self.process.send(signal.SIGKILL)
        await self.process.ended(20)

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.send(signal.SIGTERM)
        return await self.process.ended(DRAIN_SECONDS + 10)

    def envoy(self) -> psutil.Process:
        """Its Envoy."""
        (found,) = [p for p in naming(self.folder / "envoy") if p.info["name"].startswith("envoy")]
        return found


class System:
    """`nlb` and `albs`, with a channel to each. Traffic enters at `port`."""

    def __init__(
        self,
        directory: Path,
        state: Mapping[str, Any],
        versions: Mapping[str, str],
        nlb_settings: Mapping[str, Any] = MappingProxyType({}),
        alb_settings: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """`versions`: the version of each ALB by its id; `…_settings`: more for its section."""
        self.directory = directory
        self.file = directory / "system.yaml"
        self.port = free_port()
        self._state = state
        nlb = {name: free_port() for name in ("grpc", "metrics", "admin")}
        self._document = {
            "nlb": {**_nlb_section(directory, nlb), **nlb_settings},
            "modules": [],
            **self.state(),
        }
        self.nlb = Part(self, "nlb", ["nlb"], {**nlb, "health": nlb["metrics"]})
        self.albs: dict[str, Part] = {}
        for name, version in versions.items():
            ports = {key: free_port() for key in ("grpc", "health", "metrics", "admin", "plain", "proxied")}
            section = {**_alb_section(directory, name, version, ports), **alb_settings}
            self._document["modules"].append(section)
            self.albs[name] = Part(self, name, ["alb", "--id", name], ports)
        self.file.write_text(yaml.safe_dump(self._document))
        self._channels = contextlib.AsyncExitStack()

    @property
    def alb(self) -> Part:
        """The only ALB, or the first."""
        return next(iter(self.albs.values()))

    def state(self, **listener: Any) -> dict[str, Any]:
        """The desired state of the file, with other settings of its listener."""
        web = {"name": "web", "address": f"127.0.0.1:{self.port}", "protocol": "http", **listener}
        return {"listeners": [web], **self._state}

    def nlb_stub(self) -> nlb_pb2_grpc.NLBServiceStub:
        return nlb_pb2_grpc.NLBServiceStub(self.channel(self.nlb.grpc))

    def alb_stub(self, name: str = "") -> module_pb2_grpc.ModuleServiceStub:
        part = self.albs[name] if name else self.alb
        return module_pb2_grpc.ModuleServiceStub(self.channel(part.grpc))

    def channel(self, port: int) -> grpc.aio.Channel:
        """A channel that is closed with the system."""
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=_CHANNEL)
        self._channels.push_async_callback(channel.close)
        return channel

    async def start(self) -> None:
        """Start the NLB and the ALBs that it knows from the beginning, and wait until they get traffic."""
        await self.nlb.start()
        for alb in self.albs.values():
            await alb.start()
        await self.targets(set(self.albs))

    async def configure(self, state: Mapping[str, Any]) -> nlb_pb2.UpdateNLBConfigResponse:
        """UpdateNLBConfig with a document."""
        config = types_pb2.ConfigUpdate(config_data=yaml.safe_dump(state).encode())
        return await self.nlb_stub().UpdateNLBConfig(
            nlb_pb2.UpdateNLBConfigRequest(config=config), timeout=10
        )

    async def plan(self) -> dict[str, str]:
        """What each registered instance gets from the listener, in the NLB's words."""
        stub = self.nlb_stub()
        known = await stub.ListModules(nlb_pb2.ListModulesRequest(), wait_for_ready=True, timeout=20)
        infos = {}
        for module in known.modules:
            request = nlb_pb2.GetModuleInfoRequest(instance_id=module.instance_id)
            with contextlib.suppress(grpc.aio.AioRpcError):  # it left meanwhile
                answer = await stub.GetModuleInfo(request, timeout=20)
                infos[module.instance_id] = answer.details.get("listener.web", "not asked yet")
        return infos

    async def targets(self, wanted: set[str]) -> None:
        """Wait until exactly these instances get new connections."""
        seen: dict[str, str] = {}
        try:
            async with asyncio.timeout(15):
                while {name for name, what in seen.items() if what.startswith("gets connections")} != wanted:
                    await asyncio.sleep(0.02)
                    seen = await self.plan()
        except TimeoutError:
            raise AssertionError(f"the NLB's plan is {seen}, not {wanted}") from None

    async def members(self, wanted: set[str]) -> None:
        """Wait until the NLB knows exactly these instances. One that leaves stays known while it drains."""
        seen: set[str] = set()
        try:
            async with asyncio.timeout(15):
                while seen != wanted:
                    known = await self.nlb_stub().ListModules(nlb_pb2.ListModulesRequest(), timeout=20)
                    seen = {module.instance_id for module in known.modules}
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"the NLB knows {seen}, not {wanted}") from None

    async def close(self) -> None:
        """End everything that was started."""
        await self._channels.aclose()
        started = [p for p in (*self.albs.values(), self.nlb) if p.process is not None]
        try:
            async with asyncio.TaskGroup() as group:
                for part in started:
                    group.create_task(part.process.end())
        finally:
            kill_left(self.directory)
            shutil.rmtree(self.nlb.folder, ignore_errors=True)


@asynccontextmanager
async def running(
    directory: Path,
    state: Mapping[str, Any],
    versions: Mapping[str, str] | None = None,
    nlb_settings: Mapping[str, Any] | None = None,
    alb_settings: Mapping[str, Any] | None = None,
) -> AsyncIterator[System]:
    """A started system for the length of the block."""
    system = System(directory, state, versions or {"alb-1": "v1"}, nlb_settings or {}, alb_settings or {})
    try:
        await system.start()
        yield system
    finally:
        await system.close()


@asynccontextmanager
async def two_versions(directory: Path, **route: Any) -> AsyncIterator[System]:
    """One with a route `web` to blue backends, v1, that have all of it, and green ones, v2; `route` says more of it."""
    async with serving("blue", "green") as (blue, green):
        backends = [{"pool": "blue", "weight": 100}, {"pool": "green", "weight": 0}]
        state = {
            "routes": [{"id": "web", **route, "backends": backends}],
            "pools": [
                {"name": "blue", "version": "v1", "endpoints": [blue.address]},
                {"name": "green", "version": "v2", "endpoints": [green.address]},
            ],
        }
        async with running(directory, state) as system:
            yield system


async def until(check: Callable[[], Any], within: float = 20) -> float:
    """Poll until the coroutine function answers true; the seconds that it took."""
    started = time.monotonic()
    async with asyncio.timeout(within):
        while not await check():
            await asyncio.sleep(0.02)
    return time.monotonic() - started


def _nlb_section(directory: Path, ports: Mapping[str, int]) -> dict[str, Any]:
    return {
        "id": "nlb",
        "grpc": f"127.0.0.1:{ports['grpc']}",
        "metrics": f"127.0.0.1:{ports['metrics']}",
        "envoy": {"admin": f"127.0.0.1:{ports['admin']}"},
        "state_dir": str(directory),
        "heartbeat_interval": 1,
        "drain_seconds": 1,
    }


def _alb_section(directory: Path, name: str, version: str, ports: Mapping[str, int]) -> dict[str, Any]:
    return {
        "id": name,
        "type": "alb",
        "version": version,
        "grpc": f"127.0.0.1:{ports['grpc']}",
        "health": f"127.0.0.1:{ports['health']}",
        "metrics": f"127.0.0.1:{ports['metrics']}",
        "traffic": f"127.0.0.1:{ports['plain']}",
        "proxy_traffic": f"127.0.0.1:{ports['proxied']}",
        "envoy": {"admin": f"127.0.0.1:{ports['admin']}", "concurrency": 1},
        "state_dir": str(directory),
        "heartbeat_interval": 1,
        "metrics_interval": 0.5,
        "drain_seconds": DRAIN_SECONDS,
    }
