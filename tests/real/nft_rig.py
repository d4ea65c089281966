"""Network namespaces for the kernel's forwarding: a client, a load balancer, two module hosts; and sockets in them.

One process plays every part: a socket belongs to the namespace its thread was in when it was made.
"""

import asyncio
import contextlib
import ctypes
import json
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

CLONE_NEWNET = 0x40000000
CLIENT, M1, M2 = "10.77.0.2", "10.77.1.2", "10.77.2.2"
CLIENT6, M1_6, M2_6 = "fd77::2", "fd77:1::2", "fd77:2::2"
LB, LB6 = "10.77.0.1", "fd77::1"
VIP, VIP6 = "10.77.9.9", "fd77:9::9"
_made: set[socket.socket] = set()
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Net:
    """The names of the four namespaces."""

    client: str
    lb: str
    m1: str
    m2: str

    def run(self, namespace: str, *command: str, check: bool = True) -> str:
        inside = ["ip", "netns", "exec", namespace, *command]
        done = subprocess.run(inside, capture_output=True, text=True, timeout=20, check=False)
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.stderr}")
        return done.stdout

    def nft(self, text: str) -> str:
        return self.run(self.lb, "nft", text)


@contextmanager
def make_net() -> Iterator[Net]:
    prefix = f"nft{os.getpid()}"
    net = Net(*(f"{prefix}-{part}" for part in ("client", "lb", "m1", "m2")))
    names = (net.client, net.lb, net.m1, net.m2)
    try:
        for name in names:
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        for number, host in enumerate((net.client, net.m1, net.m2)):
            _join(net.lb, host, number)
        forward = ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        net.run(net.lb, "sysctl", "-q", "-w", *forward)
        yield net
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, timeout=20, check=False)


