"""Every failure has a status, and a body that says what and where."""

from datetime import UTC, datetime

import httpx
import pytest
from fastapi import FastAPI, HTTPException

from marchproxy.kit.settings import Problem as Located
from marchproxy.kit.settings import SettingsError
from marchproxy.manager.access import (
    Denied,
    PasswordChangeNeeded,
    Throttled,
    Unauthenticated,
    WeakPassword,
)
from marchproxy.manager.api.problems import not_found, precondition_failed, tell_problems, unavailable
from marchproxy.manager.operating import NotDone
from marchproxy.manager.revising import Busy, Conflicts, PartOutcome, PartsRefused
from marchproxy.model.changes import Conflict
from marchproxy.model.problem import InvalidValue, Problem, RefusalCode, Refused
from marchproxy.model.revision import Author, RevisionHead, RevisionNumber, Summary
from marchproxy.store import StoreUnavailable

AT = datetime(2030, 1, 1, tzinfo=UTC)
HEAD = RevisionHead(RevisionNumber(7), None, AT, Author("ann", "user"), "", "", Summary())
FAULT = Problem("routes[0].path", "is wrong")


@pytest.mark.parametrize(
    ("failure", "status", "more"),
    [
        (InvalidValue([FAULT]), 422, {"problems": [{"path": FAULT.path, "message": FAULT.message}]}),
        (InvalidValue([]), 422, {"detail": "invalid"}),
        (InvalidValue([FAULT] * 3), 422, {"detail": f"{FAULT} (and 2 more)"}),
        (SettingsError([Located("a.b", "is wrong", 3)]), 422, {"detail": "a.b: is wrong"}),
        (Refused(RefusalCode.NOT_FOUND, "none"), 404, {"detail": "none"}),
        (Refused(RefusalCode.ALREADY_EXISTS, "there"), 409, {}),
        (Refused(RefusalCode.INVALID_ARGUMENT, "no"), 422, {}),
        (Refused(RefusalCode.PERMISSION_DENIED, "no"), 403, {}),
        (Refused(RefusalCode.RESOURCE_EXHAUSTED, "full"), 429, {}),
        (Refused(RefusalCode.UNAVAILABLE, "away"), 503, {}),
        (Refused(RefusalCode.ERROR, "broken"), 502, {}),
        (
            PartsRefused([PartOutcome("alb-1", "alb", would_change=True, problems=(FAULT,))]),
            422,
            {"problems": [{"path": FAULT.path, "message": "alb-1: is wrong"}]},
        ),
        (
            Conflicts([Conflict("routes/shop.timeout", 5.0, None)], HEAD),
            409,
            {"conflicts": [{"path": "routes/shop.timeout", "ours": 5.0, "theirs": None}], "revision": 7},
        ),
        (Busy("wait"), 503, {"detail": "wait"}),
        (StoreUnavailable("the database is away"), 503, {"detail": "the database is away"}),
        (NotDone("not now"), 409, {}),
        (NotDone("no such route", found=False), 404, {}),
        (Unauthenticated("who?"), 401, {}),
        (Throttled(3.4), 429, {}),
        (Denied("no"), 403, {}),
        (PasswordChangeNeeded(), 403, {}),
        (WeakPassword("too short"), 422, {"problems": [{"path": "password", "message": "too short"}]}),
        (HTTPException(413, "too large"), 413, {"detail": "too large"}),
        (not_found("none"), 404, {}),
        (precondition_failed("another"), 412, {}),
        (unavailable("full"), 503, {}),
        (RuntimeError("secret"), 500, {"detail": "this request failed; the manager's log says why"}),
    ],
)
async def test_failures(failure, status, more):
    app = FastAPI()
    tell_problems(app)

    @app.get("/")
    async def fail() -> None:
        raise failure

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://manager") as client:
        answer = await client.get("/")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    body = answer.json()
    assert body["status"] == status
    assert body["type"].startswith("urn:marchproxy:problem:")
    assert {name: body[name] for name in more} == more
    assert ("retry-after" in answer.headers) is (status == 503 or isinstance(failure, Throttled))
    assert ("www-authenticate" in answer.headers) is (status == 401)
