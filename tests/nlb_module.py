"""A tiny module for the NLB's tests: a gRPC ModuleService that answers what it is told, and traffic sockets that reply."""

import asyncio
import socket
import struct
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import grpc

from marchproxy.contract.pb import module_pb2, nlb_pb2, types_pb2
from marchproxy.contract.pb.module_pb2_grpc import ModuleServiceServicer, add_ModuleServiceServicer_to_server
from marchproxy.contract.pb.nlb_pb2_grpc import NLBServiceStub
from tests.ports import free_port

__all__ = ["Service", "TinyModule", "free_port", "modules", "read_proxy_v2"]

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


class Service(ModuleServiceServicer):
    """Only what an NLB asks. `can_handle` may be changed by a test; so may `delay`, in seconds."""

    def __init__(self) -> None:
        self.can_handle = True
        self.delay = 0.0
        self.asked: list[types_pb2.Route] = []
        self.scaled_to = 0

    async def CanHandle(self, request, context):  # noqa: N802
        self.asked.append(request.route)
        await asyncio.sleep(self.delay)
        return module_pb2.CanHandleResponse(can_handle=self.can_handle, priority=1, reason="as told")

    async def HealthCheck(self, request, context):  # noqa: N802
        return module_pb2.HealthCheckResponse(status=types_pb2.HEALTH_STATUS_HEALTHY, message="fine")

    async def Scale(self, request, context):  # noqa: N802
        self.scaled_to = request.config.max_instances
        return module_pb2.ScaleResponse(success=True, current_instances=1, desired_instances=self.scaled_to)


# the other RPCs are not implemented here, and a client is told so
Service.__abstractmethods__ = frozenset()


@dataclass
class TinyModule:
    """One instance: registers, beats, and answers each line with its name and the client's address as it saw it."""

    name: str
    version: str = "v1"
    service: Service = field(default_factory=Service)
    grpc_port: int = 0
    traffic_port: int = 0
    registration_id: str = ""
    registrations: int = 0
    server: grpc.aio.Server | None = None
    seen: Counter = field(default_factory=Counter)
    connections: set = field(default_factory=set)

    @asynccontextmanager
    async def running(self):
        server = self.server = grpc.aio.server()
        add_ModuleServiceServicer_to_server(self.service, server)
        self.grpc_port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        traffic = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.traffic_port = traffic.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            traffic.close()
            for task in [*self.connections]:
                task.cancel()
            if self.connections:
                await asyncio.wait([*self.connections])
            await server.stop(0)

    def message(self) -> types_pb2.ModuleInstance:
        return types_pb2.ModuleInstance(
            instance_id=self.name,
            module_type=types_pb2.MODULE_TYPE_ALB,
            address=f"127.0.0.1:{self.grpc_port}",
            version=self.version,
            health_status=types_pb2.HEALTH_STATUS_HEALTHY,
            traffic_weight=100,
            traffic_endpoints=[
                types_pb2.TrafficEndpoint(
                    name="proxied",
                    protocol=types_pb2.PROTOCOL_HTTP,
                    address=f"127.0.0.1:{self.traffic_port}",
                    proxy_protocol=True,
                )
            ],
        )

    async def register(self, stub: NLBServiceStub) -> nlb_pb2.RegisterModuleResponse:
        answer = await stub.RegisterModule(
            nlb_pb2.RegisterModuleRequest(instance=self.message()), timeout=5, wait_for_ready=True
        )
        self.registration_id = answer.registration_id
        self.registrations += answer.success
        return answer

    async def beat(self, stub: NLBServiceStub, status=types_pb2.HEALTH_STATUS_HEALTHY):
        return await stub.Heartbeat(
            nlb_pb2.HeartbeatRequest(
                instance_id=self.name, registration_id=self.registration_id, status=status
            ),
            timeout=5,
        )

    async def keep_registered(self, stub: NLBServiceStub, interval: float) -> None:
        """What every module does: beat, and register again when not acknowledged or not answered."""
        while True:
            try:
                answer = await self.beat(stub)
                if not answer.acknowledged:
                    await self.register(stub)
            except grpc.aio.AioRpcError:
                pass  # the NLB is away; it will be back
            await asyncio.sleep(interval)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(asyncio.current_task())
        try:
            client = await read_proxy_v2(reader)
            while line := await reader.readline():
                self.seen[client] += 1
                writer.write(f"{self.name} {self.version} {client} {line.decode(errors='replace')}".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # cancelled only by the end of the module
        finally:
            writer.close()
            self.connections.discard(asyncio.current_task())


async def read_proxy_v2(reader: asyncio.StreamReader) -> str:
    """The client's host:port; a connection without the header is cut."""
    head = await reader.readexactly(16)
    if head[:12] != _SIGNATURE or head[12] != 0x21:
        raise ConnectionError("no PROXY protocol v2 header")
    (length,) = struct.unpack("!H", head[14:16])
    body = await reader.readexactly(length)
    source, port = socket.inet_ntoa(body[:4]), struct.unpack("!H", body[8:10])[0]
    return f"{source}:{port}"


@asynccontextmanager
async def modules(*wanted: TinyModule):
    async with AsyncExitStack() as stack:
        for module in wanted:
            await stack.enter_async_context(module.running())
        yield wanted
