"""What a route may ask of the ALB, one test for each, against a real Envoy. Each route has a host: `<route>.test`."""

import asyncio
import base64
import gzip
import hashlib
import hmac
import ipaddress
import json
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import httpx
import pytest
import pytest_asyncio
import websockets

from marchproxy.contract.pb import module_pb2 as pb
from tests.ports import free_port
from tests.real.support.alb import Alb
from tests.real.support.backends import Backend, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = b"a secret of thirty-two bytes, or"
PASSWORD = base64.b64encode(hashlib.sha1(b"pass word").digest()).decode()


def route(name: str, **fields: Any) -> dict[str, Any]:
    own = {"id": name, "hosts": [f"{name.partition('--')[0]}.test"], **fields}
    return own if {"redirect", "response", "backends"} & own.keys() else {**own, "backends": ["blue"]}


def routes() -> Iterator[dict[str, Any]]:
    two = [{"pool": "blue", "weight": 50}, {"pool": "green", "weight": 50}]
    yield route("query", query=[{"name": "v", "exact": "2"}], backends=["green"])
    yield route("query--any")
    yield route(
        "template", path={"template": "/users/{id}/files/{path=**}"}, rewrite={"path": "/echo/{path}/{id}"}
    )
    yield route("sources", sources=["127.0.0.2"], priority=1, backends=["green"])
    yield route("sources--any")
    yield route("ports", destination_port=8443, priority=1, backends=["green"])
    yield route("ports--any")
    yield route("rewrite", path="/api", rewrite={"path": "/echo/v2", "host": "inner.test"})
    yield route("rewrite--away", path="/away", rewrite={"path": "/"})
    yield route("rewrite--under", rewrite={"path": "/echo"})
    yield route("rewrite--exact", path={"exact": "/exact"}, rewrite={"path": "/echo/whole"})
    yield route(
        "rewrite--regex", path={"regex": "/x/.*"}, rewrite={"pattern": "/x/([0-9]+)", "path": r"/echo/n/\1"}
    )
    yield route("redirect", redirect={"scheme": "https", "host": "example.com", "port": 443, "code": 301})
    yield route("redirect--path", path="/old", redirect={"prefix": "/new", "code": 307})
    yield route("redirect--root", path="/gone", redirect={"prefix": "/", "code": 303})
    yield route("redirect--port", path="/port", redirect={"scheme": "https", "port": 443})
    yield route(
        "response", response={"status": 503, "body": "<p>50 % closed</p>", "content_type": "text/html"}
    )
    yield route("response--empty", path="/empty", response={"status": 204})
    yield route(
        "edits",
        request_headers={
            "set": {"x-a": "50%", "x-set": "s"},
            "add": {"x-set": ["one", "two"]},
            "remove": ["x-c"],
        },
        response_headers={"set": {"x-frame-options": "DENY"}, "remove": ["x-envoy-upstream-service-time"]},
    )
    yield route("mirror", mirrors=["green"])
    cors = {
        "origins": ["https://*.example.org"],
        "methods": ["PUT"],
        "headers": ["x-tenant"],
        "credentials": True,
    }
    yield route("cors", methods=["PUT"], headers=[{"name": "x-tenant", "present": True}], cors=cors)
    yield route("size", max_request_bytes=1000)
    yield route("size--chat", path="/chat", max_request_bytes=1000, backends=["chat"])
    yield route("press", compression=True)
    yield route("upgrade", upgrades=[])
    yield route("allow", allow=["127.0.0.0/30"], deny=["127.0.0.2"])
    yield route("basic", authentication=["people"])
    yield route("key", authentication=["machines"])
    yield route("jwt", authentication=["tokens"])
    yield route("ways", authentication=["people", "machines", "tokens"])
    yield route("names", authentication=["people", "nameless"])
    yield route("cookie", sticky={"kind": "cookie", "name": "session", "ttl": "1h"}, backends=two)
    yield route("header", sticky={"kind": "header", "name": "x-user"}, backends=["many"])
    yield route("header--two", path="/two", sticky={"kind": "header", "name": "x-user"}, backends=two)
    for name in ("limit-client", "limit-header", "limit-all"):
        yield route(name)
    yield route("client", sticky={"kind": "source"}, backends=["many"])


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
    (here / "users").write_text(f"# people\nbob:{{SHA}}{PASSWORD}\n")
    (here / "keys").write_text("robot:k-123\n")
    key = base64.urlsafe_b64encode(SECRET).decode().rstrip("=")
    (here / "jwks").write_text(json.dumps({"keys": [{"kty": "oct", "alg": "HS256", "kid": "1", "k": key}]}))
    addresses = {name: backend.address for name, backend in backends.items()}
    state = {
        "routes": list(routes()),
        "pools": [
            {"name": "blue", "endpoints": [addresses["blue-1"], addresses["blue-2"]]},
            {"name": "green", "version": "v2", "endpoints": [addresses["green-1"], addresses["green-2"]]},
            {"name": "many", "endpoints": list(addresses.values())},
            {"name": "chat", "endpoints": [f"127.0.0.1:{chat_port}"]},
        ],
        "rate_limits": [
            {"id": "client", "target": "limit-client", "per": "client", "requests_per_hour": 3},
            {"id": "header", "target": "limit-header", "per": "header:x-tenant", "requests_per_hour": 3},
            {"id": "both-all", "target": "limit-all", "requests_per_hour": 5},
            {"id": "both-each", "target": "limit-all", "per": "header:x-tenant", "requests_per_hour": 3},
        ],
        "authentication": [
            {"name": "people", "kind": "basic", "file": str(here / "users"), "forward_header": "x-user"},
            {"name": "machines", "kind": "api_key", "file": str(here / "keys"), "forward_header": "x-user"},
            {"name": "tokens", "kind": "jwt", "file": str(here / "jwks"), "issuer": "me", "audiences": ["api"], "forward_header": "x-user"},
            {"name": "nameless", "kind": "jwt", "file": str(here / "jwks"), "issuer": "me"},
        ],
    }  # fmt: skip
    alb = Alb(here, state, proxied=True)
    try:
        yield await alb.start()
    finally:
        await alb.close()


