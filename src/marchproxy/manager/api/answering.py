"""Answers: values as JSON, and whole representations that are sent only when the caller does not have them yet."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import Request
from starlette.responses import Response

from marchproxy.manager.api.etags import names

JSON = "application/json"
YAML = "application/yaml"
#: The header that says which revision was in force, or is after a change.
REVISION = "Marchproxy-Revision"


def to_json(value: Any) -> bytes:
    """Values of the model, dataclasses and what Python has for JSON; what is neither is written as text."""
    return orjson.dumps(value, default=_plain)


def answer(
    value: Any, *, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    """A value as JSON."""
    return Response(to_json(value), status, headers, JSON)


def conditional(
    request: Request, body: bytes, tag: str, *, headers: Mapping[str, str] | None = None, media: str = JSON
) -> Response:
    """The body with its tag; 304 without it when the caller has that (`If-None-Match`)."""
    headers = {**(headers or {}), "ETag": tag, "Cache-Control": "private, no-cache"}
    if is_known(request, tag):
        return Response(None, HTTPStatus.NOT_MODIFIED, headers)
    return Response(body, HTTPStatus.OK, headers, media)


def is_known(request: Request, tag: str) -> bool:
    """Whether the caller has what has this tag."""
    known = request.headers.get("if-none-match")
    return known is not None and names(known, tag)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)
