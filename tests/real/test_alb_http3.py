"""HTTP/3: a QUIC client of another make, with the routes, limits and certificates that HTTPS has."""

import asyncio
import hashlib
import json
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from marchproxy.contract.pb import module_pb2 as pb
from marchproxy.contract.pb import types_pb2
from tests.authority import Authority, Issued
from tests.real.support.alb import pool, route
from tests.real.support.backends import Backend, serving
from tests.real.support.http3 import http3
from tests.real.support.https import SecureAlb, curl, name_at
from tests.real.support.system import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOST = "web.test"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def backends() -> AsyncIterator[list[Backend]]:
    async with serving("a", "b") as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("http3")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def certificates(authority: Authority) -> list[Issued]:
    return [authority.issue("default", [HOST]), authority.issue("shop", ["shop.test"])]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def alb(folder: Path, certificates: list[Issued], backends: list[Backend]) -> AsyncIterator[SecureAlb]:
    state = {
        "routes": [
            {"id": "web", "hosts": [HOST], "backends": ["a"]},
            {"id": "here", "hosts": ["shop.test"], "sources": ["127.0.0.0/8"], "backends": ["a"]},
        ],
        "pools": [{"name": "a", "endpoints": [backends[0].address]}],
    }
    https = {"certificates": [item.settings for item in certificates], "hsts": {}}
    made = SecureAlb(folder, state, http3=True, https=https)
    made.settings["envoy"]["concurrency"] = 2  # datagrams of one connection must reach one worker
    made.write(state)
    try:
        yield await made.start()
    finally:
        await made.close()


async def test_a_request_and_what_the_backend_is_told(alb: SecureAlb, authority: Authority) -> None:
    async with http3(alb.tls, HOST, authority.certificate) as client:
        answer = await client.ask("/echo/a?x=1", host=HOST)
    assert answer.status == 200
    seen = json.loads(answer.body)
    assert (seen["method"], seen["path"], seen["headers"]["host"]) == ("GET", "/echo/a?x=1", HOST)
    assert seen["headers"]["x-forwarded-proto"] == "https"
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


async def test_many_bodies_at_once(alb: SecureAlb, authority: Authority) -> None:
    bodies = [random.Random(number).randbytes(300_000) for number in range(8)]  # several windows each
    async with http3(alb.tls, HOST, authority.certificate) as client, asyncio.TaskGroup() as group:
        asking = [
            group.create_task(client.ask("/upload", host=HOST, method="POST", body=body)) for body in bodies
        ]
    for body, task in zip(bodies, asking, strict=True):
        assert json.loads(task.result().body) == {
            "size": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
        }


async def test_https_tells_of_it(alb: SecureAlb) -> None:
    for version in ("--http1.1", "--http2"):
        answer = await curl(alb.tls, f"https://{HOST}/", version)
        assert answer.headers["alt-svc"] == f'h3=":{alb.tls}"; ma=86400'
    assert "alt-svc" not in (await curl(alb.port, f"http://{HOST}/")).headers


async def test_the_certificate_is_chosen_by_name(alb: SecureAlb, authority: Authority) -> None:
    async with http3(alb.tls, "shop.test", authority.certificate) as client:
        assert (await client.ask("/", host="shop.test")).status == 200  # a client of 127.0.0.0/8
    with pytest.raises(ConnectionError):
        async with http3(alb.tls, "other.test", authority.certificate) as client:
            await client.ask("/", host=HOST)


async def test_a_route_that_changes_is_followed_on_open_connections(
    alb: SecureAlb, authority: Authority, backends: list[Backend]
) -> None:
    moved = route("moved", a=100)
    await alb.put(moved)
    async with http3(alb.tls, HOST, authority.certificate) as client:
        assert (await client.ask("/", host="moved.test")).body == b"a"
        await alb.put(route("moved", b=100), pools=(pool("b", backends[1].address),))
        assert (await client.ask("/", host="moved.test")).body == b"b"


async def test_limits_hold(alb: SecureAlb, authority: Authority) -> None:
    await alb.put(route("few", a=100))
    limit = types_pb2.RateLimit(limit_id="few", target="few", requests_per_hour=2, enabled=True)
    answer = await alb.stub.SetRateLimit(pb.SetRateLimitRequest(limit=limit))
    assert answer.success, answer
    async with http3(alb.tls, HOST, authority.certificate) as client:
        statuses = [(await client.ask("/", host="few.test")).status for _ in range(4)]
    assert statuses == [200, 200, 429, 429]


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [("CONNECT", "/", {}), ("GET", "/", {"transfer-encoding": "chunked"}), ("GET", "/", {"x_under": "1"})],
)
async def test_what_is_refused_leaves_the_connection_open(
    alb: SecureAlb, authority: Authority, method: str, path: str, headers: dict[str, str]
) -> None:
    async with http3(alb.tls, HOST, authority.certificate) as client:
        refused = await client.ask(path, host=HOST, method=method, **headers)
        assert refused.reset is not None or refused.status in {400, 403, 404, 405}
        assert (await client.ask("/", host=HOST)).status == 200