async def ask(
    alb: Alb, host: str, path: str = "/", method: str = "GET", *, source: str = "127.0.0.1", **options: Any
) -> httpx.Response:
    transport = httpx.AsyncHTTPTransport(local_address=source)
    async with httpx.AsyncClient(transport=transport, timeout=10) as client:
        headers = {"host": f"{host}.test", **options.pop("headers", {})}
        return await client.request(method, f"http://127.0.0.1:{alb.port}{path}", headers=headers, **options)


async def echo(alb: Alb, host: str, path: str = "/echo", **options: Any) -> dict[str, Any]:
    answer = await ask(alb, host, path, **options)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


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
    assert "x-envoy-upstream-service-time" not in answer.headers
    assert seen["x-set"] == "s, one, two"


async def test_a_mirror_is_asked_too_and_its_answer_thrown_away(
    alb: Alb, backends: Mapping[str, Backend]
) -> None:
    greens = [backends["green-1"], backends["green-2"]]
    before = sum(one.served for one in greens)
    assert (await ask(alb, "mirror")).text.startswith("blue")
    async with asyncio.timeout(10):
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


@pytest.mark.parametrize(("source", "status"), [("127.0.0.1", 200), ("127.0.0.2", 403), ("127.0.0.9", 403)])
async def test_allow_and_deny(alb: Alb, source: str, status: int) -> None:
    forged = {"x-forwarded-for": "127.0.0.1"}
    assert (await ask(alb, "allow", source=source, headers=forged)).status_code == status


