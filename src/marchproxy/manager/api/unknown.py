"""What is not there: paths of the API that nobody answers, and methods that a path has not."""

from http import HTTPStatus

from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.routing import Match

from marchproxy.manager.api.problems import problem

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def answer_unknown(app: FastAPI) -> None:
    """Answer for whatever the app's routes do not, so that what stands beside the API need not."""
    known = tuple(app.routes)

    async def unknown(request: Request, rest: str) -> Response:
        allowed = [
            method
            for method in _METHODS
            if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in known)
        ]
        if not allowed:
            return problem(HTTPStatus.NOT_FOUND, f"there is no /api/{rest}; see /api/v1/openapi.json")
        text = f"{request.method} is none of its methods: {', '.join(allowed)}"
        return problem(HTTPStatus.METHOD_NOT_ALLOWED, text, headers={"Allow": ", ".join(allowed)})

    app.add_api_route("/api/{rest:path}", unknown, methods=list(_METHODS), include_in_schema=False)
