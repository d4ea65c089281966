"""Real MarchProxy processes, started with the commands and the file that a user would write."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.support.netns import inside
from bench.support.ports import free_ports
from bench.support.processes import child, python, wait_for_http


@dataclass(frozen=True, slots=True)
class Service:
    """A running NLB, ALB or control plane. `traffic` is the ALB's plain port (0 for the others)."""

    process: subprocess.Popen[bytes]
    grpc: str
    file: Path
    section: Mapping[str, Any]
    traffic: int = 0

    def rewrite(self, state: Mapping[str, Any]) -> None:
        """Put another desired state into the file, for the next reload."""
        _write(self.file, {**self.section, **state})


@contextmanager
def running_alb(name: str, state: Mapping[str, Any], directory: Path, *, nlb: str = "") -> Iterator[Service]:
    """An ALB that serves, with one Envoy worker; `nlb` is the gRPC address it registers with. Raises NotReady."""
    with _running_http("alb", name, state, directory, nlbs=[nlb] if nlb else []) as service:
        yield service


@contextmanager
def running_ailb(name: str, state: Mapping[str, Any], directory: Path) -> Iterator[Service]:
    """An AILB that serves, with one Envoy worker and one relay. Raises NotReady."""
    with _running_http("ailb", name, state, directory, relays=1) as service:
        yield service


@contextmanager
def _running_http(
    kind: str, name: str, state: Mapping[str, Any], directory: Path, **settings: object
) -> Iterator[Service]:
    grpc, health, metrics, traffic, proxied, admin = free_ports(6)
    entry = {
        "id": name,
        "type": kind,
        "grpc": f"127.0.0.1:{grpc}",
        "health": f"127.0.0.1:{health}",
        "metrics": f"127.0.0.1:{metrics}",
        "traffic": f"127.0.0.1:{traffic}",
        "proxy_traffic": f"127.0.0.1:{proxied}",
        "state_dir": str(directory / "state"),
        "envoy": {"admin": f"127.0.0.1:{admin}", "concurrency": 1},
        "drain_seconds": 1,
        "log_level": "warning",
        **settings,
    }
    section, file = {"modules": [entry]}, directory / f"{name}.yaml"
    _write(file, {**section, **state})
    command = python("marchproxy", kind, "--config", file)
    with _serving(name, command, file, f"127.0.0.1:{health}") as process:
        yield Service(process, f"127.0.0.1:{grpc}", file, section, traffic)


@contextmanager
def running_nlb(
    name: str, state: Mapping[str, Any], directory: Path, *, namespace: str = "", host: str = "127.0.0.1"
) -> Iterator[Service]:
    """An NLB that serves, with one Envoy worker. Raises NotReady.

    `host` is where its gRPC is reached; in a network namespace of that name if one is given, and if so it sends packets
    on to modules that see clients' addresses.
    """
    grpc, metrics, admin = free_ports(3)
    entry = {
        "id": name,
        "grpc": f"{host}:{grpc}",
        "metrics": f"{host}:{metrics}",
        "kernel": {"keep_source": bool(namespace)},
        "state_dir": str(directory / "state" / name),
        "envoy": {"admin": f"127.0.0.1:{admin}", "concurrency": 1},
        "drain_seconds": 1,
        "log_level": "warning",
    }
    section, file = {"nlb": entry}, directory / f"{name}.yaml"
    _write(file, {**section, **state})
    command = [*(inside(namespace) if namespace else ()), *python("marchproxy", "nlb", "--config", file)]
    with _serving(name, command, file, f"{host}:{metrics}") as process:
        yield Service(process, f"{host}:{grpc}", file, section)


@contextmanager
def running_xds(name: str, state: Mapping[str, Any], directory: Path) -> Iterator[Service]:
    """A control plane by itself, that serves. Raises NotReady."""
    grpc, metrics = free_ports(2)
    section = {
        "xds": {
            "grpc": f"127.0.0.1:{grpc}",
            "status": None,
            "metrics": f"127.0.0.1:{metrics}",
            "state_dir": str(directory / "state" / name),
            "log_level": "warning",
        }
    }
    file = directory / f"{name}.yaml"
    _write(file, {**section, **state})
    command = python("marchproxy", "xds", "--config", file)
    with _serving(name, command, file, f"127.0.0.1:{metrics}") as process:
        yield Service(process, f"127.0.0.1:{grpc}", file, section)


@contextmanager
def _serving(
    name: str, command: Sequence[str | Path], file: Path, health: str
) -> Iterator[subprocess.Popen[bytes]]:
    with child(name, command, file.parent) as process:
        wait_for_http(f"http://{health}/readyz", process, file.with_name(f"{name}.log"))
        yield process


def _write(file: Path, document: Mapping[str, Any]) -> None:
    file.write_text(yaml.dump(document, Dumper=yaml.CSafeDumper))