def token(secret: bytes = SECRET, **claims: Any) -> str:
    def encode(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    given = {"iss": "me", "aud": "api", "sub": "ann", "exp": int(time.time()) + 600, **claims}
    head = encode(b'{"alg":"HS256","kid":"1"}') + "." + encode(json.dumps(given).encode())
    return f"{head}.{encode(hmac.digest(secret, head.encode(), 'sha256'))}"


def basic(user: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


CREDENTIALS = {
    "basic": (basic("bob", "pass word"), basic("bob", "other"), "bob"),
    "key": ({"x-api-key": "k-123"}, {"x-api-key": "k-124"}, "robot"),
    "jwt": ({"authorization": f"Bearer {token()}"}, {"authorization": f"Bearer {token(b'x' * 32)}"}, "ann"),
}


@pytest.mark.parametrize("way", CREDENTIALS)
@pytest.mark.parametrize("host", ["own", "ways"])
async def test_authentication(alb: Alb, way: str, host: str) -> None:
    right, wrong, name = CREDENTIALS[way]
    host = way if host == "own" else host
    seen = await echo(alb, host, headers={**right, "x-user": "forged"})
    assert seen["headers"]["x-user"] == name
    for headers in ({}, wrong, {"x-user": "forged"}):
        assert (await ask(alb, host, headers=headers)).status_code == 401


async def test_a_name_that_no_way_gave_does_not_reach_the_backend(alb: Alb) -> None:
    right, _, _ = CREDENTIALS["jwt"]
    seen = await echo(alb, "names", headers={**right, "x-user": "bob"})
    assert "x-user" not in seen["headers"]


@pytest.mark.parametrize("claims", [{"iss": "you"}, {"aud": "web"}, {"exp": 1}], ids=str)
async def test_tokens_that_are_not_meant_for_us(alb: Alb, claims: dict[str, Any]) -> None:
    headers = {"authorization": f"Bearer {token(**claims)}"}
    assert (await ask(alb, "jwt", headers=headers)).status_code in {401, 403}


async def test_files_of_credentials_are_read_again_on_reload(alb: Alb) -> None:
    users = alb.directory / "users"
    before = users.read_text()
    new = base64.b64encode(hashlib.sha1(b"other").digest()).decode()
    try:
        users.write_text(f"bob:{{SHA}}{new}\n")
        assert (await alb.stub.Reload(pb.ReloadRequest())).success
        assert (await ask(alb, "basic", headers=basic("bob", "other"))).status_code == 200
        assert (await ask(alb, "basic", headers=basic("bob", "pass word"))).status_code == 401
        users.write_text("bob:plain\n")
        answer = await alb.stub.Reload(pb.ReloadRequest())
        assert not answer.success
        assert "authentication[0].file" in str(answer)
        assert "plain" not in str(answer)
        assert (await ask(alb, "basic", headers=basic("bob", "other"))).status_code == 200
    finally:
        users.write_text(before)
        assert (await alb.stub.Reload(pb.ReloadRequest())).success


async def served(alb: Alb, host: str, **options: Any) -> int:
    """How many of five requests are let through."""
    answers = [await ask(alb, host, **options) for _ in range(5)]
    assert {answer.status_code for answer in answers} <= {200, 429}
    return sum(answer.status_code == 200 for answer in answers)


async def test_a_limit_for_each_client(alb: Alb) -> None:
    for number in range(1, 31):  # more than the 20 that Envoy would remember
        assert await served(alb, "limit-client", source=f"127.0.2.{number}") == 3
    forged = {"x-forwarded-for": "127.0.9.9"}
    assert await served(alb, "limit-client", source="127.0.2.1", headers=forged) == 0


async def test_a_limit_for_each_value_of_a_header(alb: Alb) -> None:
    assert await served(alb, "limit-header", headers={"x-tenant": "a"}) == 3
    assert await served(alb, "limit-header", headers={"x-tenant": "b"}) == 3
    assert await served(alb, "limit-header") == 3  # without it all share one
    assert await served(alb, "limit-header", headers={"x-tenant": "a"}) == 0


async def test_a_limit_for_each_beside_one_for_all(alb: Alb) -> None:
    assert await served(alb, "limit-all", headers={"x-tenant": "a"}) == 3
    assert await served(alb, "limit-all", headers={"x-tenant": "b"}) == 2


async def test_a_session_of_a_cookie_stays_with_its_endpoint(alb: Alb) -> None:
    for _ in range(8):
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            url = f"http://127.0.0.1:{alb.port}/"
            first = await client.get(url, headers={"host": "cookie.test"})
            given = dict(first.cookies)
            assert set(given) == {"session", "session-pool"}
            cookie = "; ".join(f"{name}={value}" for name, value in given.items())
            for _ in range(12):
                again = await client.get(url, headers={"host": "cookie.test", "cookie": cookie})
                assert again.text == first.text


@pytest.mark.parametrize("path", ["/", "/two"])
async def test_a_session_of_a_header_stays_with_its_endpoint(alb: Alb, path: str) -> None:
    names = set()
    for user in range(20):
        answers = {(await ask(alb, "header", path, headers={"x-user": str(user)})).text for _ in range(3)}
        assert len(answers) == 1
        names |= answers
    assert len(names) > 1


async def test_a_session_of_a_client_stays_with_its_endpoint(alb: Alb) -> None:
    names = set()
    for number in range(1, 21):
        answers = {(await ask(alb, "client", source=f"127.0.1.{number}")).text for _ in range(3)}
        assert len(answers) == 1
        names |= answers
    assert len(names) > 1
