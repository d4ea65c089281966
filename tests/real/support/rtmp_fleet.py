"""Several RTMP modules behind an NLB on one machine, each started by the command that people use."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from marchproxy.contract.pb import module_pb2, module_pb2_grpc
from tests.ports import free_port
from tests.real.support.system import Part, System


class Fleet(System):
    """`nlb` and RTMP modules, whose versions are given by their ids. Clients come at `port`, or at an instance's `direct`."""

    def __init__(self, directory: Path, state: Mapping[str, Any], versions: Mapping[str, str]) -> None:
        super().__init__(directory, state, {})
        self.direct: dict[str, int] = {}
        for name, version in versions.items():
            ports = {key: free_port() for key in ("grpc", "health", "metrics", "traffic", "proxy_traffic")}
            section = {
                "id": name,
                "type": "rtmp",
                "version": version,
                **{key: f"127.0.0.1:{port}" for key, port in ports.items()},
                "playback": None,
                "workers": 1,
                "state_dir": str(directory),
                "heartbeat_interval": 0.5,
                "metrics_interval": 0.2,
                "drain_seconds": 60,  # who has clients waits for them
            }
            self._document["modules"].append(section)
            self.albs[name] = Part(self, name, ["rtmp", "--id", name], ports)
            self.direct[name] = ports["traffic"]
        self.file.write_text(yaml.safe_dump(self._document))

    def state(self, **listener: Any) -> dict[str, Any]:
        """As a System's."""
        return super().state(protocol="rtmp", module="rtmp", **listener)

    async def start(self) -> None:
        """As a System's, the instances at once."""
        await self.nlb.start()
        async with asyncio.TaskGroup() as group:
            for part in self.albs.values():
                group.create_task(part.start())
        await self.targets(set(self.albs))

    def module(self, name: str) -> Any:
        """An instance's ModuleService."""
        return self.alb_stub(name)

    async def give_all(self, version: str) -> None:
        """Have all new connections go to a version."""
        versions = module_pb2_grpc.ModuleServiceStub(self.channel(self.nlb.grpc))
        request = module_pb2.SetTrafficWeightRequest(version=version, weight=100, route_id="web")
        answer = await versions.SetTrafficWeight(request, timeout=10)
        assert answer.success, answer

    def url(self, stream: str, instance: str = "") -> str:
        """Where a stream (`app/name`) is published and played: at the NLB, or at one of the instances."""
        return f"rtmp://127.0.0.1:{self.direct[instance] if instance else self.port}/{stream}"


@asynccontextmanager
async def fleet(
    directory: Path, state: Mapping[str, Any], versions: Mapping[str, str]
) -> AsyncIterator[Fleet]:
    """A running one for the length of the block."""
    found = Fleet(directory, state, versions)
    try:
        await found.start()
        yield found
    finally:
        await found.close()
        for name in versions:
            for log in sorted((directory / name / "workers").glob("*.log")):
                print(f"--- {log}\n{log.read_text()}")  # noqa: T201 - pytest shows it when the test failed
