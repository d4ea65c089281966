"""The paths of bench.http: every proxy at every size, side by side, each with a backend port of its own."""

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.support.documents import one_route
from bench.support.marchproxy import Service, running_alb, running_nlb
from bench.support.peers import Place, backend, envoy_http, haproxy_http, nginx_http
from bench.support.ports import free_ports
from bench.support.processes import family, wait_for_http
from bench.support.routing import RoutingTable

SIZES = (1, 100, 5000)
OURS, ALB, ENVOY, HAPROXY, NGINX = "nlb_alb", "alb", "hand_envoy", "haproxy", "nginx"
WORDS = {
    OURS: "NLB → ALB",
    ALB: "ALB",
    ENVOY: "Envoy, by hand",
    HAPROXY: "HAProxy",
    NGINX: "nginx",
}
_PEERS: dict[str, Callable[[Place, Path], AbstractContextManager[subprocess.Popen[bytes]]]] = {
    ENVOY: envoy_http,
    HAPROXY: haproxy_http,
    NGINX: nginx_http,
}
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Key:
    """Which proxy, with how many routes."""

    proxy: str
    routes: int


@dataclass(frozen=True, slots=True)
class HttpPath:
    """A way to a backend: where the client connects, what it asks for, and every process that works for it."""

    port: int
    script: Path
    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Ground:
    """Everything that runs."""

    paths: dict[Key, HttpPath]
    largest: Service
    """The ALB with the most routes."""
    upstream: int
    """The port of its backend."""


@contextmanager
def every_path(directory: Path) -> Iterator[Ground]:
    """All paths ready to be used. Raises NotReady."""
    keys = [Key(OURS, 1), *(Key(proxy, size) for size in SIZES for proxy in (ALB, *_PEERS))]
    behind = dict(zip(keys, free_ports(len(keys)), strict=True))
    fronts = dict(zip(keys, free_ports(len(keys)), strict=True))
    tables = {size: RoutingTable.of(size) for size in SIZES}
    scripts = {size: table.script(directory) for size, table in tables.items()}
    services: dict[Key, Service] = {}
    paths: dict[Key, HttpPath] = {}

    def start(key: Key) -> None:
        table = tables[key.routes]
        if key.proxy == OURS:
            pids = stack.enter_context(_both(behind[key], fronts[key], directory))
            paths[key] = HttpPath(fronts[key], scripts[1], pids)
            return
        name = f"{key.proxy}-{key.routes}"
        if key.proxy == ALB:
            alb = stack.enter_context(running_alb(name, table.document(behind[key]), directory))
            services[key], port, process = alb, alb.traffic, alb.process
        else:
            place = Place(name, fronts[key], behind[key], table)
            port, process = fronts[key], stack.enter_context(_PEERS[key.proxy](place, directory))
        paths[key] = HttpPath(port, scripts[key.routes], tuple(family(process.pid)))

    with ExitStack() as stack:
        stack.enter_context(backend(list(behind.values()), directory))
        with ThreadPoolExecutor(_AT_ONCE) as starting:
            list(starting.map(start, sorted(keys, key=lambda key: -key.routes)))  # the slowest first
        largest = Key(ALB, SIZES[-1])
        yield Ground({key: paths[key] for key in keys}, services[largest], behind[largest])


@contextmanager
def _both(upstream: int, web: int, directory: Path) -> Iterator[tuple[int, ...]]:
    """An NLB and an ALB behind it; the processes of both."""
    state = one_route(upstream, web)
    with (
        running_nlb("nlb", state, directory) as nlb,
        running_alb("alb-behind-nlb", state, directory, nlb=nlb.grpc) as alb,
    ):
        wait_for_http(f"http://127.0.0.1:{web}/", nlb.process, directory / "nlb.log")
        yield (*family(nlb.process.pid), *family(alb.process.pid))
