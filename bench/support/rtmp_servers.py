"""The servers of bench.rtmp: an RTMP module with one worker, nginx with its RTMP module, and nginx's stream module."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from bench.support.dblb import Path3, listening, wait_for_port
from bench.support.ports import free_ports
from bench.support.processes import child, family, python, wait_for_http

_MODULES = "/usr/lib/nginx/modules"
_NGINX = """
load_module {modules}/{module}.so;
daemon off;
user root;
worker_processes 1;
pid {directory}/{name}.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
"""


@contextmanager
def rtmp(name: str, directory: Path, *, origin: int = 0) -> Iterator[Path3]:
    """An RTMP module that is the origin, or sends streams to the one at that port. Raises NotReady."""
    port, grpc, health, metrics = free_ports(4)
    module = {
        "id": name,
        "type": "rtmp",
        "grpc": f"127.0.0.1:{grpc}",
        "health": f"127.0.0.1:{health}",
        "metrics": f"127.0.0.1:{metrics}",
        "traffic": f"127.0.0.1:{port}",
        "playback": None,
        "state_dir": str(directory / "state" / name),
        "workers": 1,
        "drain_seconds": 1,
        "log_level": "warning",
    }
    route: dict[str, Any] = {"id": "live", "protocol": "rtmp", "module": "rtmp"}
    document: dict[str, Any] = {"modules": [module], "routes": [route]}
    if origin:
        route["backends"] = ["origins"]
        document["pools"] = [{"name": "origins", "protocol": "rtmp", "endpoints": [f"127.0.0.1:{origin}"]}]
    file = directory / f"{name}.yaml"
    file.write_text(yaml.safe_dump(document))
    with child(name, python("marchproxy", "rtmp", "--config", file), directory) as process:
        log = directory / f"{name}.log"
        wait_for_http(f"http://127.0.0.1:{health}/readyz", process, log)
        wait_for_port(port, process, log)
        yield Path3(name, port, tuple(family(process.pid)))


@contextmanager
def nginx_rtmp(name: str, directory: Path) -> Iterator[Path3]:
    """nginx as an origin, with chunks so large that it writes a frame at once. Raises NotReady."""
    (port,) = free_ports(1)
    served = f"listen 127.0.0.1:{port}; chunk_size 65536; application live {{ live on; }}"
    with _nginx(
        name, "ngx_rtmp_module", f"rtmp {{ access_log off; server {{ {served} }} }}", port, directory
    ) as path:
        yield path


@contextmanager
def nginx_stream(name: str, directory: Path, *, origin: int) -> Iterator[Path3]:
    """nginx as a TCP proxy before an origin. Raises NotReady."""
    (port,) = free_ports(1)
    served = f"listen 127.0.0.1:{port}; proxy_pass 127.0.0.1:{origin};"
    with _nginx(name, "ngx_stream_module", f"stream {{ server {{ {served} }} }}", port, directory) as path:
        yield path


@contextmanager
def _nginx(name: str, module: str, served: str, port: int, directory: Path) -> Iterator[Path3]:
    file = directory / f"{name}.conf"
    head = _NGINX.format(modules=_MODULES, module=module, directory=directory, name=name)
    file.write_text(f"{head}{served}\n")
    with listening(name, ["nginx", "-e", "stderr", "-c", file], port, directory) as path:
        yield path
