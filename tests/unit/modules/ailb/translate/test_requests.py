"""Requests in the other API's words: what is carried, what is refused, and what survives there and back."""

import json
from typing import Any

import pytest

from marchproxy.model.ai import Provider
from marchproxy.modules.ailb.dialects.asked import read
from marchproxy.modules.ailb.dialects.failure import Failure, Reason
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.translate.exchange import Exchange, Request, is_needed
from tests.unit.modules.ailb.translate.rig import ask, exchange

USER = {"role": "user", "content": "hi"}
CHAT = {"model": "m", "messages": [USER]}
MESSAGES = {"model": "m", "max_tokens": 9, "messages": [USER]}
TOOLS = {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]}
OWN = {"tools": [{"name": "f", "input_schema": {"type": "object"}}]}


def to_anthropic(members: dict[str, Any]) -> Request | Failure:
    return exchange(Operation.CHAT, Provider.ANTHROPIC, CHAT | members).request(model="c", default_output=77)


def to_openai(members: dict[str, Any], provider: Provider = Provider.OPENAI) -> Request | Failure:
    return exchange(Operation.MESSAGES, provider, MESSAGES | members).request(model="g", default_output=77)


def test_a_request_is_put_in_other_words_only_where_it_must_be():
    assert is_needed(Operation.CHAT, Provider.ANTHROPIC)
    assert is_needed(Operation.MESSAGES, Provider.VLLM)
    assert not is_needed(Operation.MESSAGES, Provider.ANTHROPIC)
    assert not is_needed(Operation.EMBEDDINGS, Provider.OLLAMA)


@pytest.mark.parametrize(
    ("members", "sent"),
    [
        ({}, {"max_tokens": 77}),
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"max_tokens": 5, "max_completion_tokens": 6}, {"max_tokens": 6}),
        ({"temperature": 0, "top_p": None, "stop": "a"}, {"temperature": 0, "stop_sequences": ["a"]}),
        ({"stop": ["a", "b"], "stop_sequences": None}, {"stop_sequences": ["a", "b"]}),
        ({"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
        ({"response_format": {"type": "text"}}, {}),
        ({"stream": True, "stream_options": {"include_usage": False}}, {"stream": True}),
        ({"stream": False, "store": False, "frequency_penalty": 0.0, "functions": []}, {}),
        ({**TOOLS, "tool_choice": "none"}, {"tool_choice": {"type": "none"}}),
        ({**TOOLS, "tool_choice": "none", "parallel_tool_calls": False}, {"tool_choice": {"type": "none"}}),
        ({**TOOLS, "parallel_tool_calls": True}, {}),
        ({**TOOLS, "parallel_tool_calls": False}, {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}),
        ({"tools": [], "tool_choice": "auto", "parallel_tool_calls": False}, {}),
        ({"service_tier": "auto"}, {"service_tier": "auto"}),
    ],
)  # fmt: skip
def test_chat_members_as_anthropics(members, sent):
    request = to_anthropic(members)
    assert isinstance(request, Request), request
    body = json.loads(request.body)
    plain = {
        "model": "c",
        "max_tokens": 77,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    }
    body.pop("tools", None)
    assert body == plain | sent
    assert (request.operation, request.notes) == (Operation.MESSAGES, ())


def said(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"messages": list(messages)}


def with_part(part: dict[str, Any]) -> dict[str, Any]:
    return said({"role": "user", "content": [part]})


