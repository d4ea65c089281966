import asyncio

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter
from structlog.testing import capture_logs

from marchproxy.kit.http import HttpEndpoint, HttpLimits
from marchproxy.kit.listening import BindError, PortInUse
from marchproxy.kit.settings import HostPort

DEFAULT = HttpLimits()
LOCAL = HostPort("127.0.0.1", 0)


def is_ready():
    return True, {"envoy": "serving"}


@pytest.fixture
async def start():
    endpoints = []

    async def start(ready=is_ready, suppliers=(), limits=DEFAULT):
        registry = CollectorRegistry()
        Counter("requests", "Requests.", registry=registry).inc(3)
        endpoint = HttpEndpoint(LOCAL, registry=registry, ready=ready, suppliers=suppliers, limits=limits)
        endpoints.append(endpoint)
        return endpoint, await endpoint.start()

    yield start
    for endpoint in endpoints:
        await endpoint.stop(0)


async def get(port, path, method="GET"):
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.request(method, f"http://127.0.0.1:{port}{path}", timeout=5)


async def raw(port, data):
    """Send bytes, return everything that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(5):
        writer.write(data)
        reply = await reader.read()
        writer.close()
        return reply


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/healthz", 200, '{"status": "live"}\n'),
        ("GET", "/healthz?x=1", 200, '{"status": "live"}\n'),
        ("HEAD", "/healthz", 200, ""),
        ("GET", "/readyz", 200, '{"ready": true, "checks": {"envoy": "serving"}}\n'),
        ("POST", "/metrics", 405, "only GET and HEAD\n"),
        ("GET", "/", 404, "not found; here are /healthz, /readyz and /metrics\n"),
    ],
)
async def test_pages(start, method, path, status, text):
    _, port = await start()
    reply = await get(port, path, method)
    assert (reply.status_code, reply.text) == (status, text)


async def test_not_ready(start):
    _, port = await start(ready=lambda: (False, {"nlb": "not registered"}))
    reply = await get(port, "/readyz")
    assert reply.status_code == 503
    assert reply.json() == {"ready": False, "checks": {"nlb": "not registered"}}


async def test_a_check_that_raises_is_a_500_and_logged(start):
    def broken():
        raise RuntimeError("boom")

    _, port = await start(ready=broken)
    with capture_logs() as logs:
        assert (await get(port, "/readyz")).status_code == 500
    assert [entry["event"] for entry in logs] == ["page failed"]


async def test_metrics_of_all_parts_and_one_that_fails(start):
    async def engine():
        return b"envoy_up 1"

    async def down():
        raise ConnectionRefusedError

    _, port = await start(suppliers=(down, engine))
    with capture_logs() as logs:
        reply = await get(port, "/metrics")
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "requests_total 3.0\n" in reply.text
    assert reply.text.endswith("envoy_up 1\n")
    assert [entry["event"] for entry in logs] == ["metrics of one part are missing"]


async def test_keep_alive_and_pipelining(start):
    _, port = await start()
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    reply = await raw(port, request + request + last)
    assert reply.count(b"HTTP/1.1 200 OK") == 3
    assert reply.count(b"Connection: keep-alive") == 2


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 30_000, b"431"),
        (b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + b"a" * 100_000, b"413"),
    ],
)
async def test_bad_requests_get_a_reply_and_are_closed(start, data, status):
    _, port = await start()
    assert (await raw(port, data)).startswith(b"HTTP/1.1 " + status)
    assert (await get(port, "/healthz")).status_code == 200


@pytest.mark.parametrize("data", [b"", b"GET /healthz HTT"])
async def test_a_silent_peer_is_closed(start, data):
    _, port = await start(limits=HttpLimits(idle=0.05))
    assert await raw(port, data) == b""


async def test_too_many_connections(start):
    _, port = await start(limits=HttpLimits(max_connections=1))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    assert (await raw(port, b"")).startswith(b"HTTP/1.1 503")
    writer.close()


async def test_stop_closes_the_idle_and_waits_for_the_busy(start):
    entered, release = asyncio.Event(), asyncio.Event()

    async def slow():
        entered.set()
        await release.wait()
        return b"slow 1\n"

    endpoint, port = await start(suppliers=(slow,))
    idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", port)
    idle_writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await idle_reader.readline()).startswith(b"HTTP/1.1 200")
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        busy = group.create_task(raw(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"))
        await entered.wait()
        stopping = group.create_task(endpoint.stop(60))
        await idle_reader.read()
        assert not stopping.done()
        release.set()
        assert (await busy).endswith(b"slow 1\n")
    idle_writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_stop_cuts_what_outlives_the_grace(start):
    entered = asyncio.Event()

    async def stuck():
        entered.set()
        await asyncio.Event().wait()
        return b""

    endpoint, port = await start(suppliers=(stuck,))
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        busy = group.create_task(raw(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"))
        await entered.wait()
        await endpoint.stop(0.01)
        assert await busy == b""


async def test_addresses_that_cannot_be_bound(start):
    _, port = await start()
    taken = HttpEndpoint(
        HostPort("127.0.0.1", port), registry=CollectorRegistry(), ready=is_ready, setting="alb.health"
    )
    with pytest.raises(
        PortInUse, match=rf"alb\.health: cannot listen on 127\.0\.0\.1:{port}: already in use"
    ):
        await taken.start()
    elsewhere = HttpEndpoint(HostPort("192.0.2.1", 0), registry=CollectorRegistry(), ready=is_ready)
    with pytest.raises(BindError, match=r"192\.0\.2\.1:0"):
        await elsewhere.start()
