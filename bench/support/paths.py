"""The paths of bench.l4: MarchProxy's data planes, their peers, and no proxy at all, each with a backend port of its own."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

from bench.support.marchproxy import running_nlb
from bench.support.netns import Middle, Net, inside
from bench.support.processes import child, family, python, wait_for_http
from bench.support.standin import StandIn
from bench.support.streams import Spot, envoy_tcp, haproxy_tcp, nginx_backend, nginx_stream

DIRECT, KERNEL, ENVOY, DETECT = "direct", "kernel", "envoy", "detect"
HAPROXY, NGINX, BARE = "haproxy", "nginx", "bare_envoy"
WORDS = {
    DIRECT: "direct",
    KERNEL: "MarchProxy, kernel",
    ENVOY: "MarchProxy, Envoy",
    DETECT: "MarchProxy, detect",
    HAPROXY: "HAProxy TCP",
    NGINX: "nginx stream",
    BARE: "Envoy TCP",
}
_PEERS: Mapping[str, Callable[[Spot, Path], AbstractContextManager[Popen[bytes]]]] = {
    HAPROXY: haproxy_tcp,
    NGINX: nginx_stream,
    BARE: envoy_tcp,
}
_FIRST_FRONT, _FIRST_BACK = 7001, 8001
_CONNTRACK = "net.netfilter.nf_conntrack_tcp_timeout_time_wait=10"


@dataclass(frozen=True, slots=True)
class Path4:
    """A way to a backend: where the client connects, and every process between it and there."""

    name: str
    host: str
    port: int
    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Ground:
    """Everything that runs: the paths, and the backend's processes."""

    paths: tuple[Path4, ...]
    backend: tuple[int, ...]


@contextmanager
def every_path(net: Net, directory: Path) -> Iterator[Ground]:
    """All paths ready to be used. Raises NotReady."""
    back = {name: _FIRST_BACK + number for number, name in enumerate(WORDS)}
    proxied = {port: name not in {DIRECT, KERNEL} for name, port in back.items()}
    with ExitStack() as stack:
        web = stack.enter_context(nginx_backend(net.backend, net.plain.backend, proxied, directory))
        pids: dict[str, tuple[int, ...]] = {DIRECT: ()}
        for name, start in _PEERS.items():
            spot = Spot(
                net.plain.namespace, net.plain.host, _front(name), f"{net.plain.backend}:{back[name]}"
            )
            pids[name] = tuple(family(stack.enter_context(start(spot, directory)).pid))
        for middle, planes in ((net.plain, (ENVOY, DETECT)), (net.kernel, (KERNEL,))):
            started = stack.enter_context(_planes(middle, planes, back, net.backend, directory))
            pids |= dict.fromkeys(planes, started)
        paths = [Path4(name, *_entry(net, name, back[name]), pids[name]) for name in WORDS]
        yield Ground(tuple(paths), tuple(family(web.pid)))


@contextmanager
def _planes(
    middle: Middle, planes: tuple[str, ...], back: Mapping[str, int], backend: str, directory: Path
) -> Iterator[tuple[int, ...]]:
    """An NLB with a listener on each of these data planes, and an instance behind each; its processes."""
    name = f"nlb-{'-'.join(planes)}"
    state = {"listeners": [_listener(plane) for plane in planes]}
    with running_nlb(name, state, directory, namespace=middle.namespace, host=middle.host) as nlb:
        instances = [
            StandIn(plane, nlb.grpc, middle.backend, f"{middle.backend}:{back[plane]}", plane != KERNEL)
            for plane in planes
        ]
        command = python("bench.support.standin", *(instance.argument() for instance in instances))
        with child(f"modules-{name}", [*inside(backend), *command], directory):
            for plane in planes:
                url = f"http://{middle.host}:{_front(plane)}/"
                wait_for_http(url, nlb.process, directory / f"{name}.log")
            if KERNEL in planes:
                # tens of thousands of finished connections would fill the host's table within its two minutes
                with child(
                    "sysctl", [*inside(middle.namespace), "sysctl", "-q", "-w", _CONNTRACK], directory
                ) as set_:
                    set_.wait(10)
            yield tuple(family(nlb.process.pid))


def _listener(plane: str) -> dict[str, Any]:
    return {
        "name": plane,
        "address": f"0.0.0.0:{_front(plane)}",
        "protocol": "http",
        "balance": "random",
        "data_plane": plane,
    }


def _front(name: str) -> int:
    return _FIRST_FRONT + list(WORDS).index(name)


def _entry(net: Net, name: str, back: int) -> tuple[str, int]:
    if name == DIRECT:
        return net.plain.backend, back
    return (net.kernel if name == KERNEL else net.plain).host, _front(name)
