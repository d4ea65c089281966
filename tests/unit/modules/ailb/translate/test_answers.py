"""Answers and streams that are not what they should be, or not from whom they should be."""

import json
from typing import Any

import pytest

from marchproxy.model.ai import Dialect, Provider
from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.dialects.failure import Reason, failure_of
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.translate.answers import NoAnswer
from marchproxy.modules.ailb.translate.exchange import Exchange, Stream
from marchproxy.wire.sse import Event
from tests.unit.modules.ailb.translate.rig import exchange

CHAT = exchange(
    Operation.CHAT, Provider.ANTHROPIC, {"model": "m", "messages": [{"role": "user", "content": "a"}]}
)
MESSAGES = exchange(
    Operation.MESSAGES,
    Provider.VLLM,
    {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "a"}]},
)
START = {
    "type": "message_start",
    "message": {"id": "i", "model": "m", "usage": {"input_tokens": 3, "output_tokens": 1}},
}
TEXT = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
TOOL = {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}}  # fmt: skip
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}}


def piece(text: str, index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": text}}


def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def call(index: int, **function: str) -> dict[str, Any]:
    return chunk({"tool_calls": [{"index": index, "id": f"call_{index}", "function": function}]})


def told(stream: Stream, *documents: Any) -> list[Any]:
    """What the client is told of these events."""
    found = []
    for document in documents:
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        found += stream.feed(Event(data))
    return [json.loads(event.data) if event.data.startswith(b"{") else event.data for event in found]


@pytest.mark.parametrize(
    ("exchange", "documents", "reason", "why"),
    [
        (CHAT, [b"not json"], Reason.BAD_ANSWER, "cannot be read"),
        (CHAT, [[1]], Reason.BAD_ANSWER, "no object"),
        (CHAT, [TEXT], Reason.BAD_ANSWER, "before message_start"),
        (CHAT, [START, START], Reason.BAD_ANSWER, "begins twice"),
        (CHAT, [START, piece("a")], Reason.BAD_ANSWER, "belongs to no block"),
        (CHAT, [START, TEXT, piece("a", 1)], Reason.BAD_ANSWER, "belongs to no block"),
        (CHAT, [START, TEXT, piece("a", None)], Reason.BAD_ANSWER, "no index"),
        (CHAT, [START, TEXT, piece(5)], Reason.BAD_ANSWER, "text is no string"),
        (CHAT, [START, {"type": "content_block_stop", "index": 0}], Reason.BAD_ANSWER, "has not begun"),
        (CHAT, [START, {**TEXT, "content_block": {"type": "server_tool_use"}}], Reason.BAD_ANSWER, "'server_tool_use'"),
        (
            CHAT,
            [START, TEXT, {**piece(""), "delta": {"type": "input_json_delta", "partial_json": "{"}}],
            Reason.BAD_ANSWER,
            "no tool is called",
        ),
        (
            CHAT,
            [START, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}],
            Reason.OVERLOADED,
            "Overloaded",
        ),
        (MESSAGES, [b"<html>"], Reason.BAD_ANSWER, "cannot be read"),
        (MESSAGES, [{"choices": {}}], Reason.BAD_ANSWER, "choices is no array"),
        (MESSAGES, [{"choices": [1]}], Reason.BAD_ANSWER, "choices is no array of objects"),
        (MESSAGES, [chunk({"content": 5})], Reason.BAD_ANSWER, "content is no string"),
        (MESSAGES, [call(0, arguments="{}")], Reason.BAD_ANSWER, "names no tool"),
        (MESSAGES, [call(0, name="f"), call(1, name="g"), call(0, arguments="{}")], Reason.BAD_ANSWER, "gets back"),
        (MESSAGES, [chunk({"tool_calls": [{"index": "0"}]})], Reason.BAD_ANSWER, "no integer"),
        (MESSAGES, [{"error": {"message": "out of memory", "type": "server_error"}}], Reason.INTERNAL, "out of memory"),
        (MESSAGES, [{"error": "out of memory"}], Reason.INTERNAL, "out of memory"),
        (MESSAGES, [chunk({"content": "a"}, "abort"), b"[DONE]"], Reason.INTERNAL, "broke off"),
    ],
)  # fmt: skip
def test_streams_that_cannot_be_understood_end_with_a_failure(exchange, documents, reason, why):
    stream = exchange.stream()
    told(stream, *documents[:-1])
    with pytest.raises(NoAnswer) as found:
        told(stream, documents[-1])
    assert found.value.failure.reason is reason
    assert why in found.value.failure.message


