"""The peers and the backend of bench.http, running: HAProxy, nginx and an Envoy with a hand-written file, a thread each."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.support.peer_files import HAPROXY_DEFAULTS, envoy_config, haproxy_config, haproxy_map, nginx_config
from bench.support.processes import child, wait_for_http
from bench.support.routing import RoutingTable
from marchproxy.engines.envoy.binary import find_envoy

_BODY = "x" * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """What a peer is called, where it listens, the port of its own backend, and what it routes."""

    name: str
    port: int
    upstream: int
    table: RoutingTable


@contextmanager
def backend(ports: Sequence[int], directory: Path) -> Iterator[None]:
    """HAProxy answering 1 KiB by itself on every port: more requests per second than any proxy here can bring."""
    binds = "".join(f"    bind 127.0.0.1:{port}\n" for port in ports)
    answer = f'    http-request return status 200 content-type text/plain string "{_BODY}"\n'
    file = directory / "backend.cfg"
    file.write_text(f"{HAPROXY_DEFAULTS}frontend answer\n{binds}{answer}")
    with child("backend", ["haproxy", "-db", "-f", file], directory) as process:
        wait_for_http(f"http://127.0.0.1:{ports[0]}/", process, directory / "backend.log")
        yield


@contextmanager
def haproxy_http(place: Place, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """HAProxy as an HTTP proxy. Raises NotReady."""
    file = directory / f"{place.name}.cfg"
    routes = file.with_suffix(".map")
    routes.write_text(haproxy_map(place.table))
    file.write_text(haproxy_config(place.table, place.port, place.upstream, routes))
    with _serving(place, ["haproxy", "-db", "-f", file], directory) as process:
        yield process


@contextmanager
def nginx_http(place: Place, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """nginx as an HTTP proxy. Raises NotReady."""
    file = directory / f"{place.name}.conf"
    file.write_text(
        nginx_config(place.table, place.port, place.upstream, name=place.name, directory=directory)
    )
    with _serving(place, ["nginx", "-e", "stderr", "-c", file], directory) as process:
        yield process


@contextmanager
def envoy_http(place: Place, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Envoy as an HTTP proxy, from a static file. Raises NotReady."""
    file = directory / f"{place.name}.json"
    file.write_text(json.dumps(envoy_config(place.table, place.port, place.upstream)))
    options = ["--concurrency", "1", "--disable-hot-restart", "-l", "warning"]
    with _serving(place, [find_envoy(None), "-c", file, *options], directory) as process:
        yield process


@contextmanager
def _serving(
    place: Place, command: Sequence[str | Path], directory: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with child(place.name, command, directory) as process:
        host, path = place.table.a_request()
        url = f"http://127.0.0.1:{place.port}{path}"
        wait_for_http(url, process, directory / f"{place.name}.log", host=host)
        yield process
