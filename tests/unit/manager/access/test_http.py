"""How requests say who they are, through FastAPI, against a real store."""

from dataclasses import dataclass
from typing import Annotated

import httpx
import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse

from marchproxy.manager.access import Access, AccessError, Unauthenticated
from marchproxy.manager.access.http import caller, cookie_names, give_cookies, principal_of, take_cookies
from marchproxy.manager.settings import ManagerSettings
from marchproxy.model.identity import Principal, Role

READ = Annotated[Principal, Depends(caller(Role.VIEWER, "state:read"))]
WRITE = Annotated[Principal, Depends(caller(Role.OPERATOR, "state:write"))]
MINE = Annotated[Principal, Depends(caller(Role.VIEWER, "session"))]


@dataclass
class Counter:
    """As much of a desk as says who asks."""

    access: Access
    settings: ManagerSettings


def application(access: Access, settings: ManagerSettings) -> FastAPI:
    app = FastAPI()
    app.state.desk = Counter(access, settings)

    @app.exception_handler(AccessError)
    async def told(_: Request, error: AccessError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 401 if isinstance(error, Unauthenticated) else 403)

    @app.get("/api/v1/state")
    async def read(principal: READ) -> str:
        return principal.name

    @app.put("/api/v1/routes/shop")
    async def write(principal: WRITE) -> str:
        return principal.name

    @app.get("/api/v1/session")
    async def mine(principal: MINE) -> str:
        return principal.name

    @app.get("/page")
    async def page(request: Request) -> str:
        principal = await principal_of(request)
        return principal.name if principal else "a stranger"

    @app.post("/in")
    async def come(password: str) -> JSONResponse:
        answer = JSONResponse({})
        give_cookies(answer, await access.sign_in("admin", password, ""), app.state.desk)
        return answer

    @app.post("/out")
    async def go() -> JSONResponse:
        answer = JSONResponse({})
        take_cookies(answer, app.state.desk)
        return answer

    return app


@pytest.fixture
async def client(access):
    app = application(access, ManagerSettings())
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://manager") as client:
        yield client


async def user(access, role: Role) -> tuple[str, str]:
    """The cookie and the CSRF token of somebody with a role, who has chosen a password."""
    _, given = await access.users.add(f"a-{role.value}", role)
    first = await access.sign_in(f"a-{role.value}", given, "")
    session = await access.change_password(first.principal, given, "correct horse")
    return session.token, session.principal.session.csrf


def cookie(token: str) -> dict[str, str]:
    return {"cookie": f"mp_session={token}"}


async def test_strangers_are_told_to_sign_in(client):
    for headers in ({}, cookie("made up"), {"authorization": "Bearer mp_x"}, {"authorization": "Basic YTpi"}):
        answer = await client.get("/api/v1/state", headers=headers)
        assert answer.status_code == 401
    assert (await client.get("/page")).json() == "a stranger"


@pytest.mark.parametrize(("role", "status"), [(Role.VIEWER, 403), (Role.OPERATOR, 200), (Role.ADMIN, 200)])
async def test_a_role_counts(client, access, store, role, status):
    token, csrf = await user(access, role)
    assert (await client.get("/api/v1/state", headers=cookie(token))).json() == f"a-{role.value}"
    answer = await client.put("/api/v1/routes/shop", headers={**cookie(token), "x-csrf-token": csrf})
    assert answer.status_code == status
    newest = (await store.audit())[0]
    if status == 403:
        assert (newest.action, newest.target, newest.outcome) == ("state.put", "routes/shop", "denied")
    else:
        assert newest.outcome == "done"  # writing that down is the route's business


@pytest.mark.parametrize("headers", [{}, {"x-csrf-token": ""}, {"x-csrf-token": "another"}])
async def test_a_change_without_what_only_our_pages_know(client, access, headers):
    token, _ = await user(access, Role.OPERATOR)
    answer = await client.put("/api/v1/routes/shop", headers={**cookie(token), **headers})
    assert answer.status_code == 403
    assert "X-CSRF-Token" in answer.json()["detail"]


async def test_a_token_of_another_session_is_no_use(client, access):
    token, _ = await user(access, Role.OPERATOR)
    _, other = await user(access, Role.ADMIN)
    headers = {**cookie(token), "x-csrf-token": other}
    assert (await client.put("/api/v1/routes/shop", headers=headers)).status_code == 403


async def test_programs_need_no_csrf_token(client, access):
    shown = access.local.path.read_text().strip()
    headers = {"authorization": f"Bearer {shown}"}
    assert (await client.put("/api/v1/routes/shop", headers=headers)).json() == "local"
    assert (await client.get("/api/v1/session", headers=headers)).status_code == 403


async def test_a_bad_key_is_not_made_good_by_a_cookie(client, access):
    token, _ = await user(access, Role.OPERATOR)
    headers = {**cookie(token), "authorization": "Bearer mp_unknown"}
    assert (await client.get("/api/v1/state", headers=headers)).status_code == 401


async def test_until_the_password_is_changed_there_is_nothing_else(client, access):
    _, given = await access.users.add("ann", Role.ADMIN)
    first = await access.sign_in("ann", given, "")
    assert (await client.get("/api/v1/state", headers=cookie(first.token))).status_code == 403
    assert (await client.get("/api/v1/session", headers=cookie(first.token))).json() == "ann"


@pytest.mark.parametrize(
    ("settings", "secure"),
    [
        (ManagerSettings(), False),
        (ManagerSettings(public_url="http://manager.example"), False),
        (ManagerSettings(public_url="https://manager.example"), True),
    ],
)
async def test_cookies(access, settings, secure):
    password = access.users.initial_password_file.read_text().strip()
    transport = httpx.ASGITransport(app=application(access, settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://manager") as client:
        given = (await client.post("/in", params={"password": password})).headers.get_list("set-cookie")
        taken = (await client.post("/out")).headers.get_list("set-cookie")
    session, csrf = cookie_names(secure=secure)
    assert session.startswith("__Host-") is secure
    for text in given:
        assert ("Secure" in text) is secure
        assert "SameSite=lax" in text
        assert "Path=/" in text
        assert "Domain" not in text
        assert "Max-Age=43200" in text
    assert [("HttpOnly" in text, text.split("=")[0]) for text in given] == [(True, session), (False, csrf)]
    assert [("Max-Age=0" in text, text.split("=")[0]) for text in taken] == [(True, session), (True, csrf)]