@pytest.mark.parametrize(
    ("exchange", "documents", "ends"),
    [
        (CHAT, [], False),
        (CHAT, [START, TEXT, piece("a")], False),
        (CHAT, [START, TEXT, piece("a"), END], True),
        (MESSAGES, [], False),
        (MESSAGES, [chunk({"content": "a"})], False),
        (MESSAGES, [chunk({"content": "a"}, "stop")], True),
    ],
)
def test_a_stream_that_ends_early_is_broken_off_unless_it_had_finished(exchange, documents, ends):
    stream = exchange.stream()
    told(stream, *documents)
    if ends:
        assert stream.end()
        assert stream.end() == []
    else:
        with pytest.raises(NoAnswer, match="broke off"):
            stream.end()


def test_what_comes_after_the_end_is_nothing():
    stream = MESSAGES.stream()
    told(stream, chunk({"content": "a"}, "stop"), b"[DONE]")
    assert told(stream, chunk({"content": "b"}), b"garbage") == []
    stream = CHAT.stream()
    told(stream, START, TEXT, END, {"type": "message_stop"})
    assert told(stream, b"garbage") == []


def test_what_is_new_in_a_stream_is_passed_over():
    stream = CHAT.stream()
    told(stream, START, TEXT)
    assert told(stream, {"type": "ping"}, {"type": "new_event", "x": 1}) == []
    assert told(stream, {**piece(""), "delta": {"type": "citations_delta", "citation": {}}}) == []


def test_a_stream_of_nothing_is_an_answer():
    kinds = [document["type"] for document in told(MESSAGES.stream(), b"[DONE]")]
    assert kinds == ["message_start", "message_delta", "message_stop"]


def test_azures_word_about_the_prompt_does_not_begin_the_answer():
    stream = MESSAGES.stream()
    assert told(stream, {"id": "", "model": "", "choices": [], "prompt_filter_results": []}) == []
    assert told(stream, chunk({"content": "a"}))[0]["message"]["id"] == "c"


def test_pieces_of_a_call_may_each_have_an_id_of_their_own():
    stream = MESSAGES.stream()
    first = told(stream, call(0, name="f", arguments='{"a"'))
    again = {"tool_calls": [{"index": 0, "id": "other", "function": {"arguments": ":1}"}}]}
    (event,) = told(stream, chunk(again))
    assert [document["type"] for document in first] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
    ]
    assert event["delta"]["partial_json"] == ":1}"


def test_thinking_is_shown_only_to_who_has_asked_for_it():
    assert told(MESSAGES.stream(), chunk({"reasoning_content": "hm"}))[1:] == []


def test_refusals_in_streams_are_refusals_there():
    stream = MESSAGES.stream()
    documents = told(stream, chunk({"refusal": "No."}), chunk({}, "stop"), b"[DONE]")
    assert documents[2]["delta"] == {"type": "text_delta", "text": "No."}
    assert documents[-2]["delta"]["stop_reason"] == "refusal"
    stream = CHAT.stream()
    refused = {"stop_reason": "refusal", "stop_details": {"type": "refusal", "explanation": "harm"}}
    documents = told(stream, START, {"type": "message_delta", "delta": refused}, {"type": "message_stop"})
    assert documents[1]["choices"][0]["delta"] == {"refusal": "harm"}
    assert documents[2]["choices"][0]["finish_reason"] == "content_filter"


def test_text_may_come_with_the_beginning_of_its_block():
    (document,) = told(CHAT.stream(), START, {**TEXT, "content_block": {"type": "text", "text": "a"}})[1:]
    assert document["choices"][0]["delta"] == {"content": "a"}


def test_streams_tell_what_was_used_as_the_provider_counted_it():
    stream = CHAT.stream()
    told(stream, START)
    assert stream.tally.usage == Usage(3, 1)
    told(stream, TEXT, piece("a"), END)
    assert stream.tally.usage == Usage(3, 7)


def answered(exchange: Exchange, document: Any) -> Any:
    return json.loads(exchange.answer(json.dumps(document).encode()))


