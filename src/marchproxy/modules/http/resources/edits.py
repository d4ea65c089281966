"""Header edits as Envoy's: their values are literal text, and an empty one is a header without a value."""

from collections.abc import Iterator
from typing import Any

from envoy.config.core.v3 import base_pb2

from marchproxy.model.http import HeaderEdits

_Option = base_pb2.HeaderValueOption


def edit_headers(route: Any, request: HeaderEdits, response: HeaderEdits) -> None:
    """Give a route message its edits. Envoy removes first, as `HeaderEdits` says."""
    route.request_headers_to_remove.extend(request.remove)
    route.request_headers_to_add.extend(_options(request))
    route.response_headers_to_remove.extend(response.remove)
    route.response_headers_to_add.extend(_options(response))


def replaced_header(name: str, value: str) -> Any:
    """The header `name` with this value alone."""
    return _option(name, value, _Option.OVERWRITE_IF_EXISTS_OR_ADD)


def added_header(name: str, value: str) -> Any:
    """The header `name` with this value beside those that it has."""
    return _option(name, value, _Option.APPEND_IF_EXISTS_OR_ADD)


def _options(edits: HeaderEdits) -> Iterator[Any]:
    for name, value in edits.set:
        yield replaced_header(name, value)
    for name, value in edits.add:
        yield added_header(name, value)


def _option(name: str, value: str, action: int) -> Any:
    header = base_pb2.HeaderValue(key=name, value=value.replace("%", "%%"))
    return _Option(header=header, append_action=action, keep_empty_value=True)
