"""The OpenAPI document: what FastAPI knows of the routes, and what holds for all of them. OpenAPI 3.1."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from marchproxy import __version__
from marchproxy.manager.access.http import CSRF_HEADER
from marchproxy.manager.api.answering import JSON, REVISION, to_json
from marchproxy.manager.api.problems import MEDIA_TYPE, ProblemDetails

PATH = "/api/v1/openapi.json"
_TEXT = """The manager of MarchProxy: the desired state as revisions, what is running, and who may change it.

Every change is a revision: it is checked everywhere, then put in force everywhere or nowhere. Failures are
`application/problem+json`, with the path of each fault. Secrets are shown as `***`, and stay as they are when that is
sent back."""
_EXAMPLE = {
    "type": "urn:marchproxy:problem:unprocessable-entity",
    "title": "Unprocessable Entity",
    "status": 422,
    "detail": "path: must begin with a slash",
    "problems": [{"path": "path", "message": "must begin with a slash"}],
    "conflicts": [],
    "revision": None,
}
_REF = "#/components/responses/"
_CHANGES = {"post", "put", "patch", "delete"}
_FAULTS = (
    *(HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND),
    *(HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED),
    *(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    ),
    *(HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.BAD_GATEWAY),
    *(HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT),
)
_ONLY_CHANGES = {
    *(HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    *(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, HTTPStatus.BAD_GATEWAY),
}
_OPEN = ("/healthz", "/readyz", PATH)


def describe(app: FastAPI) -> None:
    """Serve the document, which is made at the first question."""
    made: list[bytes] = []

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    async def document() -> Response:
        """This document."""
        if not made:
            made.append(to_json(openapi()))
        return Response(made[0], media_type=JSON)

    app.openapi = openapi  # type: ignore[method-assign]
    app.add_api_route(PATH, document, methods=["GET"], include_in_schema=False)


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title="MarchProxy", version=__version__, description=_TEXT, routes=app.routes, openapi_version="3.1.0"
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    details = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(details.pop("$defs", {}))
    schemas["ProblemDetails"] = {**details, "examples": [_EXAMPLE]}
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["responses"] = {_name(status): _fault(status) for status in _FAULTS}
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "an API key, `mp_…`"},
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": "mp_session",
            "description": f"a session; changes also take its token as {CSRF_HEADER}",
        },
    }
    for path, method, operation in _operations(document):
        _complete(path, method, operation)
    _without_nulls(schemas)
    return document


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield path, method, operation


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    tag = next(iter(operation.get("tags", ())), "")
    operation["operationId"] = f"{tag}_{operation['operationId'].partition('_api_v1')[0]}".replace("-", "_")
    if path in _OPEN:
        return
    signs_in = (method, path) == ("post", "/api/v1/session")
    operation["security"] = [] if signs_in else [{"key": []}, {"session": []}]
    responses = operation["responses"]
    for status, response in responses.items():
        if status.startswith("2"):
            response["headers"] = _headers(method)
    if method == "get":
        responses["304"] = {"description": "what the caller has is current (`If-None-Match`)"}
    for status in _FAULTS:
        if method in _CHANGES or status not in _ONLY_CHANGES:
            responses[str(int(status))] = {"$ref": _REF + _name(status)}


def _headers(method: str) -> dict[str, Any]:
    told = {REVISION: ("the revision in force, where there is one to tell", "integer")}
    if method != "delete":
        told["ETag"] = ("of what is answered, or of the item that was changed", "string")
    return {
        name: {"description": text, "schema": {"type": kind}, "required": False}
        for name, (text, kind) in told.items()
    }


def _fault(status: HTTPStatus) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    return {"description": status.phrase, "content": {MEDIA_TYPE: {"schema": schema}}}


def _name(status: HTTPStatus) -> str:
    return status.phrase.replace(" ", "").replace("-", "")


def _without_nulls(value: Any) -> None:
    """Defaults say which of several keys is given; the others, which are null, cannot be written."""
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _without_nulls(one)
    if isinstance(value, dict) and isinstance(value.get("default"), dict):
        value["default"] = {key: one for key, one in value["default"].items() if one is not None}
