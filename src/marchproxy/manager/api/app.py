"""The application: every router, how failures are told, and its OpenAPI document."""

from fastapi import APIRouter, FastAPI

from marchproxy.manager.api import (
    certificates,
    explain,
    health,
    keys,
    live,
    metrics,
    records,
    revisions,
    rollouts,
    session,
    state,
    stream,
    users,
)
from marchproxy.manager.api.kinds import KINDS
from marchproxy.manager.api.openapi import describe
from marchproxy.manager.api.problems import tell_problems
from marchproxy.manager.api.sections import section_router
from marchproxy.manager.api.shelves import Shelves
from marchproxy.manager.api.unknown import answer_unknown
from marchproxy.manager.desk import Desk

_ROOMS = (
    *(state, revisions, rollouts, live, metrics, explain, certificates),
    *(users, keys, session, records, stream, health),
)


def furnish(app: FastAPI, desk: Desk) -> None:
    """Give the app the desk that its requests are answered with, and forget what another one was asked."""

    def fingerprint(data: bytes) -> str:
        return desk.store.fingerprint(data)

    app.state.desk = desk
    app.state.shelves = Shelves(fingerprint)
    app.state.streams = set()
    app.state.probe = health.Probe(desk)


def create_app(desk: Desk, *others: APIRouter) -> FastAPI:
    """The API over this desk, with `others` that belong under `/api`; the UI is put beside it by whoever serves both."""
    app = FastAPI(
        title="MarchProxy",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
        redirect_slashes=False,
    )
    furnish(app, desk)
    for kind in KINDS:
        app.include_router(section_router(kind))
    for router in (*(room.router for room in _ROOMS), *others):
        app.include_router(router)
    describe(app)
    answer_unknown(app)
    tell_problems(app)
    return app
