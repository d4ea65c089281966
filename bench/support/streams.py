"""The L4 peers and the backend behind them: HAProxy, nginx and a bare Envoy as TCP proxies, one thread each.

Each tells the backend the client's address in a PROXY protocol header, as MarchProxy does; nginx can only do version 1.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.support.netns import inside
from bench.support.processes import child, wait_for_http
from marchproxy.engines.envoy.binary import find_envoy

BULK = "/bulk"
_BULK_BYTES = 1 << 30
_EXTENSIONS = "type.googleapis.com/envoy.extensions"
_STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"
_NGINX = """
daemon off;
user root;
worker_processes 1;
pid {directory}/{name}.pid;
error_log stderr warn;
events {{ worker_connections 8192; }}
"""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a proxy runs and listens, and the address of its own backend."""

    namespace: str
    host: str
    port: int
    upstream: str


@contextmanager
def nginx_backend(
    namespace: str, host: str, ports: Mapping[int, bool], directory: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """nginx answering two bytes, or a gibibyte at BULK. `ports`: whether each expects a PROXY protocol header."""
    with (directory / BULK.removeprefix("/")).open("wb") as file:
        file.truncate(_BULK_BYTES)
    listens = "".join(f" listen {port}{' proxy_protocol' * proxied};" for port, proxied in ports.items())
    config = (
        _NGINX.format(directory=directory, name="backend")
        + "http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; server {"
        + f"{listens} root {directory}; location / {{ return 200 ok; }} location = {BULK} {{ }} }} }}"
    )
    plain = next(port for port, proxied in ports.items() if not proxied)
    with _nginx("backend", config, namespace, directory) as process:
        wait_for_http(f"http://{host}:{plain}/", process, directory / "backend.log")
        yield process


@contextmanager
def nginx_stream(spot: Spot, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """nginx's stream module. Raises NotReady."""
    config = (
        f"load_module {_STREAM_MODULE};\n"
        + _NGINX.format(directory=directory, name="nginx")
        + f"stream {{ server {{ listen {spot.port}; proxy_pass {spot.upstream}; proxy_protocol on; }} }}"
    )
    with _nginx("nginx", config, spot.namespace, directory) as process:
        _wait(spot, process, directory / "nginx.log")
        yield process


@contextmanager
def haproxy_tcp(spot: Spot, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """HAProxy in TCP mode. Raises NotReady."""
    file = directory / "haproxy.cfg"
    file.write_text(
        "global\n    nbthread 1\n    maxconn 8192\n"
        "defaults\n    mode tcp\n    timeout connect 5s\n    timeout client 1h\n    timeout server 1h\n"
        f"listen web\n    bind :{spot.port}\n    server web {spot.upstream} send-proxy-v2\n"
    )
    command: list[str | Path] = [*inside(spot.namespace), "haproxy", "-db", "-f", file]
    with child("haproxy", command, directory) as process:
        _wait(spot, process, directory / "haproxy.log")
        yield process


@contextmanager
def envoy_tcp(spot: Spot, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Envoy with nothing but a TCP proxy, from a static file. Raises NotReady."""
    file = directory / "envoy.json"
    file.write_text(json.dumps(_static_envoy(spot)))
    envoy: list[str | Path] = [
        find_envoy(None),
        "-c",
        file,
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "-l",
        "warning",
    ]
    with child("envoy", [*inside(spot.namespace), *envoy], directory) as process:
        _wait(spot, process, directory / "envoy.log")
        yield process


@contextmanager
def _nginx(name: str, config: str, namespace: str, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    file = directory / f"{name}.conf"
    file.write_text(config)
    command: list[str | Path] = [*inside(namespace), "nginx", "-e", "stderr", "-c", file]
    with child(name, command, directory) as process:
        yield process


def _wait(spot: Spot, process: subprocess.Popen[bytes], log: Path) -> None:
    wait_for_http(f"http://{spot.host}:{spot.port}/", process, log)


def _static_envoy(spot: Spot) -> dict[str, Any]:
    proxy = _typed(
        "envoy.filters.network.tcp_proxy",
        "filters.network.tcp_proxy.v3.TcpProxy",
        stat_prefix="web",
        cluster="web",
    )
    raw = _typed("envoy.transport_sockets.raw_buffer", "transport_sockets.raw_buffer.v3.RawBuffer")
    header = _typed(
        "envoy.transport_sockets.upstream_proxy_protocol",
        "transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
        config={"version": "V2"},
        transport_socket=raw,
    )
    endpoint = {"endpoint": {"address": _address(*spot.upstream.split(":"))}}
    cluster = {
        "name": "web",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "web", "endpoints": [{"lb_endpoints": [endpoint]}]},
        "transport_socket": header,
    }
    listener = {
        "name": "web",
        "address": _address("0.0.0.0", spot.port),
        "filter_chains": [{"filters": [proxy]}],
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _typed(name: str, message: str, **fields: object) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": f"{_EXTENSIONS}.{message}", **fields}}


def _address(host: str, port: str | int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": int(port)}}
