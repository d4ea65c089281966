"""The file is handed over by who has the local key, and by nobody else."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from marchproxy.contract.document import encode
from marchproxy.kit.clock import VirtualClock
from marchproxy.manager.access import Access, AccessError
from marchproxy.manager.places import FILE_PATH
from marchproxy.manager.settings import ManagerSettings
from marchproxy.manager.web.file import router
from marchproxy.model.identity import Role
from marchproxy.model.problem import InvalidValue
from marchproxy.model.state import DesiredState
from marchproxy.store import Sealer, StoreSettings, open_store


@dataclass
class Taken:
    """What would be asked to put it in force."""

    asked: list[tuple[DesiredState, str]] = field(default_factory=list)
    answer: object = None
    current: object = field(default_factory=lambda: SimpleNamespace(head=SimpleNamespace(number=3)))

    async def take_file(self, state: DesiredState, source: str) -> object:
        self.asked.append((state, source))
        return self.answer


@pytest.fixture
async def world(tmp_path):
    settings = StoreSettings(f"sqlite:///{tmp_path}/manager.db")
    async with open_store(settings, Sealer.of_file(tmp_path / "secret.key")) as store:
        access = Access(store, VirtualClock(), tmp_path)
        app, taken = FastAPI(), Taken()
        app.state.desk = SimpleNamespace(access=access, revisions=taken, settings=ManagerSettings())
        app.include_router(router)

        async def told(_: Request, error: Exception) -> JSONResponse:
            return JSONResponse({"detail": str(error)}, 403 if isinstance(error, AccessError) else 422)

        app.add_exception_handler(AccessError, told)
        app.add_exception_handler(InvalidValue, told)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://manager") as client:
            client.headers["authorization"] = f"Bearer {access.local.path.read_text().strip()}"
            yield SimpleNamespace(client=client, access=access, taken=taken, store=store)


async def post(world, content: bytes = encode(DesiredState())) -> httpx.Response:
    return await world.client.post(FILE_PATH, params={"source": "up.yaml"}, content=content)


async def test_the_local_key_hands_it_over(world):
    world.taken.answer = SimpleNamespace(applied=True, revision=SimpleNamespace(number=4))
    answer = await post(world)
    assert answer.json() == {"revision": 4, "applied": True}
    assert world.taken.asked == [(DesiredState(), "up.yaml")]
    (entry,) = await world.store.audit()
    assert (entry.who, entry.action, entry.target, entry.detail) == (
        "local",
        "state.file",
        "up.yaml",
        "revision 4",
    )


async def test_nothing_new_is_said_to_be_so(world):
    assert (await post(world)).json() == {"revision": 3, "applied": False}


async def test_an_admin_from_elsewhere_cannot(world):
    user, given = await world.access.users.add("ann", Role.ADMIN)
    session = await world.access.sign_in("ann", given, "")
    session = await world.access.change_password(session.principal, given, "correct horse")
    _, secret = await world.access.keys.make(session.principal, "ci", user.role)
    world.client.headers["authorization"] = f"Bearer {secret}"
    assert (await post(world)).status_code == 403
    assert world.taken.asked == []


async def test_what_is_no_document_is_refused(world):
    answer = await post(world, b"{]")
    assert answer.status_code == 422
    assert world.taken.asked == []
