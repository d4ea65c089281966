"""An NLB and a DBLB on one machine, from one file, each started by the command that people use; with databases behind."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import grpc
import psutil
import yaml

from marchproxy.contract.pb import module_pb2_grpc
from tests.ports import free_port
from tests.real.support.process import kill_left, naming
from tests.real.support.system import DRAIN_SECONDS, Part

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Databases:
    """`nlb` and `dblb`, of `document` and what is said here. Clients of PostgreSQL come at `port`, or at `direct`."""

    def __init__(
        self,
        directory: Path,
        document: Mapping[str, Any],
        *,
        workers: int = 2,
        settings: Mapping[str, Any] = NOTHING,
    ) -> None:
        self.directory, self.file = directory, directory / "file.yaml"
        self.port, self.direct, self.behind = free_port(), free_port(), free_port()
        ports = {name: free_port() for name in ("grpc", "health", "metrics", "nlb", "nlb_metrics", "admin")}
        self.nlb = Part(
            self, "nlb-1", ["nlb"], {**ports, "grpc": ports["nlb"], "health": ports["nlb_metrics"]}
        )  # type: ignore[arg-type]
        self.dblb = Part(self, "dblb-1", ["dblb"], ports)  # type: ignore[arg-type]
        where = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        self.document: dict[str, Any] = {
            "nlb": {
                "grpc": where["nlb"],
                "metrics": where["nlb_metrics"],
                "state_dir": str(directory),
                "envoy": {"admin": where["admin"]},
                "drain_seconds": DRAIN_SECONDS,
            },
            "modules": [
                {
                    "id": "dblb-1",
                    "type": "dblb",
                    **{name: where[name] for name in ("grpc", "health", "metrics")},
                    "state_dir": str(directory),
                    "postgres": f"127.0.0.1:{self.direct}",
                    "postgres_proxy": f"127.0.0.1:{self.behind}",
                    "workers": workers,
                    "heartbeat_interval": 0.2,
                    "metrics_interval": 0.5,
                    "drain_seconds": DRAIN_SECONDS,
                    **settings,
                }
            ],
            "listeners": [
                {
                    "name": "postgres",
                    "address": f"127.0.0.1:{self.port}",
                    "protocol": "postgres",
                    "module": "dblb",
                }
            ],
            **document,
        }
        self.save()

    def save(self) -> None:
        """Write the file anew."""
        self.file.write_text(yaml.safe_dump(self.document))

    def workers(self) -> list[psutil.Process]:
        """The worker processes, by their number."""
        named = naming(self.dblb.folder / "workers")
        found = [p for p in named if "marchproxy.modules.dblb.worker" in p.info["cmdline"]]

        def number(process: psutil.Process) -> int:
            line = process.info["cmdline"]
            return int(line[line.index("--index") + 1])

        return sorted(found, key=number)

    @asynccontextmanager
    async def asked(self) -> AsyncIterator[Any]:
        """The DBLB's ModuleService."""
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.dblb.grpc}") as channel:
            yield module_pb2_grpc.ModuleServiceStub(channel)


@asynccontextmanager
async def databases(
    directory: Path, document: Mapping[str, Any], *, workers: int = 2, nlb: bool = False, **settings: Any
) -> AsyncIterator[Databases]:
    """A running DBLB with these `settings` too, and an NLB before it if that is wanted; nothing is left afterwards."""
    system = Databases(directory, document, workers=workers, settings=settings)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(system.dblb.start())
            if nlb:
                group.create_task(system.nlb.start())
        yield system
    finally:
        for part in (system.dblb, system.nlb):
            if part.process is not None:
                await part.process.end()
        kill_left(directory)
        for log in sorted((system.dblb.folder / "workers").glob("*.log")):
            print(f"--- {log}\n{log.read_text()}")  # noqa: T201 - pytest shows it when the test failed
