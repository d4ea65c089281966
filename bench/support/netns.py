"""Network namespaces: a client, two hosts in the middle that are built alike, and a backend behind both.

Every path, the direct one too, goes client → middle → backend over the same two veth pairs. `kernel` is a middle of its
own because NAT rules make the whole namespace track connections, which no other path should pay for.
"""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_SYSCTLS = ("net.ipv4.ip_local_port_range=1024 65535", "net.ipv4.tcp_tw_reuse=1", "net.ipv4.ip_forward=1")


@dataclass(frozen=True, slots=True)
class Middle:
    """A host in the middle: its namespace, its address on the client's side, the backend's address behind it."""

    namespace: str
    host: str
    backend: str


@dataclass(frozen=True, slots=True)
class Net:
    """The namespaces by what stands in them."""

    client: str
    backend: str
    plain: Middle
    kernel: Middle


def inside(namespace: str) -> tuple[str, ...]:
    """The command that runs the rest of its line in the namespace, under the same process id."""
    return ("ip", "netns", "exec", namespace)


@contextmanager
def network() -> Iterator[Net]:
    """The network for the length of the block, with this process as the client. Raises CalledProcessError, OSError."""
    prefix = f"bench{os.getpid()}"
    names = [f"{prefix}-{part}" for part in ("client", "backend", "plain", "kernel")]
    client, backend, *middles = names
    try:
        for name in names:
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
            subprocess.run([*inside(name), "sysctl", "-q", "-w", *_SYSCTLS], check=True, timeout=20)
        plain, kernel = (_join(client, middle, backend, number) for number, middle in enumerate(middles))
        with _entered(client):
            yield Net(client, backend, plain, kernel)
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, timeout=20, check=False)


def _join(client: str, middle: str, backend: str, number: int) -> Middle:
    front, back = f"10.78.{2 * number}", f"10.78.{2 * number + 1}"
    for namespace, link, subnet in ((client, "front", front), (backend, "back", back)):
        end = f"{link}{number}"
        _ip("link", "add", end, "netns", namespace, "type", "veth", "peer", "name", link, "netns", middle)
        for where, name, last in ((namespace, end, 2), (middle, link, 1)):
            _ip("-n", where, "addr", "add", f"{subnet}.{last}/24", "dev", name)
            _ip("-n", where, "link", "set", name, "up")
    _ip("-n", client, "route", "add", f"{back}.0/24", "via", f"{front}.1")
    _ip("-n", backend, "route", "add", f"{front}.0/24", "via", f"{back}.1")
    return Middle(middle, f"{front}.1", f"{back}.2")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, timeout=20)


@contextmanager
def _entered(namespace: str) -> Iterator[None]:
    """This thread, and the processes that it starts, in the namespace."""
    with Path("/proc/thread-self/ns/net").open() as home, Path(f"/run/netns/{namespace}").open() as away:
        _enter(away.fileno())
        try:
            yield
        finally:
            _enter(home.fileno())


def _enter(descriptor: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
