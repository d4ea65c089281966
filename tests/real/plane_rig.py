"""An Envoy data plane in this process, and servers behind it that tell who they are and whom they see."""

import asyncio
import contextlib
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from marchproxy.kit.clock import SystemClock
from marchproxy.kit.settings.types import HostPort
from marchproxy.model.limit import RateLimit
from marchproxy.model.listener import Listener
from marchproxy.model.module import InstanceId, Protocol, TrafficEndpoint, Version
from marchproxy.model.plan import ForwardingPlan, ListenerPlan, Target, VersionTargets
from marchproxy.model.route import Route
from marchproxy.nlb.dataplane.envoy import EnvoyDataPlane
from marchproxy.nlb.dataplane.plane import ConnectionCounts, Forwarding, TrafficCounts
from marchproxy.nlb.settings import NlbSettings
from tests.ports import free_port

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


@dataclass
class Server:
    """Greets each connection with its name and the client's address, if it speaks first; then echoes."""

    name: str
    proxied: bool = True
    greets: bool = True
    port: int = 0
    seen: list[str] = field(default_factory=list)
    received: bytearray = field(default_factory=bytearray)
    tasks: set = field(default_factory=set)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Server"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in [*self.tasks]:
                task.cancel()
            if self.tasks:
                await asyncio.wait([*self.tasks])

    def target(self) -> Target:
        endpoint = TrafficEndpoint(self.name, Protocol.HTTP, f"127.0.0.1:{self.port}", self.proxied)
        return Target(InstanceId(self.name), Version("v1"), endpoint, 100)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.add(asyncio.current_task())
        try:
            client = await read_proxy(reader) if self.proxied else "nobody:0"
            self.seen.append(client)
            if self.greets:
                writer.write(f"{self.name} {client}\n".encode())
            while data := await reader.read(65536):
                self.received += data
                writer.write(data)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # cancelled only by the end of the server
        finally:
            self.tasks.discard(asyncio.current_task())
            writer.close()


async def read_proxy(reader: asyncio.StreamReader) -> str:
    """The client's host:port of a PROXY protocol v2 header, of either IP version."""
    head = await reader.readexactly(16)
    assert head[:13] == _SIGNATURE + b"\x21", head
    body = await reader.readexactly(struct.unpack("!H", head[14:16])[0])
    size = 4 if head[13] >> 4 == 1 else 16
    (port,) = struct.unpack("!H", body[2 * size : 2 * size + 2])
    host = ".".join(map(str, body[:4])) if size == 4 else body[:16].hex(":", 2)
    return f"{host}:{port}"


def tcp(name: str = "raw", **more) -> Listener:
    """A listener that forwards whatever comes."""
    return Listener(name, "127.0.0.1", more.pop("port", None) or free_port(), Protocol.TCP, **more)


class Plane:
    """A running Envoy data plane and what it was told last."""

    def __init__(self, envoy: EnvoyDataPlane) -> None:
        self.envoy = envoy
        self.admin = envoy.process.admin

    async def carry(
        self,
        *pairs: tuple[Listener, Server | Target],
        limits: tuple[RateLimit, ...] = (),
        routes: tuple[Route, ...] = (),
    ) -> None:
        """Forward each listener to its server."""
        plans = []
        for listener, server in pairs:
            target = server.target() if isinstance(server, Server) else server
            plans.append(ListenerPlan(listener, (VersionTargets(Version("v1"), 100, (target,)),)))
        await self.envoy.apply(Forwarding(ForwardingPlan(tuple(plans)), {}, limits, routes))

    async def counts(self) -> TrafficCounts:
        return await self.envoy.counts(max_age=0)

    async def of(self, listener: str) -> ConnectionCounts:
        return (await self.counts()).listeners[listener]

    async def until(self, listener: str, holds: Callable[[ConnectionCounts], bool]) -> ConnectionCounts:
        """Wait until the counts of a listener are as they should be."""
        async with asyncio.timeout(20):
            while not holds(seen := await self.of(listener)):
                await asyncio.sleep(0.05)
        return seen


@asynccontextmanager
async def envoy_plane(
    directory: Path, *servers: Server, workers: int = 1, **settings: object
) -> AsyncIterator[Plane]:
    """Envoy without listeners, and the servers."""
    envoy = {"admin": HostPort("127.0.0.1", free_port()), "concurrency": workers}
    chosen = NlbSettings.model_validate(
        {"state_dir": directory, "drain_seconds": 2, "envoy": envoy, **settings}
    )
    async with AsyncExitStack() as stack:
        for server in servers:
            await stack.enter_async_context(server.running())
        envoy = EnvoyDataPlane(chosen, clock=SystemClock())
        yield Plane(await stack.enter_async_context(envoy.running()))


@dataclass
class Conversation:
    """A client's open connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def line(self) -> str:
        """The next line; empty when the other side closed."""
        async with asyncio.timeout(10):
            return (await self.reader.readline()).decode().strip()

    async def echoes(self, text: str = "ping") -> bool:
        """Whether what is sent comes back."""
        self.writer.write(text.encode() + b"\n")
        return await self.line() == text

    async def ended(self, seconds: float = 20) -> bool:
        """Wait for the other side to close, whatever it still says; False when it does not in time."""
        try:
            async with asyncio.timeout(seconds):
                while await self.reader.read(65536):
                    pass
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


@asynccontextmanager
async def talk(
    port: int, *, source: str = "127.0.0.1", send: bytes = b"", **more
) -> AsyncIterator[Conversation]:
    """Connect from a loopback address of one's own choice."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0), **more)
    conversation = Conversation(reader, writer)
    try:
        writer.write(send)
        yield conversation
    finally:
        await conversation.close()


def hello(name: str, alpn: tuple[str, ...] = ()) -> bytes:
    """The first bytes of a TLS client that asks for a name and protocols."""
    context = ssl.create_default_context()
    if alpn:
        context.set_alpn_protocols(list(alpn))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


async def greeting(port: int, *, source: str = "127.0.0.1", send: bytes = b"", **more) -> str:
    """The first line that a new connection gets; empty when it is closed without one."""
    try:
        async with talk(port, source=source, send=send, **more) as conversation:
            return await conversation.line()
    except ConnectionError:
        return ""
