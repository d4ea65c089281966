import asyncio
import socket

import grpc
import pytest
from grpc import StatusCode
from grpc_health.v1.health_pb2 import HealthCheckRequest
from structlog.testing import capture_logs

from marchproxy.kit.backoff import Backoff
from marchproxy.kit.breaker import BreakerLimits
from marchproxy.kit.clock import SystemClock, VirtualClock
from marchproxy.kit.grpc import ChannelLimit, ChannelOptions, ChannelPool, CircuitOpen, unavailable
from marchproxy.kit.settings import HostPort

from .conftest import EchoStub

REQUEST = HealthCheckRequest()
QUICK = Backoff(initial=0.01, maximum=0.05, jitter=0)


def once(stub, timeout):
    return stub.Once(REQUEST, timeout=timeout)


@pytest.fixture
def nobody():
    """An address where nobody listens, and nobody else may."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{holder.getsockname()[1]}"


@pytest.fixture
async def make_pool():
    pools = []

    def make(clock=None, **options):
        pools.append(ChannelPool(clock=clock or SystemClock(), backoff=QUICK, **options))
        return pools[-1]

    yield make
    for pool in pools:
        await pool.close()


def failing(times):
    left = [times]

    async def behave(_):
        left[0] -= 1
        if left[0] >= 0:
            raise unavailable("not yet")

    return behave


async def test_a_channel_is_reused_until_forgotten(start, make_pool):
    _, address = await start()
    pool = make_pool()
    assert (await pool.call(address, EchoStub, once, timeout=5)).status == 1
    channel = pool.get(address)
    assert (await pool.call(address, EchoStub, once, timeout=5)).status == 1
    assert pool.get(address) is channel
    await pool.forget(address)
    await pool.forget(address)
    assert pool.get(address) is not channel
    assert (await pool.call(address, EchoStub, once, timeout=5)).status == 1


async def test_idempotent_calls_are_tried_again(start, make_pool, echo):
    _, address = await start()
    echo.behave = failing(times=2)
    assert (await make_pool().call(address, EchoStub, once, timeout=5, idempotent=True)).status == 1
    assert echo.calls == 3


async def test_other_calls_are_not(start, make_pool, echo):
    _, address = await start()
    echo.behave = failing(times=1)
    with pytest.raises(grpc.aio.AioRpcError, match="not yet"):
        await make_pool().call(address, EchoStub, once, timeout=5)
    assert echo.calls == 1


async def test_other_codes_are_not_tried_again_and_leave_the_breaker_closed(start, make_pool, echo):
    _, address = await start()
    pool = make_pool(breaker_limits=BreakerLimits(failures=1))

    async def refuse(context):
        await context.abort(StatusCode.NOT_FOUND, "unknown")

    echo.behave = refuse
    for calls in (1, 2):
        with pytest.raises(grpc.aio.AioRpcError, match="unknown"):
            await pool.call(address, EchoStub, once, timeout=5, idempotent=True)
        assert echo.calls == calls


async def test_retries_end_with_the_timeout(make_pool, nobody):
    pool = make_pool(breaker_limits=BreakerLimits(failures=1000))
    async with asyncio.timeout(2):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await pool.call(nobody, EchoStub, once, timeout=0.3, idempotent=True)
    assert caught.value.code() in {StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED}


async def test_a_dead_peer_opens_the_breaker_and_a_probe_closes_it(start, make_pool, echo):
    _, address = await start()
    clock = VirtualClock()
    pool = make_pool(clock, breaker_limits=BreakerLimits(failures=2, open_seconds=5))
    echo.behave = failing(times=2)
    for _ in range(2):
        with pytest.raises(grpc.aio.AioRpcError):
            await pool.call(address, EchoStub, once, timeout=5)
    with pytest.raises(CircuitOpen, match=f"{address} failed 2 times in a row"):
        await pool.call(address, EchoStub, once, timeout=5)
    assert echo.calls == 2
    clock.advance(5)
    assert (await pool.call(address, EchoStub, once, timeout=5)).status == 1
    assert (await pool.call(address, EchoStub, once, timeout=5)).status == 1


async def test_a_breaker_is_news_when_it_opens_and_when_it_closes(start, make_pool, echo):
    _, address = await start()
    clock = VirtualClock()
    pool = make_pool(clock, breaker_limits=BreakerLimits(failures=1, open_seconds=5))
    echo.behave = failing(times=4)
    with capture_logs() as logs:
        for _ in range(4):
            with pytest.raises(grpc.aio.AioRpcError):
                await pool.call(address, EchoStub, once, timeout=5)
            clock.advance(5)
        assert (await pool.call(address, EchoStub, once, timeout=5)).status == 1
    news = [line["state"] for line in logs if line["event"] == "circuit breaker changed"]
    assert news == ["open", "closed"]


async def test_a_slow_peer_counts_as_failed(start, make_pool, echo):
    _, address = await start()
    pool = make_pool(breaker_limits=BreakerLimits(failures=1))
    echo.behave = lambda _: asyncio.Event().wait()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await pool.call(address, EchoStub, once, timeout=0.05)
    assert caught.value.code() is StatusCode.DEADLINE_EXCEEDED
    with pytest.raises(CircuitOpen):
        await pool.call(address, EchoStub, once, timeout=0.05)


async def test_a_peer_that_comes_back_is_reached_again(start, make_pool, echo):
    server, address = await start()
    pool = make_pool(breaker_limits=BreakerLimits(failures=1000))
    await pool.call(address, EchoStub, once, timeout=5)
    await server.stop(0)
    with pytest.raises(grpc.aio.AioRpcError):
        await pool.call(address, EchoStub, once, timeout=1)
    await start(address=HostPort.parse(address))
    assert (await pool.call(address, EchoStub, once, timeout=5, idempotent=True)).status == 1


async def test_a_peer_killed_in_the_middle_of_a_call(start, make_pool, echo):
    server, address = await start()
    pool = make_pool()
    echo.behave = lambda _: asyncio.Event().wait()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        call = group.create_task(_code(pool.call(address, EchoStub, once, timeout=5)))
        while echo.calls == 0:
            await asyncio.sleep(0.01)
        await server.stop(0)
        assert (await call) in {StatusCode.UNAVAILABLE, StatusCode.CANCELLED}


async def test_a_cancelled_call_is_cancelled(start, make_pool, echo):
    _, address = await start()
    echo.behave = lambda _: asyncio.Event().wait()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        task = group.create_task(make_pool().call(address, EchoStub, once, timeout=60))
        while echo.calls == 0:
            await asyncio.sleep(0.01)
        task.cancel()
    assert task.cancelled()


async def test_the_number_of_channels_is_bounded(make_pool):
    pool = make_pool(options=ChannelOptions(max_channels=1))
    pool.get("127.0.0.1:1")
    with pytest.raises(ChannelLimit, match=r"no channel to 127\.0\.0\.1:2: all 1 are taken"):
        pool.get("127.0.0.1:2")
    await pool.forget("127.0.0.1:1")
    pool.get("127.0.0.1:2")


async def _code(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code()
