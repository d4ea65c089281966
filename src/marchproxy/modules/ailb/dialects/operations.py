"""What is asked for, by method and path: the operations of both APIs that the gateway serves.

https://platform.openai.com/docs/api-reference, https://docs.anthropic.com/en/api
"""

from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from urllib.parse import unquote

from marchproxy.model.ai import Dialect
from marchproxy.modules.ailb.dialects.failure import Failure, Reason

_VERSION = "/v1"


class Operation(Enum):
    """One operation of one API. The value is its name in logs and metrics."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    RESPONSES = "responses"
    OPENAI_MODELS = "models"
    OPENAI_MODEL = "model"
    MESSAGES = "messages"
    COUNT_TOKENS = "count_tokens"
    ANTHROPIC_MODELS = "anthropic_models"
    ANTHROPIC_MODEL = "anthropic_model"

    #: Each is there once. Enum hashes names, in Python, and requests look up a dozen.
    __hash__ = object.__hash__

    @cached_property
    def dialect(self) -> Dialect:
        """Whose API it is of."""
        return Dialect.ANTHROPIC if self in _OF_ANTHROPIC else Dialect.OPENAI

    @cached_property
    def path(self) -> str:
        """Its path behind `/v1` (or a pool's `base_path`); lists of models are never asked of a provider: empty."""
        return _PATHS.get(self, "")

    @cached_property
    def conventional(self) -> str:
        """Its name in OpenTelemetry's conventions (gen_ai.operation.name); those that they do not know keep theirs."""
        return _CONVENTIONAL.get(self, self.value)

    @cached_property
    def generates(self) -> bool:
        """Whether its answer is written by a model, token by token."""
        return self in _GENERATING


_OF_ANTHROPIC = frozenset(
    {
        Operation.MESSAGES,
        Operation.COUNT_TOKENS,
        Operation.ANTHROPIC_MODELS,
        Operation.ANTHROPIC_MODEL,
    }
)
_GENERATING = frozenset({Operation.CHAT, Operation.COMPLETIONS, Operation.RESPONSES, Operation.MESSAGES})
_CONVENTIONAL = {
    Operation.COMPLETIONS: "text_completion",
    Operation.RESPONSES: "chat",
    Operation.MESSAGES: "chat",
}
_PATHS = {
    Operation.CHAT: "/chat/completions",
    Operation.COMPLETIONS: "/completions",
    Operation.EMBEDDINGS: "/embeddings",
    Operation.RESPONSES: "/responses",
    Operation.MESSAGES: "/messages",
    Operation.COUNT_TOKENS: "/messages/count_tokens",
}
_BY_PATH = {_VERSION + path: operation for operation, path in _PATHS.items()}
_MODELS = _VERSION + "/models"


@dataclass(frozen=True, slots=True)
class Call:
    """An operation, and the model that its path names, where it does."""

    operation: Operation
    model: str = ""


_CALLS = {path: Call(operation) for path, operation in _BY_PATH.items()}


def call_of(method: str, path: str, *, anthropic: bool = False) -> Call | Failure:
    """What `path`, below the route's own, asks for. `anthropic`: the request has the header `anthropic-version`.

    Both APIs have their lists of models at the same path, and errors at a path of neither must be in somebody's words.
    """
    path = path.partition("?")[0]
    call = _CALLS.get(path)
    if call is not None:
        return call if method == "POST" else _wrong_method(method, path, "POST")
    name = "" if path == _MODELS else path.removeprefix(_MODELS + "/")
    if name == path:
        return Failure(Reason.NO_SUCH_PATH, f"nothing is served at {path[:200]}")
    if method not in {"GET", "HEAD"}:
        return _wrong_method(method, path, "GET")
    if not name:
        return Call(Operation.ANTHROPIC_MODELS if anthropic else Operation.OPENAI_MODELS)
    return Call(Operation.ANTHROPIC_MODEL if anthropic else Operation.OPENAI_MODEL, unquote(name))


def dialect_of(path: str) -> Dialect | None:
    """Whose API has this path, whatever the method; None: neither, or both."""
    operation = _BY_PATH.get(path.partition("?")[0])
    return operation.dialect if operation is not None else None


def _wrong_method(method: str, path: str, right: str) -> Failure:
    return Failure(Reason.WRONG_METHOD, f"{method[:20]} is not served at {path[:200]}, use {right}")