@pytest.mark.parametrize(
    ("members", "param", "why"),
    [
        ({"n": 2}, "n", "one answer"),
        ({"logprobs": True}, "logprobs", "no probabilities"),
        ({"top_logprobs": 3}, "top_logprobs", "no probabilities"),
        ({"logit_bias": {"1": 2}}, "logit_bias", "weights"),
        ({"frequency_penalty": 0.5}, "frequency_penalty", "penalties"),
        ({"seed": 1}, "seed", "repeated"),
        ({"modalities": ["audio"]}, "modalities", "text"),
        ({"functions": [{"name": "f"}]}, "functions", "use tools"),
        ({"store": True}, "store", "stored"),
        ({"temperature": 1.5}, "temperature", "from 0 to 1"),
        ({"stop": ["a", "\n"]}, "stop", "nothing but spaces"),
        ({"reasoning_effort": "minimal"}, "reasoning_effort", "low"),
        ({"service_tier": "flex"}, "service_tier", "auto or default"),
        ({"response_format": {"type": "json_object"}}, "response_format.type", "give a json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}}, "response_format.json_schema.schema", "Missing"),
        ({"tool_choice": "required"}, "tool_choice", "no tools"),
        ({**TOOLS, "tool_choice": "maybe"}, "tool_choice", "'maybe' is no choice"),
        ({**TOOLS, "tool_choice": {"type": "allowed_tools"}}, "tool_choice.type", "one tool is chosen"),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools[0].type", "functions"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": "x"}}]}, "tools[0].function.parameters", "an object, but got a string"),
        ({"min_p": 0.1}, "min_p", "no counterpart"),
        ({"temperature": "hot"}, "temperature", "a number, but got a string"),
        ({"stop": [1]}, "stop[0]", "a string, but got an integer"),
        (said({"role": "system", "content": "x"}), "messages", "besides instructions"),
        (said(USER, {"role": "assistant", "content": "well"}), "messages[1].role", "would be continued"),
        (said({"role": "function", "name": "f", "content": "x"}), "messages[0].role", "'function' is no role"),
        (said({"role": "user", "content": "x", "odd": 1}), "messages[0].odd", "no counterpart"),
        (with_part({"type": "input_audio", "input_audio": {}}), "messages[0].content[0].type", "'input_audio'"),
        (with_part({"type": "text", "text": "a", "odd": 1}), "messages[0].content[0].odd", "no counterpart"),
        (with_part({"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AA"}}), "messages[0].content[0].image_url.url", "not image/tiff"),
        (with_part({"type": "image_url", "image_url": {"url": "data:AA"}}), "messages[0].content[0].image_url.url", "data:image/png;base64"),
        (with_part({"type": "image_url", "image_url": "http://a"}), "messages[0].content[0].image_url", "an object, but got a string"),
        (with_part({"type": "file", "file": {"file_id": "file-1"}}), "messages[0].content[0].file.file_id", "send its contents"),
        (with_part({"type": "file", "file": {"file_data": "data:text/csv;base64,AA"}}), "messages[0].content[0].file.file_data", "not text/csv"),
        (said({"role": "assistant", "tool_calls": [{"id": "a", "type": "custom"}]}, USER), "messages[0].tool_calls[0].type", "functions"),
        (said({"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "[1]"}}]}, USER), "messages[0].tool_calls[0].function.arguments", "must be an object"),
        (said({"role": "assistant", "function_call": {"name": "f"}}, USER), "messages[0].function_call", "use tool_calls"),
        (said({"role": "tool", "content": "x"}), "messages[0].tool_call_id", "Missing"),
        (said({"role": "user", "content": []}, USER), "messages[0].content", "Missing"),
        (said({"role": "system"}, USER), "messages[0].content", "Missing"),
    ],
)  # fmt: skip
def test_what_anthropic_cannot_be_told_is_refused_by_name(members, param, why):
    failure = to_anthropic(members)
    assert isinstance(failure, Failure), failure
    assert (failure.reason, failure.param) == (Reason.BAD_REQUEST, param)
    assert why in failure.message


def test_what_an_assistant_has_refused_is_what_it_said():
    said_before = said({"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}, USER)
    request = to_anthropic(said_before)
    assert isinstance(request, Request)
    assert json.loads(request.body)["messages"][0]["content"] == [{"type": "text", "text": "No."}]


def test_a_turn_of_nothing_is_left_out():
    request = to_anthropic(said(USER, {"role": "assistant", "content": ""}, USER))
    assert isinstance(request, Request)
    assert len(json.loads(request.body)["messages"][0]["content"]) == 2
    assert request.left_out == "messages[1].content"


def test_what_an_assistant_has_said_is_carried_as_it_is():
    request = to_openai(said({"role": "assistant", "content": "Well."}, USER))
    assert isinstance(request, Request)
    assert json.loads(request.body)["messages"] == [{"role": "assistant", "content": "Well."}, USER]


@pytest.mark.parametrize(
    ("members", "provider", "sent"),
    [
        ({}, Provider.OPENAI, {"max_completion_tokens": 9}),
        ({}, Provider.COMPATIBLE, {"max_tokens": 9}),
        ({"top_k": 4}, Provider.SGLANG, {"max_tokens": 9, "top_k": 4}),
        ({"stop_sequences": list("abcde")}, Provider.VLLM, {"max_tokens": 9, "stop": list("abcde")}),
        ({"thinking": {"type": "disabled"}}, Provider.OPENAI, {"max_completion_tokens": 9}),
        ({"stream": True}, Provider.OLLAMA, {"max_tokens": 9, "stream": True, "stream_options": {"include_usage": True}}),
        ({**OWN, "tool_choice": {"type": "auto"}}, Provider.VLLM, {"max_tokens": 9, **TOOLS, "tool_choice": "auto"}),
        ({**OWN, "tool_choice": {"type": "none"}}, Provider.VLLM, {"max_tokens": 9, **TOOLS, "tool_choice": "none"}),
        ({"metadata": {"user_id": None}, "mcp_servers": []}, Provider.OLLAMA, {"max_tokens": 9}),
    ],
)  # fmt: skip
def test_message_members_as_openais(members, provider, sent):
    request = to_openai(members, provider)
    assert isinstance(request, Request), request
    assert json.loads(request.body) == {"model": "g", "messages": [USER]} | sent
    assert (request.operation, request.notes) == (Operation.CHAT, ())


@pytest.mark.parametrize(
    ("members", "param", "why"),
    [
        ({"top_k": 4}, "top_k", "only top_p"),
        ({"stop_sequences": list("abcde")}, "stop_sequences", "at most 4"),
        ({"container": "c"}, "container", "nothing is run"),
        ({"mcp_servers": [{}]}, "mcp_servers", "not asked"),
        ({"service_tier": "batch"}, "service_tier", "standard_only"),
        ({"speed": "fast"}, "speed", "cannot be chosen"),
        ({"odd": 1}, "odd", "no counterpart"),
        ({"metadata": {"user_id": "u", "odd": 1}}, "metadata.odd", "no counterpart"),
        ({"output_config": {"format": {"type": "grammar"}}}, "output_config.format.type", "give a json_schema"),
        ({"output_config": {"odd": 1}}, "output_config.odd", "no counterpart"),
        ({"tool_choice": {"type": "maybe"}}, "tool_choice.type", "'maybe' is no choice"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type", "that the provider runs"),
        ({"tools": [{"name": "f", "input_schema": {}, "defer_loading": True}]}, "tools[0].defer_loading", "from the beginning"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema", "Field required"),
        ({"system": 5}, "system", "valid list"),
        ({"system": [{"type": "image"}]}, "system[0].type", "only text"),
        (said(USER, {"role": "assistant", "content": "well"}), "messages[1].role", "not continued"),
        (said({"role": "tool", "content": "x"}), "messages[0].role", "'tool' is no role"),
        (said(USER, {"role": "user", "content": []}), "messages[1].content", "Field required"),
        (with_part({"type": "search_result"}), "messages[0].content[0].type", "'search_result'"),
        (with_part({"type": "image", "source": {"type": "file", "file_id": "f"}}), "messages[0].content[0].source.type", "base64"),
        (with_part({"type": "document", "context": "c", "source": {"type": "text", "data": "d"}}), "messages[0].content[0].context", "in a text"),
        (with_part({"type": "document", "source": {"type": "url", "url": "u"}}), "messages[0].content[0].source.type", "base64"),
        (with_part({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image"}]}), "messages[0].content[0].content[0].type", "only text"),
        (said({"role": "assistant", "content": [{"type": "server_tool_use"}]}, USER), "messages[0].content[0].type", "'server_tool_use'"),
        (said({"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": 1}]}, USER), "messages[0].content[0].input", "valid dictionary"),
    ],
)  # fmt: skip
def test_what_openai_cannot_be_told_is_refused_by_name(members, param, why):
    failure = to_openai(members)
    assert isinstance(failure, Failure), failure
    assert (failure.reason, failure.param) == (Reason.BAD_REQUEST, param)
    assert why in failure.message


def test_what_would_only_have_helped_is_left_out_with_a_note():
    request = to_openai(
        {"context_management": {"edits": []}, "thinking": {"type": "adaptive"}, "diagnostics": {}}
    )
    assert isinstance(request, Request)
    assert {note.partition(":")[0] for note in request.notes} == {
        "context_management",
        "thinking",
        "diagnostics",
    }
    request = to_anthropic(
        {"metadata": {"a": "b"}, "prompt_cache_retention": "24h", "prompt_cache_key": None}
    )
    assert isinstance(request, Request)
    assert {note.partition(":")[0] for note in request.notes} == {"metadata", "prompt_cache_retention"}


@pytest.mark.parametrize(
    ("operation", "provider"),
    [(Operation.COMPLETIONS, Provider.ANTHROPIC), (Operation.COUNT_TOKENS, Provider.VLLM)],
)
def test_operations_that_the_other_api_has_not_are_refused(operation, provider):
    asked = ask(operation, {"model": "m", "prompt": "a", "messages": [USER]})
    failure = Exchange(asked, provider).request(model="x", default_output=1)
    assert isinstance(failure, Failure)
    assert failure.reason is Reason.NO_SUCH_PATH


def test_what_is_nested_deep_is_asked_or_refused():
    body = '{"model":"m","messages":[{"role":"user","content":"a"}],"tools":[{"type":"function","function":{"name":"f","parameters":%s}}]}'
    refused = []
    for depth in (*range(900, 1000), 200_000):
        found = read(Operation.CHAT, (body % ('{"a":' * depth + "1" + "}" * depth)).encode())
        if not isinstance(found, Failure):
            found = Exchange(found, Provider.ANTHROPIC).request(model="x", default_output=1)
        refused += [found.message] if isinstance(found, Failure) else []
    assert refused
    assert all("nested too deep" in message for message in refused)


CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "f", "arguments": '{"a":[1,2.5,null],"b":{"c":"ü"}}'},
}
FULL_TOOLS = [
    {
        "type": "function",
        "function": {"name": "f", "description": "does f", "parameters": {"type": "object"}},
    },
    {
        "type": "function",
        "function": {"name": "g", "parameters": {"type": "object", "properties": {}}, "strict": True},
    },
]


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [USER]},
        {"messages": [{"role": "system", "content": "s"}, USER, {"role": "assistant", "content": "a"}, USER]},
        {"messages": [{"role": "system", "content": [{"type": "text", "text": "s"}]}, USER], "temperature": 0.25, "top_p": 0.5},
        {"messages": [{"role": "user", "content": [
            {"type": "text", "text": "a"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}},
        ]}]},
        {"messages": [
            USER,
            {"role": "assistant", "content": "x", "tool_calls": [CALL, CALL | {"id": "call_2"}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "1"},
            {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "2"}]},
            USER,
        ], "tools": FULL_TOOLS},
        {"messages": [USER], "tools": FULL_TOOLS, "tool_choice": "required", "parallel_tool_calls": False},
        {"messages": [USER], "tools": FULL_TOOLS, "tool_choice": {"type": "function", "function": {"name": "g"}}},
        {"messages": [USER], "tools": FULL_TOOLS, "tool_choice": "none"},
        {"messages": [USER], "stop": ["a", "b"], "user": "u", "service_tier": "default", "reasoning_effort": "high"},
        {"messages": [USER], "stream": True, "stream_options": {"include_usage": True}},
        {"messages": [USER], "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": {"type": "object"}}}},
    ],
)  # fmt: skip
def test_requests_mean_the_same_there_and_back(body):
    there = exchange(Operation.CHAT, Provider.ANTHROPIC, {"model": "m", "max_completion_tokens": 5} | body)
    between = there.request(model="m", default_output=1)
    assert isinstance(between, Request), between
    asked = ask(Operation.MESSAGES, json.loads(between.body))
    back = Exchange(asked, Provider.OPENAI).request(model="m", default_output=1)
    assert isinstance(back, Request), back
    assert between.notes == back.notes == ()
    assert plain(json.loads(back.body)) == plain({"model": "m", "max_completion_tokens": 5} | body)


def plain(body: dict[str, Any]) -> dict[str, Any]:
    """A string is one part of text."""
    for message in body["messages"]:
        if isinstance(message.get("content"), str):
            message["content"] = [{"type": "text", "text": message["content"]}]
    return body
