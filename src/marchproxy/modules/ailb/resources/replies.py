"""Replies: what Envoy says by itself, in the words of the API that is spoken. What the decider and the routes say stays as it is.

https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_conn_man/local_reply
"""

from collections.abc import Iterator, Mapping
from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import base_pb2, substitution_format_string_pb2
from envoy.extensions.access_loggers.filters.cel.v3 import cel_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from google.protobuf import struct_pb2, wrappers_pb2

from marchproxy.engines.envoy.messages import pack
from marchproxy.modules.ailb import asking

_ENVOYS_OWN = "!(response.code_details in ['ext_authz_denied', 'direct_response'])"
# the words are those of `refusals`
_CREDENTIAL_REFUSED = f"'{asking.PROVIDER_STATUS}' in response.headers"
_ANTHROPIC = "(request.path.contains('/v1/messages') || 'anthropic-version' in request.headers)"
_MESSAGE = "%LOCAL_REPLY_BODY% (%RESPONSE_CODE_DETAILS%)"
# where Envoy has no words of its own, and the seconds after which to come back, where that may help
_WORDS = {
    "ext_authz_error": ("the gateway cannot decide at this moment: try again in 1 s", 1),
    "route_not_found": ("no route of the gateway takes this request", 0),
    "cluster_not_found": ("the gateway does not know this pool yet: try again in 1 s", 1),
}
_BAD = "invalid_request_error"
# of each: from which status, up to which, and the type and code of the error
_OPENAI = (
    (413, 413, _BAD, "request_too_large"),
    (400, 499, _BAD, None),
    (502, 502, "server_error", "bad_gateway"),
    (503, 503, "server_error", "overloaded"),
    (504, 504, "server_error", "timeout"),
    (500, 599, "server_error", None),
)
_OF_ANTHROPIC = (
    (401, 401, "authentication_error"),
    (403, 403, "permission_error"),
    (404, 404, "not_found_error"),
    (413, 413, "request_too_large"),
    (429, 429, "rate_limit_error"),
    (400, 499, _BAD),
    (503, 503, "overloaded_error"),
    (504, 504, "timeout_error"),
    (500, 599, "api_error"),
)


def local_replies() -> Any:
    """The errors of an Envoy; the first mapper that fits a reply shapes it."""
    return hcm_pb2.LocalReplyConfig(mappers=list(_mappers()))


def _mappers() -> Iterator[Any]:
    for status, veiled in asking.VEILED.items():
        condition = f"response.code == {veiled} && response.code_details == 'ext_authz_denied'"
        yield hcm_pb2.ResponseMapper(
            filter=_where(condition), status_code=wrappers_pb2.UInt32Value(value=status)
        )
    yield from _of_both(_CREDENTIAL_REFUSED, "%LOCAL_REPLY_BODY%")
    for details, (words, seconds) in _WORDS.items():
        for mapper in _of_both(f"response.code_details == '{details}'", words):
            if seconds:
                mapper.headers_to_add.add().header.CopyFrom(
                    base_pb2.HeaderValue(key="retry-after", value=str(seconds))
                )
            yield mapper
    yield from _of_both(_ENVOYS_OWN, _MESSAGE)


def _of_both(condition: str, message: str) -> Iterator[Any]:
    for first, last, kind in _OF_ANTHROPIC:
        expression = f"{_of(first, last)} && {condition} && {_ANTHROPIC}"
        yield _mapper(expression, {"type": "error", "error": {"type": kind, "message": message}})
    for first, last, kind, code in _OPENAI:
        error = {"message": message, "type": kind, "param": None, "code": code}
        yield _mapper(f"{_of(first, last)} && {condition}", {"error": error})


def _of(first: int, last: int) -> str:
    return f"response.code >= {first} && response.code <= {last}"


def _mapper(expression: str, document: Mapping[str, Any]) -> Any:
    shape = struct_pb2.Struct()
    shape.update(document)
    return hcm_pb2.ResponseMapper(
        filter=_where(expression),
        body_format_override=substitution_format_string_pb2.SubstitutionFormatString(json_format=shape),
    )


def _where(expression: str) -> Any:
    wanted = accesslog_pb2.ExtensionFilter(
        name="cel", typed_config=pack(cel_pb2.ExpressionFilter(expression=expression))
    )
    return accesslog_pb2.AccessLogFilter(extension_filter=wanted)
