"""Tokens whose keys are fetched: through a pool, kept, fetched again, and what happens when they cannot be, against a real Envoy."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.real.support.alb import Alb, route
from tests.real.support.asking import ask, echo, route_of
from tests.real.support.backends import Backend, serving

OLD, NEW = b"the old secret of thirty-two byte", b"the new secret of thirty-two byte"


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def keys(**secrets: bytes) -> str:
    """A JWKS, as the name of a backend, which is what it answers."""
    return json.dumps(
        {
            "keys": [
                {"kty": "oct", "alg": "HS256", "kid": kid, "k": encoded(secret)}
                for kid, secret in secrets.items()
            ]
        }
    )


def bearer(kid: str, secret: bytes, issuer: str = "id") -> dict[str, str]:
    claims = {"iss": issuer, "sub": "ann", "exp": int(time.time()) + 600}
    head = (
        f"{encoded(json.dumps({'alg': 'HS256', 'kid': kid}).encode())}.{encoded(json.dumps(claims).encode())}"
    )
    signature = encoded(hmac.digest(secret, head.encode(), "sha256"))
    return {"authorization": f"Bearer {head}.{signature}"}


def basic(user: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@asynccontextmanager
async def edge(here: Path, identity: Backend, backend: Backend) -> AsyncIterator[Alb]:
    digest = base64.b64encode(hashlib.sha1(b"pass").digest()).decode()
    (here / "users").write_text(f"bob:{{SHA}}{digest}\n")
    (here / "jwks").write_text(keys(local=OLD))
    fetched = {"kind": "jwt", "jwks_pool": "identity", "forward_header": "x-user"}
    state = {
        "routes": [
            route_of("tokens", authentication=["id"]),
            route_of("either", authentication=["id", "local"]),
            route_of("any", authentication=["people", "id"]),
        ],
        "pools": [
            {"name": "blue", "endpoints": [backend.address]},
            {"name": "identity", "endpoints": [identity.address]},
        ],
        "authentication": [
            {
                "name": "id",
                "issuer": "id",
                "jwks_url": "http://id.test/keys",
                "jwks_refresh": "1s",
                **fetched,
            },
            {"name": "local", "kind": "jwt", "issuer": "local", "file": str(here / "jwks")},
            {"name": "people", "kind": "basic", "file": str(here / "users"), "forward_header": "x-user"},
        ],
    }
    alb = Alb(here, state)
    try:
        yield await alb.start()
    finally:
        await alb.close()


async def until_status(alb: Alb, status: int, headers: dict[str, str], host: str = "tokens") -> None:
    async with asyncio.timeout(30):
        while (await ask(alb, host, headers=headers)).status_code != status:
            await asyncio.sleep(0.05)


async def ready_says(alb: Alb, fits: Callable[[str], bool]) -> None:
    """Wait until /readyz has words that fit."""
    async with asyncio.timeout(30), httpx.AsyncClient(trust_env=False) as client:
        while not fits((await client.get(f"http://127.0.0.1:{alb.health}/readyz")).text):
            await asyncio.sleep(0.05)


async def test_keys_are_fetched_and_fetched_again_when_they_rotate(tmp_path: Path) -> None:
    async with (
        serving(keys(old=OLD), "blue") as (identity, backend),
        edge(tmp_path, identity, backend) as alb,
    ):
        assert (await echo(alb, "tokens", headers={**bearer("old", OLD), "x-user": "forged"}))["headers"][
            "x-user"
        ] == "ann"
        for headers in ({}, bearer("old", NEW), bearer("old", OLD, "other"), basic("bob", "pass")):
            assert (await ask(alb, "tokens", headers=headers)).status_code == 401

        identity.name = keys(new=NEW)
        await until_status(alb, 200, bearer("new", NEW))
        assert (await ask(alb, "tokens", headers=bearer("old", OLD))).status_code == 401


async def test_each_credential_is_judged_by_its_own_way(tmp_path: Path) -> None:
    async with (
        serving(keys(old=OLD), "blue") as (identity, backend),
        edge(tmp_path, identity, backend) as alb,
    ):
        good, local = bearer("old", OLD), bearer("local", OLD, "local")
        for host, headers, status in (
            ("either", good, 200),
            ("either", local, 200),
            ("either", {}, 401),
            ("tokens", local, 401),
            ("any", good, 200),
            ("any", basic("bob", "pass"), 200),
            ("any", basic("bob", "other"), 401),
            ("any", bearer("old", NEW), 401),
            ("any", {"authorization": good["authorization"].replace("Bearer", "bearer")}, 401),
            ("any", {"authorization": "Basic"}, 401),
            ("any", {}, 401),
        ):
            assert (await ask(alb, host, headers=headers)).status_code == status, (host, headers)


async def test_keys_outlive_their_source_and_changes_of_routes(tmp_path: Path) -> None:
    async with (
        serving(keys(old=OLD), "blue") as (identity, backend),
        edge(tmp_path, identity, backend) as alb,
    ):
        await until_status(alb, 200, bearer("old", OLD))
        fetched = identity.served
        for number in range(5):
            await alb.put(route("other", path=f"/{number}", blue=100))
            assert (await ask(alb, "tokens", headers=bearer("old", OLD))).status_code == 200
        assert fetched

        await identity.stop()
        await ready_says(alb, lambda text: "keys of tokens" in text)
        # keys that are older than jwks_refresh and cannot be fetched again still hold
        assert (await ask(alb, "tokens", headers=bearer("old", OLD))).status_code == 200
        assert (await ask(alb, "tokens", headers=bearer("new", NEW))).status_code == 401
        identity.name = keys(new=NEW)
        await identity.start()
        await until_status(alb, 200, bearer("new", NEW))
        await ready_says(alb, lambda text: "keys of tokens" not in text)


async def test_without_keys_nobody_is_let_in_until_they_come(tmp_path: Path) -> None:
    async with serving("no keys {", "blue") as (identity, backend), edge(tmp_path, identity, backend) as alb:
        assert (await ask(alb, "tokens", headers=bearer("old", OLD))).status_code in {401, 503}
        assert (await ask(alb, "any", headers=basic("bob", "pass"))).status_code == 200
        await ready_says(alb, lambda text: "keys of tokens" in text)
        identity.name = keys(old=OLD)
        await until_status(alb, 200, bearer("old", OLD))
