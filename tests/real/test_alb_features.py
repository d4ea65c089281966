"""What a route of the ALB may look at and do with a request, one test for each, against a real Envoy."""

import asyncio
import gzip
import ipaddress
import struct
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pytest
import pytest_asyncio
import websockets

from tests.ports import free_port
from tests.real.support.alb import Alb
from tests.real.support.asking import ask, echo, route_of
from tests.real.support.backends import Backend, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")


def routes() -> Iterator[dict[str, Any]]:
    yield route_of("query", query=[{"name": "v", "exact": "2"}], backends=["green"])
    yield route_of("query--any")
    yield route_of(
        "template", path={"template": "/users/{id}/files/{path=**}"}, rewrite={"path": "/echo/{path}/{id}"}
    )
    yield route_of("sources", sources=["127.0.0.2"], priority=1, backends=["green"])
    yield route_of("sources--any")
    yield route_of("ports", destination_port=8443, priority=1, backends=["green"])
    yield route_of("ports--any")
    yield route_of("rewrite", path="/api", rewrite={"path": "/echo/v2", "host": "inner.test"})
    yield route_of("rewrite--away", path="/away", rewrite={"path": "/"})
    yield route_of("rewrite--under", rewrite={"path": "/echo"})
    yield route_of("rewrite--exact", path={"exact": "/exact"}, rewrite={"path": "/echo/whole"})
    yield route_of(
        "rewrite--regex", path={"regex": "/x/.*"}, rewrite={"pattern": "/x/([0-9]+)", "path": r"/echo/n/\1"}
    )
    yield route_of("redirect", redirect={"scheme": "https", "host": "example.com", "port": 443, "code": 301})
    yield route_of("redirect--path", path="/old", redirect={"prefix": "/new", "code": 307})
    yield route_of("redirect--root", path="/gone", redirect={"prefix": "/", "code": 303})
    yield route_of("redirect--port", path="/port", redirect={"scheme": "https", "port": 443})
    yield route_of(
        "response", response={"status": 503, "body": "<p>50 % closed</p>", "content_type": "text/html"}
    )
    yield route_of("response--empty", path="/empty", response={"status": 204})
    yield route_of(
        "edits",
        request_headers={
            "set": {"x-a": "50%", "x-set": "s"},
            "add": {"x-set": ["one", "two"]},
            "remove": ["x-c"],
        },
        response_headers={"set": {"x-frame-options": "DENY"}, "remove": ["x-powered-by"]},
    )
    yield route_of("mirror", mirrors=["green"])
    cors = {
        "origins": ["https://*.example.org"],
        "methods": ["PUT"],
        "headers": ["x-tenant"],
        "credentials": True,
    }
    yield route_of("cors", methods=["PUT"], headers=[{"name": "x-tenant", "present": True}], cors=cors)
    yield route_of("size", max_request_bytes=1000)
    yield route_of("size--chat", path="/chat", max_request_bytes=1000, backends=["chat"])
    yield route_of("press", compression=True)
    yield route_of("upgrade", upgrades=[])


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def backends() -> AsyncIterator[Mapping[str, Backend]]:
    names = ("blue-1", "blue-2", "green-1", "green-2")
    async with serving(*names) as found:
        yield dict(zip(names, found, strict=True))


@pytest.fixture(scope="module")
def chat_port() -> int:
    return free_port()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def alb(
    tmp_path_factory: pytest.TempPathFactory, backends: Mapping[str, Backend], chat_port: int
) -> AsyncIterator[Alb]:
    here = tmp_path_factory.mktemp("features")
    addresses = {name: backend.address for name, backend in backends.items()}
    state = {
        "routes": list(routes()),
        "pools": [
            {"name": "blue", "endpoints": [addresses["blue-1"], addresses["blue-2"]]},
            {"name": "green", "version": "v2", "endpoints": [addresses["green-1"], addresses["green-2"]]},
            {"name": "chat", "endpoints": [f"127.0.0.1:{chat_port}"]},
        ],
    }  # fmt: skip
    alb = Alb(here, state, proxied=True)
    try:
        yield await alb.start()
    finally:
        await alb.close()


