"""What is not there: paths of the API that nobody answers, and methods that a path has not."""

from http import HTTPStatus

from fastapi import FastAPI
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from marchproxy.manager.api.problems import problem

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def answer_unknown(app: FastAPI) -> None:
    """Answer for whatever the app's routes do not, so that what stands beside the API need not."""
    app.router.routes.append(Route("/api/{rest:path}", _Unknown(app), include_in_schema=False))


class _Unknown:
    """An ASGI application: it is asked whatever the method is."""

    def __init__(self, app: FastAPI) -> None:
        self._known = tuple(app.routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(scope)(scope, receive, send)

    def _answer(self, scope: Scope) -> Response:
        allowed = [method for method in _METHODS if self._has({**scope, "method": method})]
        if not allowed:
            text = f"there is no {scope['path']}; see /api/v1/openapi.json"
            return problem(HTTPStatus.NOT_FOUND, text)
        text = f"{scope['method']} is none of its methods: {', '.join(allowed)}"
        return problem(HTTPStatus.METHOD_NOT_ALLOWED, text, headers={"Allow": ", ".join(allowed)})

    def _has(self, scope: Scope) -> bool:
        return any(route.matches(scope)[0] is Match.FULL for route in self._known)
