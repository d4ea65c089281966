"""Every route of the API asks who is there, and whether he may; a route that somebody adds is looked at here, too."""

import re
from collections.abc import Iterator
from types import SimpleNamespace

import httpx
import pytest

from marchproxy.manager.access.http import cookie_names
from marchproxy.manager.api import create_app
from marchproxy.manager.places import FILE_PATH
from marchproxy.manager.settings import ManagerSettings
from marchproxy.manager.web.file import router
from marchproxy.model.identity import Role
from marchproxy.store import StoreUnavailable

#: For strangers.
FOR_EVERYBODY = {("POST", "/api/v1/session")}
#: What a viewer may send although it is no GET: it changes nothing, or what is one's own.
FOR_VIEWERS = {
    ("POST", "/api/v1/explain"),
    ("POST", "/api/v1/validate"),
    ("POST", "/api/v1/diff"),
    ("POST", "/api/v1/session/password"),
    ("DELETE", "/api/v1/session"),
    ("POST", "/api/v1/api-keys"),
    ("DELETE", "/api/v1/api-keys/{key_id}"),
}


def routes(app) -> Iterator[tuple[str, str]]:
    """Those of the OpenAPI document, and the one that is not in it."""
    yield "POST", FILE_PATH
    for path, methods in app.openapi()["paths"].items():
        yield from ((method.upper(), path) for method in methods)


@pytest.fixture
def app(access):
    return create_app(SimpleNamespace(access=access, settings=ManagerSettings()), router)


def client(app) -> httpx.AsyncClient:
    # what a route would do beyond the door fails, as there is nothing behind it; that is told as 500
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://manager")


async def knock(http: httpx.AsyncClient, method: str, path: str) -> int:
    filled = re.sub(r"\{[^}]*\}", "1", path)
    answer = await http.request(method, filled, json=None if method == "GET" else {})
    return answer.status_code


async def test_strangers_get_nowhere(app):
    known = set(routes(app))
    assert len(known) > 50
    assert known >= FOR_EVERYBODY | FOR_VIEWERS
    async with client(app) as http:
        let_in = {route for route in known if await knock(http, *route) != 401}
    assert let_in == FOR_EVERYBODY


async def test_viewers_change_nothing(app, access):
    _, given = await access.users.add("vera", Role.VIEWER)
    first = await access.sign_in("vera", given, "")
    session = await access.change_password(first.principal, given, "correct horse")
    name, _ = cookie_names(secure=False)
    async with client(app) as http:
        http.headers.update(
            {"cookie": f"{name}={session.token}", "x-csrf-token": session.principal.session.csrf}
        )
        changing = [route for route in set(routes(app)) - FOR_EVERYBODY - FOR_VIEWERS if route[0] != "GET"]
        answers = {route: await knock(http, *route) for route in changing}
    assert len(changing) > 20
    assert {route: status for route, status in answers.items() if status != 403} == {}


async def test_while_the_database_is_away_nobody_is_known_and_that_is_said(app, access, store, monkeypatch):
    async def away(*_: object) -> None:
        raise StoreUnavailable("the database is away; see whether it runs")

    for question in ("session", "user", "key_by_hash"):
        monkeypatch.setattr(store, question, away)
    name, _ = cookie_names(secure=False)
    async with client(app) as http:
        answers = [
            await http.get("/api/v1/routes", headers={"cookie": f"{name}=x"}),
            await http.get("/api/v1/routes", headers={"authorization": "Bearer mp_x"}),
            await http.post("/api/v1/session", json={"name": "admin", "password": "a guess of mine"}),
        ]
    for answer in answers:
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        assert answer.json()["detail"] == "the database is away; see whether it runs"