def _join(lb: str, host: str, number: int) -> None:
    _ip("link", "add", "up0", "netns", host, "type", "veth", "peer", "name", f"down{number}", "netns", lb)
    for namespace, link, last in ((lb, f"down{number}", 1), (host, "up0", 2)):
        _ip("-n", namespace, "addr", "add", f"10.77.{number}.{last}/24", "dev", link)
        _ip("-n", namespace, "addr", "add", f"fd77:{number}::{last}/64", "dev", link, "nodad")
        _ip("-n", namespace, "link", "set", link, "up")
    _ip("-n", host, "route", "add", "default", "via", f"10.77.{number}.1")
    _ip("-n", host, "route", "add", "default", "via", f"fd77:{number}::1")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=20)


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Sockets made in this block belong to the namespace. Nothing may be awaited in it."""
    with Path("/proc/thread-self/ns/net").open() as home, Path(f"/run/netns/{namespace}").open() as away:
        _enter(away.fileno())
        try:
            yield
        finally:
            _enter(home.fileno())


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def make_socket(namespace: str, address: str, port: int = 0, *, udp: bool = False) -> socket.socket:
    """A bound, non-blocking socket in the namespace."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with inside(namespace):
        made = socket.socket(family, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
    _made.add(made)
    made.setblocking(False)
    if not udp:  # over UDP it would let two of our sockets have the same port
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((address, port))
    return made


def close_sockets() -> None:
    """Close every socket that a test left open; a failed one leaves many."""
    while _made:
        _made.pop().close()


@dataclass
class Flood:
    """Datagrams to a frontend, each a new flow, and what the kernel made of them."""

    net: Net
    sent: int = 0

    def seen(self) -> tuple[int, int]:
        """How many were translated, and how many came past the rules as they were."""
        listed = json.loads(self.net.run(self.net.lb, "nft", "-j", "list", "counters"))["nftables"]
        found = {item["counter"]["name"]: item["counter"]["packets"] for item in listed if "counter" in item}
        return found["translated"], found["missed"]


@contextmanager
def flooding(net: Net, address: str, port: int) -> Iterator[Flood]:
    """Some 100,000 a second. They are dropped once counted, so that none becomes an established flow."""
    net.nft(
        "add table ip watch; add counter ip watch translated; add counter ip watch missed;"
        "add chain ip watch after { type filter hook prerouting priority -50; };"
        f"add rule ip watch after ip daddr {address} udp dport {port} counter name missed drop;"
        "add rule ip watch after ct status dnat udp length 9 counter name translated drop"
    )
    with inside(net.client):
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    raw.connect((address, 0))
    flood, done = Flood(net), threading.Event()

    def send() -> None:
        while not done.is_set():
            for source in range(1024, 65_536):
                raw.send(struct.pack("!HHHHc", source, port, 9, 0, b"?"))
                flood.sent += 1
                if source % 64 == 0:
                    # more would overflow the queue that the packets of all namespaces share
                    time.sleep(0.0001)
                    if done.is_set():
                        return

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield flood
    finally:
        done.set()
        sender.join()
        raw.close()
        net.nft("delete table ip watch")


@dataclass
class Modules:
    """Servers that say who they are and whom they see, then echo. Closed by `close`."""

    net: Net
    _servers: list[asyncio.Server] = field(default_factory=list)
    _transports: list[asyncio.DatagramTransport] = field(default_factory=list)
    _accepted: set[asyncio.Transport] = field(default_factory=set)

    async def tcp(self, namespace: str, name: str, port: int, *, address: str = "::") -> None:
        accepted = self._accepted

        class Greet(asyncio.Protocol):
            def connection_made(self, transport) -> None:
                self.transport = transport
                accepted.add(transport)
                peer = transport.get_extra_info("peername")
                # a client that reset at once has no name any more
                seen = peer[0].removeprefix("::ffff:") if peer else "gone"
                transport.write(f"{name} {seen}\n".encode())

            def data_received(self, data: bytes) -> None:
                self.transport.write(data)

            def connection_lost(self, error: Exception | None) -> None:
                accepted.discard(self.transport)

        loop = asyncio.get_running_loop()
        listening = make_socket(namespace, address, port)
        self._servers.append(await loop.create_server(Greet, sock=listening, backlog=4096))

    async def udp(self, namespace: str, name: str, port: int, *, address: str = "0.0.0.0") -> None:
        class Answer(asyncio.DatagramProtocol):
            def connection_made(self, transport) -> None:
                self.transport = transport

            def datagram_received(self, data: bytes, peer) -> None:
                self.transport.sendto(f"{name} {peer[0]}".encode(), peer)

        loop = asyncio.get_running_loop()
        bound = make_socket(namespace, address, port, udp=True)
        transport, _ = await loop.create_datagram_endpoint(Answer, sock=bound)
        self._transports.append(transport)

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for transport in (*self._transports, *self._accepted):
            transport.abort()
        while self._accepted:
            await asyncio.sleep(0)


@dataclass(frozen=True, slots=True)
class Connection:
    """An open connection, who answered it and which client address that server saw."""

    sock: socket.socket
    server: str
    seen: str

    async def echo(self) -> bool:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(3):
            await loop.sock_sendall(self.sock, b"ping\n")
            return await loop.sock_recv(self.sock, 64) == b"ping\n"

    def abort(self) -> None:
        # a reset leaves no TIME_WAIT behind, so thousands of connections do not run out of ports
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()

    def close(self) -> None:
        _made.discard(self.sock)
        self.sock.close()


async def connect(
    namespace: str, address: str, port: int, *, source: str | None = None, timeout: float = 3.0
) -> Connection:
    """Raises OSError (refused) or TimeoutError."""
    loop = asyncio.get_running_loop()
    sock = make_socket(namespace, source or ("::" if ":" in address else "0.0.0.0"))
    try:
        async with asyncio.timeout(timeout):
            await loop.sock_connect(sock, (address, port))
            greeting = await loop.sock_recv(sock, 256)
        server, seen = greeting.decode().split()
    except BaseException:
        _made.discard(sock)
        sock.close()
        raise
    return Connection(sock, server, seen)


async def ask(namespace: str, address: str, port: int) -> str:
    """Open a connection, drop it, and say who answered."""
    connection = await connect(namespace, address, port)
    connection.abort()
    return connection.server


async def datagram(sock: socket.socket, address: str, port: int, *, timeout: float = 10.0) -> str:
    """Ask, once a second until there is an answer, and return it. Raises OSError or TimeoutError."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(BlockingIOError):
        while sock.recv(256):
            pass  # a late answer to an earlier question
    async with asyncio.timeout(timeout):
        while True:
            await loop.sock_sendto(sock, b"?", (address, port))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    return (await loop.sock_recv(sock, 256)).decode()
