"""The official clients judge: they read what is answered, and their types say what may be asked."""

import json
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from anthropic.types import message_create_params
from openai.types.chat import completion_create_params
from pydantic import TypeAdapter

from marchproxy.model.ai import Dialect
from marchproxy.modules.ailb.dialects import listing
from marchproxy.modules.ailb.dialects.failure import Failure, Reason
from marchproxy.wire.sse import write
from tests.unit.modules.ailb.translate.rig import CASES, Case

CHAT = [{"role": "user", "content": "hi"}]


def transport(data: bytes, *, status: int = 200) -> httpx2.Client:
    kind = "application/json" if data.startswith(b"{") else "text/event-stream"
    return httpx2.Client(
        transport=httpx2.MockTransport(
            lambda request: httpx2.Response(status, headers={"content-type": kind}, content=data)
        )
    )


def openai_client(data: bytes, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(
        api_key="k", base_url="http://test/v1", max_retries=0, http_client=transport(data, **options)
    )


def anthropic_client(data: bytes, **options: Any) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        api_key="k", base_url="http://test", max_retries=0, http_client=transport(data, **options)
    )


def meaning_for_openai(case: Case) -> dict[str, Any]:
    body = {name: value for name, value in case.body.items() if name != "stream"}
    completions = openai_client(case.answered()).chat.completions
    if case.streamed:
        with completions.stream(**body) as stream:
            completion = stream.get_final_completion()
    else:
        completion = completions.create(**body)
    choice, usage = completion.choices[0], completion.usage
    calls = [
        [call.function.name, json.loads(call.function.arguments)] for call in choice.message.tool_calls or ()
    ]
    found = {
        "text": choice.message.content or None,
        "calls": calls,
        "finish": choice.finish_reason,
        "usage": usage
        and [usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens_details.cached_tokens],
    }
    thoughts = getattr(choice.message, "reasoning_content", None)
    return found | ({"thoughts": thoughts} if thoughts else {})


def meaning_for_anthropic(case: Case) -> dict[str, Any]:
    body = {
        name: value for name, value in case.body.items() if name not in {"stream", "temperature", "top_k"}
    }
    messages = anthropic_client(case.answered()).messages
    if case.streamed:
        with messages.stream(**body) as stream:
            message = stream.get_final_message()
    else:
        message = messages.create(**body)
    blocks = {"text": "", "thinking": ""}
    calls = []
    for block in message.content:
        if block.type == "tool_use":
            calls.append([block.name, block.input])
        else:
            blocks[block.type] += getattr(block, block.type)
    usage = message.usage
    read = usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens
    found = {
        "text": blocks["text"] or None,
        "calls": calls,
        "finish": message.stop_reason,
        "usage": [read, usage.output_tokens, usage.cache_read_input_tokens],
    }
    return found | ({"thoughts": blocks["thinking"]} if blocks["thinking"] else {})


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_the_clients_understand_what_the_provider_meant(path):
    case = Case.at(path)
    read = meaning_for_openai if case.operation.dialect is Dialect.OPENAI else meaning_for_anthropic
    assert read(case) == case.means


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_the_provider_is_asked_as_its_own_client_would_ask(path):
    case = Case.at(path)
    sent = json.loads(case.sent().body)
    if case.provider.dialect is Dialect.ANTHROPIC:
        kinds = (
            message_create_params.MessageCreateParamsNonStreaming,
            message_create_params.MessageCreateParamsStreaming,
        )
    else:
        kinds = (
            completion_create_params.CompletionCreateParamsNonStreaming,
            completion_create_params.CompletionCreateParamsStreaming,
        )
    adapter = TypeAdapter(kinds[case.streamed])  # which must outlive what it reads lazily
    read = whole(adapter.validate_python(sent))
    beyond = {"temperature", "top_p", "top_k"}  # older models of Anthropic's take them, and engines the last
    assert read == {name: value for name, value in sent.items() if name in read or name not in beyond}


def whole(value: Any) -> Any:
    """Pydantic reads what may be any iterable as it is asked for."""
    if isinstance(value, dict):
        return {name: whole(item) for name, item in value.items()}
    return value if isinstance(value, str | int | float | None) else [whole(item) for item in value]


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        (Reason.BAD_REQUEST, "BadRequestError"),
        (Reason.NO_KEY, "AuthenticationError"),
        (Reason.FORBIDDEN, "PermissionDeniedError"),
        (Reason.NO_SUCH_MODEL, "NotFoundError"),
        (Reason.RATE, "RateLimitError"),
        (Reason.OVERLOADED, "InternalServerError"),
    ],
)
def test_errors_are_those_of_the_clients(reason, error):
    failure = Failure(reason, "why", "model")
    data, status = failure.body(Dialect.OPENAI), failure.status(Dialect.OPENAI)
    with pytest.raises(getattr(openai, error)) as found:
        openai_client(data, status=status).chat.completions.create(model="m", messages=CHAT)
    assert found.value.param == "model"
    assert found.value.body["message"] == "why"
    data, status = failure.body(Dialect.ANTHROPIC), failure.status(Dialect.ANTHROPIC)
    with pytest.raises(anthropic.APIStatusError) as other:
        anthropic_client(data, status=status).messages.create(model="m", messages=CHAT, max_tokens=1)
    assert other.value.status_code == status
    assert other.value.body["error"]["message"] == "model: why"


def test_an_error_in_a_stream_ends_it_for_the_clients():
    failure = Failure(Reason.OVERLOADED, "the engine is gone")
    chunk = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'
    data = chunk + b"".join(map(write, failure.events(Dialect.OPENAI)))
    stream = openai_client(data).chat.completions.create(model="m", messages=CHAT, stream=True)
    assert next(stream).choices[0].delta.content == "a"
    with pytest.raises(openai.APIError, match="the engine is gone"):
        next(stream)
    ping = b'event: ping\ndata: {"type":"ping"}\n\n'
    data = ping + b"".join(map(write, failure.events(Dialect.ANTHROPIC)))
    messages = anthropic_client(data).messages
    with pytest.raises(anthropic.APIStatusError, match="the engine is gone"):
        list(messages.create(model="m", messages=CHAT, max_tokens=1, stream=True))
    data = b"".join(map(write, failure.events(Dialect.OPENAI, responses=3)))
    (event,) = openai_client(data).responses.create(model="m", input="hi", stream=True)
    assert (event.type, event.message, event.sequence_number) == ("error", "the engine is gone", 3)


def test_the_clients_list_models():
    data = listing.models(Dialect.OPENAI, ["a", "b"], created=5)
    assert [model.id for model in openai_client(data).models.list()] == ["a", "b"]
    data = listing.model(Dialect.OPENAI, "a", created=5)
    assert openai_client(data).models.retrieve("a").created == 5
    data = listing.models(Dialect.ANTHROPIC, ["a", "b"], created=5)
    models = list(anthropic_client(data).models.list())
    assert [model.id for model in models] == ["a", "b"]
    assert models[0].created_at.timestamp() == 5
