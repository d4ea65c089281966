"""What went wrong, in each API's own words: status, type and code, as a whole answer or as the last event of a stream.

https://platform.openai.com/docs/guides/error-codes, https://docs.anthropic.com/en/api/errors
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from marchproxy.model.ai import Dialect
from marchproxy.modules.ailb.dialects.body import BadJson, dump, load
from marchproxy.wire.sse import Event


class Reason(Enum):
    """Why a request is not answered as it was meant to be."""

    BAD_REQUEST = "bad request"
    NO_KEY = "no key, or none that is known"
    BUDGET = "the budget is used up"
    FORBIDDEN = "the key may not do this"
    GUARDED = "a guardrail refuses it"
    NO_SUCH_MODEL = "no such model"
    NO_SUCH_PATH = "no such path"
    WRONG_METHOD = "wrong method"
    TOO_LARGE = "too large"
    RATE = "too many requests or tokens"
    INTERNAL = "a fault of the gateway or of the provider"
    BAD_ANSWER = "an answer that is none"
    OVERLOADED = "overloaded"
    TIMEOUT = "no answer in time"


@dataclass(frozen=True, slots=True)
class _Words:
    status: int
    type: str
    code: str | None = None


_BAD = "invalid_request_error"
_OPENAI = {
    Reason.BAD_REQUEST: _Words(400, _BAD),
    Reason.NO_KEY: _Words(401, _BAD, "invalid_api_key"),
    Reason.BUDGET: _Words(429, "insufficient_quota", "insufficient_quota"),
    Reason.FORBIDDEN: _Words(403, _BAD, "permission_denied"),
    Reason.GUARDED: _Words(400, _BAD, "content_filter"),  # as Azure has it
    Reason.NO_SUCH_MODEL: _Words(404, _BAD, "model_not_found"),
    Reason.NO_SUCH_PATH: _Words(404, _BAD, "unknown_url"),
    Reason.WRONG_METHOD: _Words(405, _BAD, "method_not_supported"),
    Reason.TOO_LARGE: _Words(413, _BAD, "request_too_large"),
    Reason.RATE: _Words(429, "rate_limit_error", "rate_limit_exceeded"),
    Reason.INTERNAL: _Words(500, "server_error"),
    Reason.BAD_ANSWER: _Words(502, "server_error", "bad_gateway"),
    Reason.OVERLOADED: _Words(503, "server_error", "overloaded"),
    Reason.TIMEOUT: _Words(504, "server_error", "timeout"),
}
#: 429 for a budget, as OpenAI has it, would make clients try again; 402 is what Anthropic says.
_ANTHROPIC = {
    Reason.BAD_REQUEST: _Words(400, _BAD),
    Reason.NO_KEY: _Words(401, "authentication_error"),
    Reason.BUDGET: _Words(402, "billing_error"),
    Reason.FORBIDDEN: _Words(403, "permission_error"),
    Reason.GUARDED: _Words(400, _BAD),
    Reason.NO_SUCH_MODEL: _Words(404, "not_found_error"),
    Reason.NO_SUCH_PATH: _Words(404, "not_found_error"),
    Reason.WRONG_METHOD: _Words(405, _BAD),
    Reason.TOO_LARGE: _Words(413, "request_too_large"),
    Reason.RATE: _Words(429, "rate_limit_error"),
    Reason.INTERNAL: _Words(500, "api_error"),
    Reason.BAD_ANSWER: _Words(502, "api_error"),
    Reason.OVERLOADED: _Words(529, "overloaded_error"),
    Reason.TIMEOUT: _Words(504, "timeout_error"),
}
_WORDS = {Dialect.OPENAI: _OPENAI, Dialect.ANTHROPIC: _ANTHROPIC}
#: What a provider's status means where its type says no more.
_BY_STATUS = {
    401: Reason.NO_KEY,
    402: Reason.BUDGET,
    403: Reason.FORBIDDEN,
    404: Reason.NO_SUCH_MODEL,
    405: Reason.WRONG_METHOD,
    408: Reason.TIMEOUT,
    413: Reason.TOO_LARGE,
    429: Reason.RATE,
    502: Reason.BAD_ANSWER,
    503: Reason.OVERLOADED,
    504: Reason.TIMEOUT,
    529: Reason.OVERLOADED,
}
_BY_TYPE = {
    "insufficient_quota": Reason.BUDGET,
    **{
        words.type: reason
        for reason, words in _ANTHROPIC.items()
        if words.type not in {_BAD, "not_found_error"}
    },
    "api_error": Reason.INTERNAL,
    "server_error": Reason.INTERNAL,
    "not_found_error": Reason.NO_SUCH_MODEL,
    _BAD: Reason.BAD_REQUEST,
}
_LONGEST_MESSAGE = 4000


@dataclass(frozen=True, slots=True)
class Failure:
    """`message` is for people, `param` the field of the request that is to blame, `code` a better one than the reason's."""

    reason: Reason
    message: str
    param: str | None = None
    code: str | None = None

    def status(self, dialect: Dialect) -> int:
        """The HTTP status that the API gives it."""
        return _WORDS[dialect][self.reason].status

    def body(self, dialect: Dialect, *, request_id: str = "") -> bytes:
        """The body of the answer."""
        return dump(self._document(dialect, request_id))

    def events(self, dialect: Dialect, *, request_id: str = "", responses: int | None = None) -> list[Event]:
        """What ends a stream whose status was sent long ago.

        `responses`: the stream is one of OpenAI's responses, and this the number that its next event has. Others of
        OpenAI's end with `[DONE]` behind the error too, as vLLM has it.
        """
        document = self._document(dialect, request_id)
        if dialect is Dialect.ANTHROPIC:
            return [Event(dump(document), b"error")]
        if responses is None:
            return [Event(dump(document)), Event(b"[DONE]")]
        error = document["error"]
        flat = {
            "type": "error",
            "code": error["code"] or error["type"],
            "message": self.message,
            "param": self.param,
        }
        return [Event(dump(flat | {"sequence_number": responses}), b"error")]

    def _document(self, dialect: Dialect, request_id: str) -> dict[str, Any]:
        words = _WORDS[dialect][self.reason]
        if dialect is Dialect.OPENAI:
            code = self.code or words.code
            return {"error": {"message": self.message, "type": words.type, "param": self.param, "code": code}}
        message = f"{self.param}: {self.message}" if self.param else self.message  # as Anthropic names fields
        document: dict[str, Any] = {"type": "error", "error": {"type": words.type, "message": message}}
        return document | ({"request_id": request_id} if request_id else {})


