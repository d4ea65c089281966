import asyncio
import socket

import grpc
import pytest
from grpc import StatusCode
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthServicer, HealthStub
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub
from structlog.testing import capture_logs

from marchproxy.kit.grpc import (
    BindError,
    GrpcServer,
    Misuse,
    PortInUse,
    Registration,
    ServerOptions,
    not_found,
)
from marchproxy.kit.settings import HostPort

from .conftest import EchoStub

REQUEST = HealthCheckRequest()


@pytest.fixture
async def stub(start, pool):
    _, address = await start()
    return EchoStub(pool.get(address))


def raising(error):
    async def behave(context):
        raise error

    return behave


async def aborting(context):
    await context.abort(StatusCode.OUT_OF_RANGE, "by hand")


async def refusal(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def counted(metrics, method, code):
    return next(
        (
            sample.value
            for sample in metrics.seconds.collect()[0].samples
            if sample.name.endswith("_count") and sample.labels == {"method": method, "code": code}
        ),
        0,
    )


async def until_counted(metrics, method, *codes):
    """Under one of the codes."""
    async with asyncio.timeout(5):
        while not any(counted(metrics, method, code) for code in codes):
            await asyncio.sleep(0.01)


async def test_all_four_kinds_of_method(stub, metrics):
    assert (await stub.Once(REQUEST, timeout=5)).status == 1
    assert [reply.status async for reply in stub.Many(REQUEST)] == [1, 1, 1]
    requests = [HealthCheckRequest(service="SERVING"), HealthCheckRequest(service="NOT_SERVING")]
    assert [reply.status async for reply in stub.Chat(iter(requests))] == [1, 2]
    assert (await stub.Sum(iter(requests), timeout=5)).status == 2
    for name in ("Once", "Many", "Chat", "Sum"):
        assert counted(metrics, f"test.Echo/{name}", "OK") == 1


@pytest.mark.parametrize(
    ("behave", "code", "message"),
    [
        (raising(not_found("no such route")), StatusCode.NOT_FOUND, "no such route"),
        (raising(Misuse(StatusCode.ABORTED, "raced")), StatusCode.ABORTED, "raced"),
        (aborting, StatusCode.OUT_OF_RANGE, "by hand"),
        (raising(ValueError("secret detail")), StatusCode.INTERNAL, "failed unexpectedly"),
        (raising(TimeoutError()), StatusCode.INTERNAL, "failed unexpectedly"),
    ],
)
async def test_errors_become_statuses(stub, echo, metrics, behave, code, message):
    echo.behave = behave
    with capture_logs() as logs:
        error = await refusal(stub.Once(REQUEST, timeout=5))
        # an abort by the handler itself reaches the client before the handler is over
        await until_counted(metrics, "test.Echo/Once", code.name)
    assert error.code() is code
    assert message in error.details()
    assert "secret" not in error.details()
    assert counted(metrics, "test.Echo/Once", code.name) == 1
    assert logs[-1]["code"] == code.name


async def test_an_unexpected_error_can_be_found_by_its_id(stub, echo):
    echo.behave = raising(ValueError("boom"))
    with capture_logs() as logs:
        error = await refusal(stub.Once(REQUEST))
    (entry,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert entry["reason"] == error.details()
    assert error.details().startswith("test.Echo/Once failed unexpectedly")
    assert entry["exc_info"].args == ("boom",)


async def test_an_error_in_a_stream_arrives_after_its_items(stub, echo):
    echo.behave = raising(not_found("gone"))
    call = stub.Many(REQUEST)
    assert [await call.read() for _ in range(3)]
    assert (await refusal(call.read())).code() is StatusCode.NOT_FOUND


@pytest.mark.parametrize("name", ["Once", "Many", "Chat", "Sum"])
async def test_malformed_protobuf(stub, metrics, name):
    garbage = b"\xff\xff\xff\xff"
    call = getattr(stub, name)(garbage if name in {"Once", "Many"} else iter([garbage]), timeout=5)
    error = await refusal(call if name in {"Once", "Sum"} else call.read())
    assert error.code() is StatusCode.INVALID_ARGUMENT
    assert f"the request of test.Echo/{name} is not the protobuf message" in error.details()
    assert counted(metrics, f"test.Echo/{name}", "INVALID_ARGUMENT") == 1


async def test_default_deadline(stub, echo):
    echo.behave = lambda _: asyncio.Event().wait()
    error = await refusal(stub.Once(REQUEST))
    assert error.code() is StatusCode.DEADLINE_EXCEEDED
    assert "within 0.2 s" in error.details()


async def test_the_deadline_of_the_client_wins(stub, echo, metrics):
    echo.behave = lambda _: asyncio.sleep(0.3)  # longer than the server's default
    assert (await stub.Once(REQUEST, timeout=5)).status == 1
    echo.behave = lambda _: asyncio.Event().wait()
    assert (await refusal(stub.Once(REQUEST, timeout=0.05))).code() is StatusCode.DEADLINE_EXCEEDED
    # on a busy machine the client gives up before the server has seen how late it is
    await until_counted(metrics, "test.Echo/Once", "DEADLINE_EXCEEDED", "CANCELLED")


async def test_a_client_that_goes_away_cancels_its_stream(stub, echo, metrics):
    echo.behave = lambda _: asyncio.Event().wait()
    call = stub.Many(REQUEST)
    assert [await call.read() for _ in range(3)]
    call.cancel()
    async with asyncio.timeout(5):
        await echo.cancelled.wait()
    await until_counted(metrics, "test.Echo/Many", "CANCELLED")


async def test_unknown_method_and_unimplemented_method(start, pool):
    class Half(HealthServicer):
        pass

    def add(servicer, server):
        handler = grpc.unary_unary_rpc_method_handler(
            servicer.Check, HealthCheckRequest.FromString, HealthCheckResponse.SerializeToString
        )
        server.add_registered_method_handlers("test.Echo", {"Once": handler})

    _, address = await start(services=[Registration(add, Half())])
    stub = EchoStub(pool.get(address))
    assert (await refusal(stub.Once(REQUEST))).details() == "test.Echo/Once is not offered by this server"
    assert (await refusal(stub.Sum(iter([])))).code() is StatusCode.UNIMPLEMENTED


async def test_health_follows_set_serving_and_stop(start, pool):
    server, address = await start()
    health = HealthStub(pool.get(address))
    watch = health.Watch(HealthCheckRequest())
    assert (await watch.read()).status == HealthCheckResponse.SERVING
    await server.set_serving(False)
    for name in ("", "test.Echo"):
        reply = await health.Check(HealthCheckRequest(service=name))
        assert reply.status == HealthCheckResponse.NOT_SERVING
    await server.set_serving(True)
    while (await watch.read()).status != HealthCheckResponse.SERVING:
        pass
    async with asyncio.TaskGroup() as group:
        group.create_task(server.stop(5))
        assert (await watch.read()).status == HealthCheckResponse.NOT_SERVING
        assert (await refusal(watch.read())).code() is StatusCode.UNAVAILABLE


async def test_reflection_lists_every_service(start, pool):
    _, address = await start()
    call = ServerReflectionStub(pool.get(address)).ServerReflectionInfo(
        iter(
            [
                ServerReflectionRequest(list_services=""),
                ServerReflectionRequest(file_containing_symbol="grpc.health.v1.Health"),
            ]
        )
    )
    names = {service.name for service in (await call.read()).list_services_response.service}
    assert names == {"test.Echo", "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    assert (await call.read()).file_descriptor_response.file_descriptor_proto


async def test_stop_lets_a_call_finish_and_ends_streams(start, pool, echo):
    server, address = await start()
    stub = EchoStub(pool.get(address))
    release, entered = asyncio.Event(), asyncio.Event()

    async def hold(_):
        entered.set()
        await release.wait()

    echo.behave = hold
    stream = stub.Many(REQUEST)
    assert [await stream.read() for _ in range(3)]
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        unary = group.create_task(_await(stub.Once(REQUEST, timeout=5)))
        while echo.calls == 0:
            await asyncio.sleep(0.01)
        stopping = group.create_task(server.stop(60))
        error = await refusal(stream.read())
        assert (error.code(), "stopping" in error.details()) == (StatusCode.UNAVAILABLE, True)
        assert not stopping.done()
        release.set()
        assert (await unary).status == 1


async def _await(call):
    return await call


async def test_stop_cuts_what_outlives_the_grace(start, pool, echo):
    server, address = await start()
    stub = EchoStub(pool.get(address))
    echo.behave = lambda _: asyncio.Event().wait()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        unary = group.create_task(refusal(stub.Once(REQUEST, timeout=5)))
        while echo.calls == 0:
            await asyncio.sleep(0.01)
        await server.stop(0.05)
        assert (await unary).code() in {StatusCode.UNAVAILABLE, StatusCode.CANCELLED}
    await server.stop(0)  # a second stop does nothing


async def test_port_in_use_names_address_and_setting(start):
    _, address = await start()
    second = GrpcServer(address=HostPort.parse(address), services=[], setting="nlb.grpc")
    with pytest.raises(PortInUse, match=rf"nlb\.grpc: cannot listen on {address}: already in use"):
        await second.start()


async def test_unix_socket_is_not_stolen(start, pool, tmp_path):
    address = f"unix:{tmp_path}/grpc.sock"
    _, where = await start(address=address)
    assert (await EchoStub(pool.get(where)).Once(REQUEST)).status == 1
    with pytest.raises(PortInUse):
        await GrpcServer(address=address, services=[]).start()
    assert (await EchoStub(pool.get(where)).Once(REQUEST)).status == 1


async def test_a_stale_unix_socket_is_replaced(start, pool, tmp_path):
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(f"{tmp_path}/grpc.sock")
    _, address = await start(address=f"unix:{tmp_path}/grpc.sock")
    assert (await EchoStub(pool.get(address)).Once(REQUEST)).status == 1


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (HostPort("192.0.2.1", 0), "Cannot assign requested address"),
        (HostPort("no-such-host.invalid", 0), "n"),
        ("unix:/no/such/dir/grpc.sock", "does not exist"),
        ("unix:/etc/hostname", "not a socket"),
    ],
)
async def test_addresses_that_cannot_be_bound(address, reason):
    with pytest.raises(BindError, match=reason):
        await GrpcServer(address=address, services=[]).start()


async def test_too_many_calls_at_once(start, pool, echo):
    _, address = await start(options=ServerOptions(max_concurrent_calls=1))
    stub = EchoStub(pool.get(address))
    release = asyncio.Event()
    echo.behave = lambda _: release.wait()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        first = group.create_task(_await(stub.Once(REQUEST)))
        while echo.calls == 0:
            await asyncio.sleep(0.01)
        assert (await refusal(stub.Once(REQUEST))).code() is StatusCode.RESOURCE_EXHAUSTED
        release.set()
        assert (await first).status == 1


async def test_too_large_a_message(start, pool):
    _, address = await start(options=ServerOptions(max_message_bytes=1000))
    stub = EchoStub(pool.get(address))
    error = await refusal(stub.Once(HealthCheckRequest(service="x" * 2000)))
    assert error.code() is StatusCode.RESOURCE_EXHAUSTED
