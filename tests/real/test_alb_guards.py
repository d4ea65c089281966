"""Whom a route of the ALB turns away, and to which endpoint it keeps a session, against a real Envoy."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import httpx
import pytest
import pytest_asyncio

from marchproxy.contract.pb import module_pb2 as pb
from tests.real.support.alb import Alb
from tests.real.support.asking import ask, echo, route_of
from tests.real.support.backends import Backend, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = b"a secret of thirty-two bytes, or"
PASSWORD = base64.b64encode(hashlib.sha1(b"pass word").digest()).decode()


def routes() -> Iterator[dict[str, Any]]:
    two = [{"pool": "blue", "weight": 50}, {"pool": "green", "weight": 50}]
    yield route_of("allow", allow=["127.0.0.0/30"], deny=["127.0.0.2"])
    yield route_of("basic", authentication=["people"])
    yield route_of("key", authentication=["machines"])
    yield route_of("jwt", authentication=["tokens"])
    yield route_of("ways", authentication=["people", "machines", "tokens"])
    yield route_of("names", authentication=["people", "nameless"])
    yield route_of("cookie", sticky={"kind": "cookie", "name": "session", "ttl": "1h"}, backends=two)
    yield route_of("header", sticky={"kind": "header", "name": "x-user"}, backends=["many"])
    yield route_of("header--two", path="/two", sticky={"kind": "header", "name": "x-user"}, backends=two)
    for name in ("limit-client", "limit-header", "limit-all"):
        yield route_of(name)
    yield route_of("client", sticky={"kind": "source"}, backends=["many"])


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def backends() -> AsyncIterator[Mapping[str, Backend]]:
    names = ("blue-1", "blue-2", "green-1", "green-2")
    async with serving(*names) as found:
        yield dict(zip(names, found, strict=True))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def alb(
    tmp_path_factory: pytest.TempPathFactory, backends: Mapping[str, Backend]
) -> AsyncIterator[Alb]:
    here = tmp_path_factory.mktemp("guards")
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
    alb = Alb(here, state)
    try:
        yield await alb.start()
    finally:
        await alb.close()


@pytest.mark.parametrize(("source", "status"), [("127.0.0.1", 200), ("127.0.0.2", 403), ("127.0.0.9", 403)])
async def test_allow_and_deny(alb: Alb, source: str, status: int) -> None:
    forged = {"x-forwarded-for": "127.0.0.1"}
    assert (await ask(alb, "allow", source=source, headers=forged)).status_code == status


def token(secret: bytes = SECRET, **claims: Any) -> str:
    def encode(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    given = {"iss": "me", "aud": "api", "sub": "ann", "exp": int(time.time()) + 86_400, **claims}
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