def failure_of(status: int, body: bytes) -> Failure:
    """A provider's error, of either API or of somebody's own making, as a failure."""
    reason = _BY_STATUS.get(status, Reason.INTERNAL if status >= 500 else Reason.BAD_REQUEST)
    try:
        document = load(body)
        detail = _detail(document)
    except BadJson:
        document, detail = None, ""
    found = failure_in(document, reason)
    return found or Failure(reason, detail or f"the provider answered with status {status}")


def _detail(document: object) -> str:
    """FastAPI's, of which many engines are made: a text, or what is wrong with which fields."""
    detail = document.get("detail") if isinstance(document, dict) else None
    if detail and not isinstance(detail, str):
        detail = dump(detail).decode()
    return detail[:_LONGEST_MESSAGE] if detail else ""


def failure_in(document: object, reason: Reason | None = None) -> Failure | None:
    """The error that a document of a provider is; None: it is none. `reason`: what its status says it is."""
    if not isinstance(document, dict):
        return None
    error = document.get("error")
    if error and isinstance(error, str):  # Ollama
        error = {"message": error}
    elif not error or not isinstance(error, dict):
        if not isinstance(document.get("message"), str) or document.get("object") not in {"error", None}:
            return None
        error = document  # older vLLM
    kind, message, param, code = (error.get(name) for name in ("type", "message", "param", "code"))
    told = _BY_TYPE.get(kind) if isinstance(kind, str) else None
    if reason in {None, Reason.INTERNAL, Reason.BAD_REQUEST, Reason.RATE}:
        reason = told or reason
    return Failure(
        reason or Reason.INTERNAL,
        message[:_LONGEST_MESSAGE] if isinstance(message, str) and message else "the provider says no more",
        param if isinstance(param, str) else None,
        code if isinstance(code, str) else None,
    )
