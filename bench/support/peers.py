"""The peers and the backend: a bare Envoy and HAProxy, with the settings their own guides give, one thread each."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.support.processes import child, wait_for_http
from marchproxy.engines.envoy.binary import find_envoy

_BODY = "x" * 1024
_HAPROXY = """
global
    nbthread 1
    maxconn 4096
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always
"""


@contextmanager
def backend(ports: list[int], directory: Path) -> Iterator[None]:
    """HAProxy answering 1 KiB by itself on every port: more requests per second than any proxy here can bring."""
    binds = "".join(f"    bind 127.0.0.1:{port}\n" for port in ports)
    answer = f'    http-request return status 200 content-type text/plain string "{_BODY}"\n'
    with _haproxy("backend", f"{_HAPROXY}frontend answer\n{binds}{answer}", ports[0], directory):
        yield


@contextmanager
def haproxy_http(port: int, upstream: int, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """HAProxy as an HTTP proxy. Raises NotReady."""
    frontend = f"frontend web\n    bind 127.0.0.1:{port}\n    default_backend web\n"
    upstreams = f"backend web\n    server web 127.0.0.1:{upstream}\n"
    with _haproxy("haproxy", _HAPROXY + frontend + upstreams, port, directory) as process:
        yield process


@contextmanager
def envoy_http(port: int, upstream: int, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Envoy as an HTTP proxy, from a static file with nothing but a router. Raises NotReady."""
    file = directory / "envoy.json"
    file.write_text(json.dumps(_static_envoy(port, upstream)))
    command: list[str | Path] = [
        find_envoy(None),
        "-c",
        file,
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "-l",
        "warning",
    ]
    with child("envoy", command, directory) as process:
        wait_for_http(f"http://127.0.0.1:{port}/", process, directory / "envoy.log")
        yield process


@contextmanager
def _haproxy(name: str, config: str, port: int, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    file = directory / f"{name}.cfg"
    file.write_text(config)
    with child(name, ["haproxy", "-db", "-f", file], directory) as process:
        wait_for_http(f"http://127.0.0.1:{port}/", process, directory / f"{name}.log")
        yield process


def _static_envoy(port: int, upstream: int) -> dict[str, Any]:
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."
        "HttpConnectionManager",
        "stat_prefix": "web",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "web"}}],
                }
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
                },
            }
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    assignment = {
        "cluster_name": "web",
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(upstream)}}]}],
    }
    return {
        "static_resources": {
            "listeners": [{"name": "web", "address": _address(port), "filter_chains": [chain]}],
            "clusters": [{"name": "web", "type": "STATIC", "load_assignment": assignment}],
        }
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