@pytest.mark.parametrize(
    ("exchange", "document", "reason", "why"),
    [
        (CHAT, [], Reason.BAD_ANSWER, "no object"),
        (CHAT, {"object": "chat.completion"}, Reason.BAD_ANSWER, "no message"),
        (CHAT, {"type": "message", "content": "a"}, Reason.BAD_ANSWER, "no array"),
        (CHAT, {"type": "message", "content": [{"type": "odd"}]}, Reason.BAD_ANSWER, "'odd'"),
        (CHAT, {"type": "message", "content": [{"type": "tool_use", "input": 5}]}, Reason.BAD_ANSWER, "input is no object"),
        (CHAT, {"type": "error", "error": {"type": "api_error", "message": "x"}}, Reason.INTERNAL, "x"),
        (MESSAGES, {"choices": []}, Reason.BAD_ANSWER, "no choices"),
        (MESSAGES, {"choices": [{"message": {"tool_calls": [{}]}}]}, Reason.BAD_ANSWER, "names no tool"),
        (
            MESSAGES,
            {"choices": [{"message": {"tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}}]},
            Reason.BAD_ANSWER,
            "for f are no JSON object",
        ),
        (MESSAGES, {"choices": [{"message": {}, "finish_reason": "abort"}]}, Reason.INTERNAL, "broke off"),
    ],
)  # fmt: skip
def test_answers_that_are_none(exchange, document, reason, why):
    with pytest.raises(NoAnswer) as found:
        answered(exchange, document)
    assert found.value.failure.reason is reason
    assert why in found.value.failure.message


def test_thoughts_of_whole_answers_are_carried():
    message = {"type": "message", "content": [{"type": "thinking", "thinking": "hm", "signature": "s"}]}
    assert answered(CHAT, message)["choices"][0]["message"]["reasoning_content"] == "hm"
    body = MESSAGES.asked.body.members | {"thinking": {"type": "adaptive"}}
    completion = {"choices": [{"message": {"reasoning": "hm", "content": "a"}, "finish_reason": "stop"}]}
    shown = answered(exchange(Operation.MESSAGES, Provider.VLLM, body), completion)
    assert shown["content"][0] == {"type": "thinking", "thinking": "hm", "signature": ""}
    assert [block["type"] for block in answered(MESSAGES, completion)["content"]] == ["text"]


def deep(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


def test_what_is_nested_deep_is_carried_or_refused():
    refused = []
    for depth in (*range(900, 1000), 200_000):
        message = b'{"type":"message","content":[{"type":"tool_use","id":"a","name":"f","input":%b}]}' % deep(
            depth
        )
        try:
            assert json.loads(CHAT.answer(message))
        except NoAnswer as none:
            refused.append(none.failure.message)
    assert refused
    assert all("nested too deep" in message for message in refused)


@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("something new", "stop"),
        (None, "stop"),
    ],
)
def test_reasons_to_stop_as_openai_has_them(stop, finish):
    message = {"type": "message", "content": [], "stop_reason": stop}
    assert answered(CHAT, message)["choices"][0]["finish_reason"] == finish


@pytest.mark.parametrize(
    ("choice", "stop", "sequence"),
    [
        ({"finish_reason": "stop"}, "end_turn", None),
        ({"finish_reason": "length"}, "max_tokens", None),
        ({"finish_reason": "content_filter"}, "refusal", None),
        ({"finish_reason": "stop", "stop_reason": "###"}, "stop_sequence", "###"),
        ({"finish_reason": "stop", "stop_reason": 128009}, "end_turn", None),  # a token
        ({"finish_reason": None}, "end_turn", None),
    ],
)
def test_reasons_to_stop_as_anthropic_has_them(choice, stop, sequence):
    document = {"choices": [{"message": {"content": "a"}} | choice]}
    message = answered(MESSAGES, document)
    assert (message["stop_reason"], message["stop_sequence"]) == (stop, sequence)


@pytest.mark.parametrize(
    ("status", "error", "client", "answer"),
    [
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}, Dialect.OPENAI, (503, "server_error")),
        (413, {"type": "error", "error": {"type": "request_too_large", "message": "big"}}, Dialect.OPENAI, (413, "invalid_request_error")),
        (429, {"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}}, Dialect.OPENAI, (429, "rate_limit_error")),
        (429, {"error": {"type": "insufficient_quota", "message": "pay"}}, Dialect.ANTHROPIC, (402, "billing_error")),
        (503, {"error": {"type": "server_error", "message": "busy"}}, Dialect.ANTHROPIC, (529, "overloaded_error")),
        (404, {"object": "error", "message": "The model `x` does not exist."}, Dialect.ANTHROPIC, (404, "not_found_error")),
        (400, {"error": "invalid options"}, Dialect.ANTHROPIC, (400, "invalid_request_error")),
    ],
)  # fmt: skip
def test_errors_of_one_api_in_the_words_of_the_other(status, error, client, answer):
    failure = failure_of(status, json.dumps(error).encode())
    told = json.loads(failure.body(client))["error"]
    assert (failure.status(client), told["type"]) == answer
    assert told["message"] in json.dumps(error)