async def test_datagrams_that_are_no_quic(alb: SecureAlb, authority: Authority) -> None:
    dice = random.Random(3)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=("127.0.0.1", alb.tls)
    )
    for size in (0, 1, 20, 1200, 1400):
        for _ in range(40):
            transport.sendto(dice.randbytes(size))
            transport.sendto(b"\xc3\x00\x00\x00\x01" + dice.randbytes(size))
    transport.close()
    async with http3(alb.tls, HOST, authority.certificate) as client:
        assert (await client.ask("/", host=HOST)).status == 200


async def test_a_certificate_is_renewed_and_connections_go_on(
    alb: SecureAlb, authority: Authority, certificates: list[Issued]
) -> None:
    other = Authority(alb.directory, "other")
    async with http3(alb.tls, HOST, authority.certificate) as kept:
        certificates[0].replace_with(other.issue("newer", [HOST]))

        async def renewed() -> bool:
            return await name_at(alb.tls) == "newer"

        await until(renewed, 20)
        async with http3(alb.tls, HOST, other.certificate) as client:
            assert (await client.ask("/", host=HOST)).status == 200
        assert (await kept.ask("/", host=HOST)).status == 200
    with pytest.raises(ConnectionError):
        async with http3(alb.tls, HOST, authority.certificate) as client:
            await client.ask("/", host=HOST)


@pytest.mark.parametrize("kind", ["required", "optional"])
async def test_clients_certificates(backends: list[Backend], tmp_path: Path, kind: str) -> None:
    authority, clients = Authority(tmp_path), Authority(tmp_path, "clients")
    known, stranger = clients.issue("ann", ["ann.example"]), authority.issue("eve", ["eve.example"])
    https = {
        "certificates": [authority.issue("web", [HOST]).settings],
        "client_ca": str(clients.certificate),
        "client_certificate": kind,
    }
    state = {
        "routes": [{"id": "web", "backends": ["a"]}],
        "pools": [{"name": "a", "endpoints": [backends[0].address]}],
    }
    alb = SecureAlb(tmp_path, state, http3=True, https=https)

    async def told(shown: Issued | None) -> str | None:
        """What the backend is told of the client; raises ConnectionError when it is not let in."""
        async with http3(alb.tls, HOST, authority.certificate, shown=shown) as client:
            answer = await client.ask("/echo", host=HOST, **{"x-forwarded-client-cert": "Subject=forged"})
        assert answer.status == 200
        seen: str | None = json.loads(answer.body)["headers"].get("x-forwarded-client-cert")
        return seen

    try:
        await alb.start()
        told_of_ann = await told(known)
        assert told_of_ann is not None
        assert 'Subject="CN=ann"' in told_of_ann
        assert "forged" not in told_of_ann
        with pytest.raises(ConnectionError, match="unknown CA"):
            await told(stranger)
        if kind == "required":
            with pytest.raises(ConnectionError, match="certificate required"):
                await told(None)
        else:
            assert await told(None) is None
    finally:
        await alb.close()


async def test_a_request_under_way_is_answered_before_the_instance_ends(
    backends: list[Backend], tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    state = {
        "routes": [{"id": "web", "backends": ["a"]}],
        "pools": [{"name": "a", "endpoints": [backends[0].address]}],
    }
    https = {"certificates": [authority.issue("web", [HOST]).settings]}
    alb = SecureAlb(tmp_path, state, http3=True, https=https, drain_seconds=15)
    try:
        await alb.start()
        async with http3(alb.tls, HOST, authority.certificate) as client, asyncio.TaskGroup() as group:
            slow = group.create_task(client.ask("/slow/2", host=HOST))
            over_tcp = group.create_task(curl(alb.tls, f"https://{HOST}/slow/2", "--http2"))
            served = backends[0].served

            async def under_way() -> bool:
                return backends[0].served >= served + 2

            await until(under_way, 20)
            assert alb.process is not None
            alb.process.send(signal.SIGTERM)
        assert (slow.result().status, slow.result().body) == (200, b"a")
        assert (over_tcp.result().status, over_tcp.result().body) == (200, "a")
        assert await alb.process.ended(30) == 0
    finally:
        await alb.close()
