"""The API over a real desk that manages nobody: a store in a file, revisions, and who may what."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from marchproxy.contract.document import decode
from marchproxy.kit.clock import SystemClock
from marchproxy.kit.tasks import beside
from marchproxy.manager.access import Access
from marchproxy.manager.api import create_app
from marchproxy.manager.api.app import furnish
from marchproxy.manager.certificates import Certificates
from marchproxy.manager.desk import Desk
from marchproxy.manager.operating import Operations
from marchproxy.manager.revising import Fleet, Revisions
from marchproxy.manager.settings import ManagerSettings
from marchproxy.manager.watching import Observer
from marchproxy.store import Sealer, StoreSettings, open_store

FILE = b"""
listeners:
- {name: web, address: "127.0.0.1:8080"}
pools:
- {name: shop-v1, endpoints: ["127.0.0.1:9001"]}
- {name: shop-v2, version: v2, endpoints: ["127.0.0.1:9002"]}
routes:
- {id: shop, path: /shop, listeners: [web], backends: [{pool: shop-v1, weight: 90}, {pool: shop-v2, weight: 10}]}
- {id: help, path: /help, priority: 5, backends: [shop-v1], request_headers: {set: {authorization: "Bearer tiptop"}}}
prices:
- {model: meta/llama-3, input: 1}
"""


@pytest.fixture(scope="session")
def app() -> FastAPI:
    """Made once: it takes longer than most tests."""
    return create_app(None)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        sealer = Sealer.of_file(tmp_path / "secret.key")
        store = await stack.enter_async_context(
            open_store(StoreSettings(f"sqlite:///{tmp_path}/manager.db"), sealer)
        )
        revisions = Revisions(store, Fleet((), clock=clock), clock=clock)
        await revisions.start(decode(FILE), "f.yaml")
        await stack.enter_async_context(beside(revisions.run(), name="revisions"))
        live = Observer((), store, revisions, clock=clock)
        access = Access(store, clock, tmp_path)
        folder = tmp_path / "certificates"
        yield Desk(
            settings=ManagerSettings(state_dir=tmp_path),
            store=store,
            revisions=revisions,
            live=live,
            operations=Operations(live, revisions, store, clock=clock),
            access=access,
            certificates=Certificates(store, folder, lambda: revisions.current.document, clock=clock),
            clock=clock,
        )


@pytest.fixture
async def first_admin(desk: Desk) -> None:
    """Somebody to whom keys can belong; not for every test, as a password takes its time."""
    await desk.access.users.ensure_first()


@pytest.fixture
def key(desk: Desk) -> str:
    return desk.access.local.path.read_text().strip()


@pytest.fixture
async def api(app: FastAPI, desk: Desk, key: str) -> AsyncIterator[httpx.AsyncClient]:
    """An admin on this machine."""
    furnish(app, desk)
    transport = httpx.ASGITransport(app)
    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://manager/api/v1", headers=headers
    ) as client:
        yield client


@pytest.fixture
async def stranger(app: FastAPI, desk: Desk) -> AsyncIterator[httpx.AsyncClient]:
    """Nobody yet."""
    furnish(app, desk)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://manager") as client:
        yield client


@pytest.fixture
def problem() -> Callable[[httpx.Response, int], dict]:
    """The body of an answer that must be a problem with this status."""

    def read(answer: httpx.Response, status: int) -> dict:
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        body = answer.json()
        assert body["status"] == status
        assert body["title"]
        assert body["detail"]
        return body

    return read