@pytest.mark.parametrize(
    ("query", "name"), [("?v=2", "green"), ("?a=1&v=2", "green"), ("?v=3&v=2", "blue"), ("", "blue")]
)
async def test_query_parameters(alb: Alb, query: str, name: str) -> None:
    assert (await ask(alb, "query", f"/{query}")).text.startswith(name)


async def test_a_template_gives_its_parts_to_the_rewrite(alb: Alb) -> None:
    assert (await echo(alb, "template", "/users/7/files/a/b?x=1"))["path"] == "/echo/a/b/7?x=1"
    assert (await ask(alb, "template", "/users/7/8/files/a")).status_code == 404


async def test_sources_look_at_the_connection_and_at_no_header(alb: Alb) -> None:
    assert (await ask(alb, "sources", source="127.0.0.2")).text.startswith("green")
    forged = {
        "x-forwarded-for": "127.0.0.2",
        "x-envoy-external-address": "127.0.0.2",
        "forwarded": "for=127.0.0.2",
    }
    assert (await ask(alb, "sources", headers=forged)).text.startswith("blue")


async def ask_proxied(alb: Alb, host: str, client: str, port: int) -> bytes:
    """The answer to a client that the NLB says came from `client` to its `port`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", alb.proxied)
    told = ipaddress.ip_address(client).packed + b"\x7f\0\0\1" + struct.pack(">HH", 7000, port)
    writer.write(b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H", len(told)) + told)
    writer.write(f"GET / HTTP/1.1\r\nhost: {host}.test\r\nconnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.rpartition(b"\r\n\r\n")[2]


async def test_the_client_and_the_port_are_those_that_the_nlb_tells(alb: Alb) -> None:
    for client, port, host, name in (
        ("127.0.0.2", 80, "sources", b"green"),
        ("127.0.0.3", 80, "sources", b"blue"),
        ("127.0.0.3", 8443, "ports", b"green"),
        ("127.0.0.3", 8080, "ports", b"blue"),
    ):
        assert (await ask_proxied(alb, host, client, port)).startswith(name), (client, port)


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        ("/api", "/echo/v2"),
        ("/api/", "/echo/v2/"),
        ("/api/x?q=/api", "/echo/v2/x?q=/api"),
        ("/away/echo/x", "/echo/x"),
        ("/other", "/echo/other"),
        ("/exact?q=1", "/echo/whole?q=1"),
        ("/x/12/tail", "/echo/n/12/tail"),
    ],
)
async def test_rewrites(alb: Alb, asked: str, seen: str) -> None:
    found = await echo(alb, "rewrite", asked)
    assert found["path"] == seen
    assert found["headers"]["host"] == ("inner.test" if asked.startswith("/api") else "rewrite.test")


@pytest.mark.parametrize(
    ("path", "status", "where"),
    [
        ("/a?b=1", 301, "https://example.com/a?b=1"),
        ("/old/a?b=1", 307, "http://redirect.test/new/a?b=1"),
        ("/port/a", 308, "https://redirect.test:443/port/a"),
        ("/gone/a", 303, "http://redirect.test/a"),
        ("/gone", 303, "http://redirect.test/"),
    ],
)
async def test_redirects(alb: Alb, path: str, status: int, where: str) -> None:
    answer = await ask(alb, "redirect", path)
    assert (answer.status_code, answer.headers["location"]) == (status, where)


async def test_a_route_answers_by_itself(alb: Alb) -> None:
    answer = await ask(alb, "response")
    assert (answer.status_code, answer.text) == (503, "<p>50 % closed</p>")
    assert answer.headers.get_list("content-type") == ["text/html"]
    assert (await ask(alb, "response", "/empty")).status_code == 204


async def test_header_edits(alb: Alb) -> None:
    answer = await ask(alb, "edits", "/echo", headers={"x-a": "mine", "x-c": "secret", "x-set": "mine"})
    seen = answer.json()["headers"]
    assert seen["x-a"] == "50%"
    assert "x-c" not in seen
    assert answer.headers["x-frame-options"] == "DENY"
    assert "x-powered-by" not in answer.headers
    assert "x-powered-by" in (await ask(alb, "mirror")).headers
    assert seen["x-set"] == "s, one, two"


async def test_envoy_tells_whose_request_it_is_and_nothing_of_itself(alb: Alb) -> None:
    answer = await ask(alb, "edits", "/echo")
    seen = [*answer.headers, *answer.json()["headers"]]
    assert [name for name in seen if name.startswith("x-envoy-")] == ["x-envoy-external-address"]


async def test_a_mirror_is_asked_too_and_its_answer_thrown_away(
    alb: Alb, backends: Mapping[str, Backend]
) -> None:
    greens = [backends["green-1"], backends["green-2"]]
    before = sum(one.served for one in greens)
    assert (await ask(alb, "mirror")).text.startswith("blue")
    async with asyncio.timeout(20):
        while sum(one.served for one in greens) == before:
            await asyncio.sleep(0.01)


async def test_cross_origin_requests(alb: Alb) -> None:
    asking = {
        "origin": "https://app.example.org",
        "access-control-request-method": "PUT",
        "access-control-request-headers": "x-tenant",
    }
    answer = await ask(alb, "cors", method="OPTIONS", headers=asking)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://app.example.org"
    assert answer.headers["access-control-allow-methods"] == "PUT"
    assert answer.headers["access-control-allow-credentials"] == "true"
    stranger = {**asking, "origin": "https://example.org.evil.test"}
    answer = await ask(alb, "cors", method="OPTIONS", headers=stranger)
    assert "access-control-allow-origin" not in answer.headers
    assert not answer.text  # no backend was asked
    answer = await ask(alb, "cors", method="PUT", headers={"origin": asking["origin"], "x-tenant": "a"})
    assert answer.text.startswith("blue")
    assert answer.headers["access-control-allow-origin"] == asking["origin"]


async def _chunks(total: int) -> AsyncIterator[bytes]:
    for _ in range(total // 100):
        yield b"x" * 100


@pytest.mark.parametrize(("size", "status"), [(1000, 200), (1001, 413), (100_000, 413)])
async def test_request_sizes_that_are_told(alb: Alb, size: int, status: int) -> None:
    answer = await ask(alb, "size", "/upload", "POST", content=b"x" * size)
    assert answer.status_code == status
    if status == 200:
        assert answer.json()["size"] == size


@pytest.mark.parametrize(("size", "status"), [(1000, 200), (1100, 413)])
async def test_request_sizes_that_are_not_told(alb: Alb, size: int, status: int) -> None:
    assert (await ask(alb, "size", "/upload", "POST", content=_chunks(size))).status_code == status


async def test_a_websocket_is_no_request_body(alb: Alb, chat_port: int) -> None:
    async def echo(connection: websockets.ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with websockets.serve(echo, "127.0.0.1", chat_port):
        where = f"ws://size.test:{alb.port}/chat"
        async with websockets.connect(where, host="127.0.0.1", port=alb.port, proxy=None) as client:
            await client.send("x" * 5000)
            assert await client.recv() == "x" * 5000


async def test_compression(alb: Alb) -> None:
    for coding in ("br", "gzip"):
        command = ["curl", "-sSi", "-H", "host: press.test", "-H", f"accept-encoding: {coding}", f"http://127.0.0.1:{alb.port}/echo"]  # fmt: skip
        ended = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True)
        head, _, body = ended.stdout.partition(b"\r\n\r\n")
        assert f"content-encoding: {coding}".encode() in head
        if coding == "gzip":
            assert b'"path": "/echo"' in gzip.decompress(body)
    answer = await ask(alb, "press", "/echo", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in answer.headers
    assert (await ask(alb, "edits", "/echo", headers={"accept-encoding": "gzip"})).headers.get(
        "content-encoding"
    ) is None


async def test_upgrades_that_are_not_allowed_and_connect_are_refused(alb: Alb) -> None:
    upgrade = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    assert (await ask(alb, "upgrade", headers=upgrade)).status_code == 403
    reader, writer = await asyncio.open_connection("127.0.0.1", alb.port)
    writer.write(b"CONNECT upgrade.test:443 HTTP/1.1\r\nhost: upgrade.test:443\r\n\r\n")
    status = await reader.readline()
    assert status.split()[1] in {b"403", b"404"}
    writer.close()
    await writer.wait_closed()
