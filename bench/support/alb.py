"""A real ALB in a process of its own."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.support.ports import free_ports
from bench.support.processes import child, python, wait_for_http


@dataclass(frozen=True, slots=True)
class Alb:
    """A running ALB, and the document it was started with and reads again at a reload."""

    process: subprocess.Popen[bytes]
    grpc: str
    traffic: int
    document: Path


@contextmanager
def running_alb(name: str, document: bytes, directory: Path, *, nlb: str = "") -> Iterator[Alb]:
    """An ALB that serves, with one Envoy worker; `nlb` is the gRPC address it registers with. Raises NotReady."""
    grpc, health, metrics, traffic, proxied, admin = free_ports(6)
    settings = {
        "id": name,
        "grpc": f"127.0.0.1:{grpc}",
        "health": f"127.0.0.1:{health}",
        "metrics": f"127.0.0.1:{metrics}",
        "traffic": f"127.0.0.1:{traffic}",
        "proxy_traffic": f"127.0.0.1:{proxied}",
        "nlbs": [nlb] if nlb else [],
        "state_dir": str(directory / "state"),
        "envoy": {"admin": f"127.0.0.1:{admin}"},
        "heartbeat_interval": 1,
        "drain_seconds": 0,
    }
    section, state = directory / f"{name}.json", directory / f"{name}-document.json"
    section.write_text(json.dumps(settings))
    state.write_bytes(document)
    with child(name, python("bench.support.service", "alb", section, state), directory) as process:
        wait_for_http(f"http://127.0.0.1:{health}/readyz", process, directory / f"{name}.log")
        yield Alb(process, f"127.0.0.1:{grpc}", traffic, state)
