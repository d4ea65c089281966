"""Failures as `application/problem+json` (RFC 9457): what was wrong, where in the document, and what to do."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.responses import Response

from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import SettingsError, dotted
from marchproxy.manager.access import AccessError, Throttled, Unauthenticated, WeakPassword
from marchproxy.manager.api.shown import shown_conflict
from marchproxy.manager.operating import NotDone
from marchproxy.manager.revising import Busy, Conflicts, PartsRefused
from marchproxy.model.problem import InvalidValue, Problem, RefusalCode, Refused
from marchproxy.store import StoreUnavailable

_log = get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
_RETRY_SECONDS = "2"
_STATUS: Mapping[RefusalCode, HTTPStatus] = {
    RefusalCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    RefusalCode.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    RefusalCode.INVALID_ARGUMENT: HTTPStatus.UNPROCESSABLE_ENTITY,
    RefusalCode.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    RefusalCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    RefusalCode.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    RefusalCode.ERROR: HTTPStatus.BAD_GATEWAY,
}


class ProblemView(BaseModel):
    """One fault. `path` is written as in the document."""

    model_config = ConfigDict(title="Problem")
    path: str
    message: str


class ConflictView(BaseModel):
    """What the proposal and the revision in force say differently."""

    model_config = ConfigDict(title="Conflict")
    path: str
    ours: Any = None
    theirs: Any = None


class ProblemDetails(BaseModel):
    """Why a request was not carried out; then nothing has been changed."""

    type: str
    title: str
    status: int
    detail: str
    problems: list[ProblemView] = []
    conflicts: list[ConflictView] = []
    revision: int | None = None


class HttpProblem(Exception):
    """A failure that HTTP has a status for, and nothing else has a name for."""

    def __init__(
        self, status: HTTPStatus, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers, self.more = status, detail, headers, more


def not_found(detail: str) -> HttpProblem:
    """404."""
    return HttpProblem(HTTPStatus.NOT_FOUND, detail)


def precondition_failed(detail: str) -> HttpProblem:
    """412."""
    return HttpProblem(HTTPStatus.PRECONDITION_FAILED, detail)


def unavailable(detail: str) -> HttpProblem:
    """503."""
    return HttpProblem(HTTPStatus.SERVICE_UNAVAILABLE, detail)


def problem(
    status: HTTPStatus, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    """The response; `more` are further members, such as `problems`."""
    body = {
        "type": f"urn:marchproxy:problem:{status.phrase.lower().replace(' ', '-')}",
        "title": status.phrase,
        "status": int(status),
        "detail": detail,
        **more,
    }
    headers = dict(headers or {})
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers.setdefault("Retry-After", _RETRY_SECONDS)
    return Response(orjson.dumps(body, default=str), int(status), headers, MEDIA_TYPE)


def tell_problems(app: FastAPI) -> None:
    """Have every failure of the app answered so."""
    for failure in (
        *(InvalidValue, Refused, Conflicts, Busy, StoreUnavailable, NotDone, AccessError, WeakPassword),
        *(SettingsError, RequestValidationError, HTTPException, HttpProblem, Exception),
    ):
        app.add_exception_handler(failure, _answer)


async def _answer(request: Request, error: Exception) -> Response:
    found = _of_http(error) or _of_access(error) or _of_domain(error)
    if found is None:
        _log.error("a request failed", method=request.method, path=request.url.path, exc_info=error)
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "this request failed; the manager's log says why")
    return found


def _of_http(error: Exception) -> Response | None:
    match error:
        case HttpProblem():
            return problem(error.status, error.detail, headers=error.headers, **error.more)
        case HTTPException():
            return problem(HTTPStatus(error.status_code), str(error.detail), headers=error.headers)
        case RequestValidationError():
            return _invalid([Problem(_place(one["loc"]), one["msg"]) for one in error.errors()])
        case _:
            return None


def _of_access(error: Exception) -> Response | None:
    match error:
        case Unauthenticated():
            headers = {"WWW-Authenticate": 'Bearer realm="marchproxy"'}
            return problem(HTTPStatus.UNAUTHORIZED, str(error), headers=headers)
        case Throttled():
            headers = {"Retry-After": str(max(round(error.seconds), 1))}
            return problem(HTTPStatus.TOO_MANY_REQUESTS, str(error), headers=headers)
        case AccessError():
            return problem(HTTPStatus.FORBIDDEN, str(error))
        case WeakPassword():
            return _invalid([Problem("password", str(error))])
        case _:
            return None


def _of_domain(error: Exception) -> Response | None:
    match error:
        case InvalidValue() | SettingsError():
            return _invalid([Problem(one.path, one.message) for one in error.problems])
        case PartsRefused() | Refused():
            return problem(_STATUS[error.code], error.message, problems=_views(error.problems))
        case Conflicts():
            shown = [shown_conflict(one) for one in error.conflicts]
            return problem(HTTPStatus.CONFLICT, str(error), conflicts=shown, revision=int(error.head.number))
        case NotDone():
            status = HTTPStatus.CONFLICT if error.found else HTTPStatus.NOT_FOUND
            return problem(status, str(error))
        case Busy() | StoreUnavailable():
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        case _:
            return None


def _invalid(problems: list[Problem]) -> Response:
    first = str(problems[0]) if problems else "invalid"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, first + more, problems=_views(problems))


def _views(problems: tuple[Problem, ...] | list[Problem]) -> list[dict[str, str]]:
    return [{"path": one.path, "message": one.message} for one in problems]


def _place(loc: tuple[str | int, ...]) -> str:
    """Where a fault is, without the word that says in which part of the request."""
    inside = loc[1:] if loc and loc[0] in {"body", "query", "path", "header", "cookie"} else loc
    return dotted(tuple(inside))
