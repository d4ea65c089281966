"""What is not there: paths of the API that nobody answers, and methods that a path has not. After all other routes."""

from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import Response
from starlette.routing import Match, Route

from marchproxy.manager.api.problems import problem

unknown_router = APIRouter(include_in_schema=False)
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


@unknown_router.api_route("/api/{rest:path}", methods=_METHODS, name="unknown")
async def unknown(request: Request, rest: str) -> Response:
    """404, or 405 with the methods that there are."""
    allowed = sorted(_methods(request))
    if not allowed:
        return problem(HTTPStatus.NOT_FOUND, f"there is no /api/{rest}; see /api/v1/openapi.json")
    text = f"{request.method} is none of its methods: {', '.join(allowed)}"
    return problem(HTTPStatus.METHOD_NOT_ALLOWED, text, headers={"Allow": ", ".join(allowed)})


def _methods(request: Request) -> set[str]:
    return {
        method
        for route in request.app.routes
        if isinstance(route, Route) and route.name != "unknown"
        if route.matches(request.scope)[0] is Match.PARTIAL
        for method in route.methods or ()
    }
