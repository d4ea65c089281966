"""A small service with one method of each kind, without generated code: kit knows no contract of its own."""

import asyncio

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from marchproxy.kit.clock import SystemClock
from marchproxy.kit.grpc import CallMetrics, ChannelPool, GrpcServer, Registration, ServerOptions
from marchproxy.kit.settings import HostPort

ANY_PORT = HostPort("127.0.0.1", 0)


class Echo:
    """`behave` is what every method does with the request's text."""

    def __init__(self):
        self.calls = 0
        self.cancelled = asyncio.Event()
        self.behave = None

    async def Once(self, request, context):  # noqa: N802 - the name of the method
        self.calls += 1
        if self.behave is not None:
            await self.behave(context)
        return HealthCheckResponse(status=HealthCheckResponse.SERVING)

    async def Many(self, request, context):  # noqa: N802 - the name of the method
        for _ in range(3):
            yield HealthCheckResponse(status=HealthCheckResponse.SERVING)
        if self.behave is not None:
            try:
                await self.behave(context)
            except asyncio.CancelledError:
                self.cancelled.set()
                raise

    async def Chat(self, requests, context):  # noqa: N802 - the name of the method
        async for request in requests:
            yield HealthCheckResponse(status=HealthCheckResponse.ServingStatus.Value(request.service))

    async def Sum(self, requests, context):  # noqa: N802 - the name of the method
        return HealthCheckResponse(status=len([request async for request in requests]))


def add_echo_to_server(servicer, server):
    codec = {
        "request_deserializer": HealthCheckRequest.FromString,
        "response_serializer": HealthCheckResponse.SerializeToString,
    }
    handlers = {
        "Once": grpc.unary_unary_rpc_method_handler(servicer.Once, **codec),
        "Many": grpc.unary_stream_rpc_method_handler(servicer.Many, **codec),
        "Chat": grpc.stream_stream_rpc_method_handler(servicer.Chat, **codec),
        "Sum": grpc.stream_unary_rpc_method_handler(servicer.Sum, **codec),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
    server.add_registered_method_handlers("test.Echo", handlers)


class EchoStub:
    def __init__(self, channel):
        codec = {
            "request_serializer": lambda value: (
                value if isinstance(value, bytes) else value.SerializeToString()
            ),
            "response_deserializer": HealthCheckResponse.FromString,
        }
        self.Once = channel.unary_unary("/test.Echo/Once", **codec)
        self.Many = channel.unary_stream("/test.Echo/Many", **codec)
        self.Chat = channel.stream_stream("/test.Echo/Chat", **codec)
        self.Sum = channel.stream_unary("/test.Echo/Sum", **codec)


@pytest.fixture
async def echo():
    return Echo()


@pytest.fixture
def metrics():
    return CallMetrics()


@pytest.fixture
async def start(echo, metrics):
    servers = []

    async def start(address=ANY_PORT, services=None, **options):
        options.setdefault("options", ServerOptions(default_deadline=0.2))
        registrations = [Registration(add_echo_to_server, echo)] if services is None else services
        server = GrpcServer(address=address, services=registrations, metrics=metrics, **options)
        port = await server.start()
        servers.append(server)
        return server, f"127.0.0.1:{port}" if isinstance(address, HostPort) else address

    yield start
    for server in servers:
        await server.stop(0)


@pytest.fixture
async def pool():
    pool = ChannelPool(clock=SystemClock())
    yield pool
    await pool.close()
