"""An NLB in a network namespace, driven over gRPC from here, with a module on each of two hosts."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from marchproxy.contract.document import encode
from marchproxy.contract.pb import nlb_pb2, types_pb2
from marchproxy.contract.pb.module_pb2_grpc import add_ModuleServiceServicer_to_server
from marchproxy.contract.pb.nlb_pb2_grpc import NLBServiceStub
from marchproxy.model.limit import RateLimit
from marchproxy.model.listener import Listener
from marchproxy.model.state import DesiredState
from tests.nlb_module import Service, read_proxy_v2
from tests.real.nft_rig import M1, M2, Net, make_net, make_socket
from tests.real.nlb_rig import NlbProcess, until

# how this process and the NLB speak gRPC; a network of our own, for other test runs have theirs on the same host
_FIRST = (os.getpid() % 16_384) * 4
NLB, CONTROL = (f"10.79.{_FIRST >> 8}.{(_FIRST & 255) + last}" for last in (1, 2))


@contextmanager
def make_controlled_net() -> Iterator[Net]:
    """The namespaces, and a link from the NLB's to this process."""
    with make_net() as made:
        link = f"mp{os.getpid()}"
        for command in (
            f"link add {link} type veth peer name control netns {made.lb}",
            f"addr add {CONTROL}/30 dev {link}",
            f"link set {link} up",
            f"-n {made.lb} addr add {NLB}/30 dev control",
            f"-n {made.lb} link set control up",
        ):
            subprocess.run(["ip", *command.split()], check=True, timeout=20)
        yield made


@dataclass
class Hosted:
    """A module in a namespace: greets each client with its own name and the client's address, then echoes."""

    net: Net
    namespace: str
    address: str
    name: str
    version: str
    registration_id: str = ""
    tasks: set = field(default_factory=set)
    plain_port: int = 0
    plain: asyncio.Server | None = None

    @asynccontextmanager
    async def running(self, stub: NLBServiceStub) -> AsyncIterator["Hosted"]:
        server = grpc.aio.server()
        add_ModuleServiceServicer_to_server(Service(), server)
        grpc_port = server.add_insecure_port(f"{CONTROL}:0")
        await server.start()
        await self.open_plain()
        proxied = await asyncio.start_server(self._proxied, sock=make_socket(self.namespace, self.address))
        datagrams = await self._open_udp()
        self.message = types_pb2.ModuleInstance(
            instance_id=self.name,
            module_type=types_pb2.MODULE_TYPE_ALB,
            address=f"{CONTROL}:{grpc_port}",
            version=self.version,
            health_status=types_pb2.HEALTH_STATUS_HEALTHY,
            traffic_weight=100,
            traffic_endpoints=[
                types_pb2.TrafficEndpoint(
                    name=name,
                    protocol=protocol,
                    address="{}:{}".format(*bound.getsockname()),
                    proxy_protocol=name == "proxied",
                )
                for name, protocol, bound in (
                    ("plain", types_pb2.PROTOCOL_HTTP, self.plain.sockets[0]),
                    ("proxied", types_pb2.PROTOCOL_HTTP, proxied.sockets[0]),
                    ("datagrams", types_pb2.PROTOCOL_UDP, datagrams.get_extra_info("socket")),
                )
            ],
        )
        await self.register(stub)
        try:
            yield self
        finally:
            self.plain.close()
            proxied.close()
            datagrams.abort()
            for task in [*self.tasks]:
                task.cancel()
            if self.tasks:
                await asyncio.wait([*self.tasks])
            await server.stop(0)

    async def open_plain(self) -> None:
        """Listen for clients' own connections; again on the same port after `plain.close()`."""
        bound = make_socket(self.namespace, self.address, self.plain_port)
        self.plain = await asyncio.start_server(self._plain, sock=bound)
        self.plain_port = bound.getsockname()[1]

    async def _open_udp(self) -> asyncio.DatagramTransport:
        name = self.name

        class Answer(asyncio.DatagramProtocol):
            def connection_made(self, transport) -> None:
                self.transport = transport

            def datagram_received(self, data: bytes, peer) -> None:
                self.transport.sendto(f"{name} {peer[0]}".encode(), peer)

        bound = make_socket(self.namespace, self.address, udp=True)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Answer, sock=bound)
        return transport

    async def register(self, stub: NLBServiceStub) -> None:
        request = nlb_pb2.RegisterModuleRequest(instance=self.message)
        answer = await stub.RegisterModule(request, timeout=10, wait_for_ready=True)
        assert answer.success, answer
        self.registration_id = answer.registration_id

    async def _plain(self, reader, writer) -> None:
        await self._greet(reader, writer, writer.get_extra_info("peername")[0])

    async def _proxied(self, reader, writer) -> None:
        client = await read_proxy_v2(reader)
        await self._greet(reader, writer, client.rpartition(":")[0])

    async def _greet(self, reader, writer, client: str) -> None:
        self.tasks.add(asyncio.current_task())
        try:
            writer.write(f"{self.name} {client}\n".encode())
            while data := await reader.read(1024):
                writer.write(data)
        except (ConnectionError, asyncio.CancelledError):
            pass  # cancelled only by the end of the module
        finally:
            self.tasks.discard(asyncio.current_task())
            writer.close()


