"""An ALB, or an AILB, in a process of its own, started by the command that people use."""

import asyncio
import contextlib
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import grpc
import httpx
import yaml

from marchproxy.contract.pb import module_pb2 as pb
from marchproxy.contract.pb import module_pb2_grpc, types_pb2
from tests.ports import free_port
from tests.real.support.process import Started, kill_left, naming, start


class Alb:
    """`marchproxy alb` (or what `type` says) with a file in `directory`; its ports stay the same when it is started again."""

    def __init__(
        self, directory: Path, state: Mapping[str, Any], *, proxied: bool = False, **settings: Any
    ) -> None:
        """`proxied`: with the second listener, which requires PROXY protocol v2."""
        self.directory = directory
        self.file = directory / "alb.yaml"
        self.log = directory / "alb.log"
        self.port, self.proxied, self.grpc, self.health, self.metrics, admin = (free_port() for _ in range(6))
        self.settings = {
            "id": "alb-1",
            "type": "alb",
            "grpc": f"127.0.0.1:{self.grpc}",
            "health": f"127.0.0.1:{self.health}",
            "metrics": f"127.0.0.1:{self.metrics}",
            "traffic": f"127.0.0.1:{self.port}",
            "state_dir": str(directory / "s"),
            "envoy": {"admin": f"127.0.0.1:{admin}", "concurrency": 1},
            "metrics_interval": 0.5,
            "stats_window": 1,
            "drain_seconds": 2,
            **({"proxy_traffic": f"127.0.0.1:{self.proxied}"} if proxied else {}),
            **settings,
        }
        self.write(state)
        self.process: Started | None = None
        self._channel: grpc.aio.Channel | None = None
        self.stub: Any = None

    def write(self, state: Mapping[str, Any]) -> None:
        """What the file says from now on."""
        self.file.write_text(yaml.safe_dump({"modules": [self.settings], **state}))

    async def launch(self) -> Started:
        """Start the command and wait for nothing."""
        command = [sys.executable, "-m", "marchproxy", self.settings["type"], "--config", str(self.file)]
        self.process = await start(command, self.log)
        return self.process

    async def start(self) -> Self:
        """Start it and wait until it is ready."""
        process = await self.launch()
        async with asyncio.timeout(40), httpx.AsyncClient(trust_env=False) as client:
            while True:
                assert process.running, self.log.read_text()
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get(f"http://127.0.0.1:{self.health}/readyz")).status_code == 200:
                        break
                await asyncio.sleep(0.02)
        self._channel = grpc.aio.insecure_channel(
            f"127.0.0.1:{self.grpc}", options=[("grpc.use_local_subchannel_pool", 1)]
        )
        self.stub = module_pb2_grpc.ModuleServiceStub(self._channel)
        async with asyncio.timeout(20):
            await self._channel.channel_ready()
        return self

    async def kill(self) -> None:
        """SIGKILL to the process, not to its Envoy."""
        assert self.process is not None
        self.process.send(signal.SIGKILL)
        await self.process.ended(20)
        await self._hang_up()

    async def close(self) -> None:
        """End everything that was started, and remove its files' folder of sockets."""
        await self._hang_up()
        try:
            if self.process is not None:
                await self.process.end()
        finally:
            kill_left(self.directory)
            shutil.rmtree(self.directory / "s", ignore_errors=True)

    def envoys(self) -> list[int]:
        """The pids of its Envoys."""
        return [process.pid for process in naming(self.directory) if process.info["name"].startswith("envoy")]

    async def put(self, *routes: types_pb2.Route, pools: tuple[types_pb2.BackendPool, ...] = ()) -> None:
        """Add or replace pools and routes; fails with the reason when they are refused."""
        if pools:
            answer = await self.stub.UpdateBackends(pb.UpdateBackendsRequest(pools=pools))
            assert answer.success, answer
        answer = await self.stub.UpdateRoutes(pb.UpdateRoutesRequest(routes=routes))
        assert answer.success, answer

    async def _hang_up(self) -> None:
        if self._channel is not None:
            await self._channel.close()
            self._channel = None


def pool(name: str, *addresses: str, version: str = "v1", **fields: Any) -> types_pb2.BackendPool:
    endpoints = [types_pb2.BackendEndpoint(address=address) for address in addresses]
    return types_pb2.BackendPool(name=name, version=version, endpoints=endpoints, **fields)


def route(name: str, *, path: str = "/", **shares: int) -> types_pb2.Route:
    """A route for the host `<name>.test`, to these pools."""
    backends = [types_pb2.BackendRef(pool=pool, weight=weight) for pool, weight in shares.items()]
    return types_pb2.Route(route_id=name, hosts=[f"{name}.test"], path_pattern=path, backends=backends)
