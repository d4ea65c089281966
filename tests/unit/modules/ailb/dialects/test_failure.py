"""Errors in each API's own shape, and providers' errors as they are read."""

import json

import pytest

from marchproxy.model.ai import Dialect
from marchproxy.modules.ailb.dialects.failure import Failure, Reason, failure_in, failure_of

OPENAI = {
    Reason.BAD_REQUEST: (400, "invalid_request_error", None),
    Reason.NO_KEY: (401, "invalid_request_error", "invalid_api_key"),
    Reason.BUDGET: (429, "insufficient_quota", "insufficient_quota"),
    Reason.NO_SUCH_MODEL: (404, "invalid_request_error", "model_not_found"),
    Reason.RATE: (429, "rate_limit_error", "rate_limit_exceeded"),
    Reason.OVERLOADED: (503, "server_error", "overloaded"),
}
ANTHROPIC = {
    Reason.BAD_REQUEST: (400, "invalid_request_error"),
    Reason.NO_KEY: (401, "authentication_error"),
    Reason.BUDGET: (402, "billing_error"),
    Reason.FORBIDDEN: (403, "permission_error"),
    Reason.NO_SUCH_MODEL: (404, "not_found_error"),
    Reason.TOO_LARGE: (413, "request_too_large"),
    Reason.RATE: (429, "rate_limit_error"),
    Reason.INTERNAL: (500, "api_error"),
    Reason.TIMEOUT: (504, "timeout_error"),
    Reason.OVERLOADED: (529, "overloaded_error"),
}


@pytest.mark.parametrize(("reason", "words"), OPENAI.items())
def test_openais_errors(reason, words):
    failure = Failure(reason, "why", "model")
    status, kind, code = words
    assert failure.status(Dialect.OPENAI) == status
    error = {"message": "why", "type": kind, "param": "model", "code": code}
    assert json.loads(failure.body(Dialect.OPENAI, request_id="r")) == {"error": error}


@pytest.mark.parametrize(("reason", "words"), ANTHROPIC.items())
def test_anthropics_errors(reason, words):
    failure = Failure(reason, "why", "model")
    assert failure.status(Dialect.ANTHROPIC) == words[0]
    assert json.loads(failure.body(Dialect.ANTHROPIC, request_id="req_1")) == {
        "type": "error",
        "error": {"type": words[1], "message": "model: why"},
        "request_id": "req_1",
    }


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("dialect", Dialect)
def test_every_reason_has_words(reason, dialect):
    failure = Failure(reason, "why")
    assert 400 <= failure.status(dialect) < 600
    assert failure.events(dialect)


def test_streams_end_with_an_error_of_their_own():
    failure = Failure(Reason.TIMEOUT, "the engine is silent")
    error, done = failure.events(Dialect.OPENAI)
    assert (json.loads(error.data)["error"]["code"], done.data) == ("timeout", b"[DONE]")
    (event,) = failure.events(Dialect.ANTHROPIC)
    assert (event.event, json.loads(event.data)["error"]["type"]) == (b"error", "timeout_error")
    (event,) = failure.events(Dialect.OPENAI, responses=7)
    assert event.event == b"error"
    assert json.loads(event.data) == {
        "type": "error",
        "code": "timeout",
        "message": "the engine is silent",
        "param": None,
        "sequence_number": 7,
    }


@pytest.mark.parametrize(
    ("status", "body", "failure"),
    [
        (
            401,
            {"error": {"message": "bad", "type": "invalid_request_error", "param": None, "code": "invalid_api_key"}},
            Failure(Reason.NO_KEY, "bad", None, "invalid_api_key"),
        ),
        (429, {"error": {"message": "q", "type": "insufficient_quota"}}, Failure(Reason.BUDGET, "q")),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "o"}}, Failure(Reason.OVERLOADED, "o")),
        (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "b"}}, Failure(Reason.BAD_REQUEST, "b")),
        (500, {"error": {"type": "overloaded_error", "message": "o"}}, Failure(Reason.OVERLOADED, "o")),
        (404, {"error": "model 'x' not found"}, Failure(Reason.NO_SUCH_MODEL, "model 'x' not found")),
        (400, {"object": "error", "message": "too long", "type": "BadRequestError", "code": 400}, Failure(Reason.BAD_REQUEST, "too long")),
        (404, {"detail": "Not Found"}, Failure(Reason.NO_SUCH_MODEL, "Not Found")),
        (422, {"detail": [{"msg": "m"}]}, Failure(Reason.BAD_REQUEST, '[{"msg":"m"}]')),
        (422, {"detail": []}, Failure(Reason.BAD_REQUEST, "the provider answered with status 422")),
        (503, None, Failure(Reason.OVERLOADED, "the provider answered with status 503")),
        (418, {"error": {}}, Failure(Reason.BAD_REQUEST, "the provider answered with status 418")),
        (418, {"error": {"code": 5}}, Failure(Reason.BAD_REQUEST, "the provider says no more")),
        (500, {"error": {"type": ["x"], "message": 5}}, Failure(Reason.INTERNAL, "the provider says no more")),
    ],
)  # fmt: skip
def test_providers_errors_are_read(status, body, failure):
    assert failure_of(status, json.dumps(body).encode()) == failure


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"choices": []},
        {"error": None},
        {"error": ""},
        {"error": {}, "choices": []},
        {"type": "message_start", "message": {}},
    ],
)
def test_other_documents_are_no_errors(document):
    assert failure_in(document) is None


def test_a_page_of_html_is_an_error_too():
    assert failure_of(502, b"<html>") == Failure(Reason.BAD_ANSWER, "the provider answered with status 502")