@dataclass
class Rig:
    """A running NLB with a module on each host."""

    net: Net
    process: NlbProcess
    stub: NLBServiceStub
    a: Hosted
    b: Hosted

    async def serving(self, instances: int = 2) -> bool:
        status = await self.stub.GetNLBStatus(nlb_pb2.GetNLBStatusRequest(), wait_for_ready=True)
        checks = [text for key, text in status.details.items() if key.startswith("listener ")]
        return all(text.startswith(f"{instances} instances") for text in checks)

    async def configure(self, *listeners: Listener, limits: tuple[RateLimit, ...] = ()) -> None:
        desired = DesiredState(listeners=listeners, rate_limits=limits)
        config = types_pb2.ConfigUpdate(config_type="state", config_data=encode(desired))
        answer = await self.stub.UpdateNLBConfig(nlb_pb2.UpdateNLBConfigRequest(config=config))
        assert answer.success, answer

    async def carriers(self) -> dict[str, str]:
        status = await self.stub.GetNLBStatus(nlb_pb2.GetNLBStatusRequest())
        return {listener.name: listener.data_plane for listener in status.listeners}

    async def leave(self, module: Hosted, seconds: int = 10) -> nlb_pb2.UnregisterModuleResponse:
        """The module leaves gracefully."""
        request = nlb_pb2.UnregisterModuleRequest(
            instance_id=module.name,
            registration_id=module.registration_id,
            graceful=True,
            drain_timeout_seconds=seconds,
        )
        return await self.stub.UnregisterModule(request)

    def tables(self) -> str:
        return self.net.run(self.net.lb, "nft", "list", "tables")


@asynccontextmanager
async def running(net: Net, path: Path, *listeners: Listener, within: tuple[str, ...] = ()):
    process = NlbProcess(
        path,
        DesiredState(listeners=listeners),
        heartbeat=60.0,
        host=NLB,
        within=("ip", "netns", "exec", net.lb, *within),
        more={"kernel": {"keep_source": True}},
    )
    try:
        await process.start()
        options = [("grpc.max_reconnect_backoff_ms", 200)]
        async with grpc.aio.insecure_channel(f"{NLB}:{process.grpc_port}", options=options) as channel:
            stub = NLBServiceStub(channel)
            a, b = Hosted(net, net.m1, M1, "a", "v1"), Hosted(net, net.m2, M2, "b", "v2")
            async with a.running(stub), b.running(stub):
                rig = Rig(net, process, stub, a, b)
                await until(rig.serving)
                yield rig
    finally:
        if process.process.returncode is not None:
            await process.start()  # only a new one can stop the Envoy that a killed one left
        await process.stop()
