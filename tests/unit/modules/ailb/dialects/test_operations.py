"""Which operation a path asks for."""

import pytest

from marchproxy.model.ai import Dialect
from marchproxy.modules.ailb.dialects.failure import Failure, Reason
from marchproxy.modules.ailb.dialects.operations import Call, Operation, call_of, dialect_of


@pytest.mark.parametrize(
    ("method", "path", "anthropic", "call"),
    [
        ("POST", "/v1/chat/completions", False, Call(Operation.CHAT)),
        ("POST", "/v1/completions", False, Call(Operation.COMPLETIONS)),
        ("POST", "/v1/embeddings", False, Call(Operation.EMBEDDINGS)),
        ("POST", "/v1/responses", False, Call(Operation.RESPONSES)),
        ("POST", "/v1/messages?beta=true", True, Call(Operation.MESSAGES)),
        ("POST", "/v1/messages", False, Call(Operation.MESSAGES)),
        ("POST", "/v1/messages/count_tokens", True, Call(Operation.COUNT_TOKENS)),
        ("GET", "/v1/models", False, Call(Operation.OPENAI_MODELS)),
        ("GET", "/v1/models?limit=20", True, Call(Operation.ANTHROPIC_MODELS)),
        ("GET", "/v1/models/gpt-4o", False, Call(Operation.OPENAI_MODEL, "gpt-4o")),
        ("GET", "/v1/models/meta%2Fllama", False, Call(Operation.OPENAI_MODEL, "meta/llama")),
        ("GET", "/v1/models/meta/llama", True, Call(Operation.ANTHROPIC_MODEL, "meta/llama")),
    ],
)
def test_operations_are_known_by_method_and_path(method, path, anthropic, call):
    assert call_of(method, path, anthropic=anthropic) == call


@pytest.mark.parametrize(
    ("method", "path", "reason"),
    [
        ("GET", "/v1/chat/completions", Reason.WRONG_METHOD),
        ("POST", "/v1/models", Reason.WRONG_METHOD),
        ("DELETE", "/v1/models/a", Reason.WRONG_METHOD),
        ("POST", "/v1/images/generations", Reason.NO_SUCH_PATH),
        ("POST", "/chat/completions", Reason.NO_SUCH_PATH),
        ("GET", "/v1/responses/resp_1", Reason.NO_SUCH_PATH),
        ("GET", "/v1/modelsx", Reason.NO_SUCH_PATH),
        ("GET", "", Reason.NO_SUCH_PATH),
    ],
)
def test_what_is_not_served_is_a_failure(method, path, reason):
    found = call_of(method, path)
    assert isinstance(found, Failure)
    assert found.reason is reason


def test_each_operation_is_of_one_dialect():
    assert {operation for operation in Operation if operation.dialect is Dialect.ANTHROPIC} == {
        Operation.MESSAGES,
        Operation.COUNT_TOKENS,
        Operation.ANTHROPIC_MODELS,
        Operation.ANTHROPIC_MODEL,
    }
    assert Operation.CHAT.path == "/chat/completions"
    assert Operation.OPENAI_MODELS.path == ""
    assert not Operation.EMBEDDINGS.generates


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/v1/messages", Dialect.ANTHROPIC),
        ("/v1/messages/count_tokens?beta=true", Dialect.ANTHROPIC),
        ("/v1/chat/completions", Dialect.OPENAI),
        ("/v1/models", None),
        ("/v1/messages/batches", None),
    ],
)
def test_whose_path_it_is(path: str, dialect: Dialect | None) -> None:
    assert dialect_of(path) is dialect
