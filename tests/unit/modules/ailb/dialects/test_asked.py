"""Requests as they are read, and what is said of those that are wrong."""

import json

import pytest

from marchproxy.modules.ailb.dialects.asked import Asked, read
from marchproxy.modules.ailb.dialects.failure import Failure
from marchproxy.modules.ailb.dialects.operations import Operation

HELLO = [{"role": "user", "content": "hello"}]


def asked(operation: Operation, **members) -> Asked:
    found = read(operation, json.dumps({"model": "m", **members}).encode())
    assert isinstance(found, Asked), found
    return found


@pytest.mark.parametrize(
    ("operation", "members", "wanted"),
    [
        (Operation.CHAT, {"messages": HELLO}, {}),
        (Operation.CHAT, {"messages": HELLO, "max_tokens": 5}, {"max_output": 5}),
        (Operation.CHAT, {"messages": HELLO, "max_tokens": 5, "max_completion_tokens": 6}, {"max_output": 6}),
        (Operation.CHAT, {"messages": HELLO, "n": 3, "stream": False, "seed": None}, {"choices": 3}),
        (Operation.CHAT, {"messages": HELLO, "stream": True}, {"stream": True}),
        (
            Operation.CHAT,
            {"messages": HELLO, "stream": True, "stream_options": {"include_usage": True}},
            {"stream": True, "wants_usage": True},
        ),
        (
            Operation.CHAT,
            {
                "messages": HELLO,
                "tools": [
                    {"type": "function", "function": {"name": "a"}},
                    {"type": "custom", "custom": {"name": "b"}},
                ],
                "functions": [{"name": "c"}],
            },
            {"tools": ("a", "b", "c")},
        ),
        (Operation.COMPLETIONS, {"prompt": "a"}, {}),
        (Operation.COMPLETIONS, {"prompt": ["a", "b"], "n": 2, "best_of": 3}, {"choices": 6}),
        (Operation.COMPLETIONS, {"prompt": [1, 2, 3]}, {}),
        (Operation.COMPLETIONS, {"prompt": [[1, 2], [3]], "max_tokens": 0}, {"choices": 2, "max_output": 0}),
        (Operation.EMBEDDINGS, {"input": ["a", "b"]}, {}),
        (
            Operation.RESPONSES,
            {
                "input": "a",
                "max_output_tokens": 9,
                "tools": [{"type": "web_search"}, {"type": "function", "name": "f"}],
            },
            {"max_output": 9, "tools": ("web_search", "f")},
        ),
        (
            Operation.MESSAGES,
            {"messages": HELLO, "max_tokens": 7, "tools": [{"name": "t"}]},
            {"max_output": 7, "tools": ("t",)},
        ),
        (Operation.COUNT_TOKENS, {"messages": HELLO}, {}),
    ],
)
def test_requests_are_read(operation, members, wanted):
    found = asked(operation, **members)
    defaults = {"stream": False, "max_output": None, "choices": 1, "tools": (), "wants_usage": False}
    assert found.model == "m"
    assert {name: getattr(found, name) for name in defaults} == defaults | wanted


@pytest.mark.parametrize(
    ("operation", "members", "param", "openais", "code"),
    [
        (Operation.CHAT, {"messages": HELLO}, "model", "Missing required parameter: 'model'.", "missing_required_parameter"),
        (Operation.CHAT, {"model": 1, "messages": HELLO}, "model", "expected a string, but got an integer", "invalid_type"),
        (Operation.CHAT, {"model": "", "messages": HELLO}, "model", "but got an empty string", "invalid_type"),
        (Operation.CHAT, {"model": "m\n", "messages": HELLO}, "model", "printable", "invalid_type"),
        (Operation.CHAT, {"model": "m" * 300, "messages": HELLO}, "model", "at most 256", "invalid_type"),
        (Operation.CHAT, {"model": "m"}, "messages", "Missing", "missing_required_parameter"),
        (Operation.CHAT, {"model": "m", "messages": []}, "messages", "not empty", "invalid_type"),
        (Operation.CHAT, {"model": "m", "messages": "hi"}, "messages", "an array, but got a string", "invalid_type"),
        (Operation.CHAT, {"model": "m", "messages": ["hi"]}, "messages[0]", "an object", "invalid_type"),
        (Operation.CHAT, {"model": "m", "messages": [{}]}, "messages[0].role", "Missing", "missing_required_parameter"),
        (Operation.CHAT, {"model": "m", "messages": [{"role": "user", "content": 1}]}, "messages[0].content", "a string or an array", "invalid_type"),
        (Operation.CHAT, {"model": "m", "messages": [{"role": "user", "content": [1]}]}, "messages[0].content[0]", "an object", "invalid_type"),
        (Operation.CHAT, {"model": "m", "messages": HELLO, "stream": "yes"}, "stream", "a boolean", "invalid_type"),
        (Operation.CHAT, {"model": "m", "messages": HELLO, "stream": True, "stream_options": []}, "stream_options", "an object", "invalid_type"),
        (Operation.CHAT, {"model": "m", "messages": HELLO, "stream": True, "stream_options": {"include_usage": 1}}, "stream_options.include_usage", "a boolean", "invalid_type"),
        (Operation.CHAT, {"model": "m", "messages": HELLO, "max_tokens": 1.5}, "max_tokens", "an integer, but got a number", "invalid_type"),
        (Operation.CHAT, {"model": "m", "messages": HELLO, "max_tokens": True}, "max_tokens", "got a boolean", "invalid_type"),
        (Operation.CHAT, {"model": "m", "messages": HELLO, "max_tokens": -1}, "max_tokens", "at least 0", "invalid_type"),
        (Operation.CHAT, {"model": "m", "messages": HELLO, "n": 0}, "n", "at least 1", "invalid_type"),
        (Operation.CHAT, {"model": "m", "messages": HELLO, "n": 1000}, "n", "at most 128", "invalid_type"),
        (Operation.CHAT, {"model": "m", "messages": HELLO, "tools": {}}, "tools", "an array", "invalid_type"),
        (Operation.CHAT, {"model": "m", "messages": HELLO, "tools": [{}]}, "tools[0].name", "Missing", "missing_required_parameter"),
        (Operation.EMBEDDINGS, {"model": "m"}, "input", "Missing", "missing_required_parameter"),
        (Operation.COMPLETIONS, {"model": "m"}, "prompt", "Missing", "missing_required_parameter"),
        (Operation.MESSAGES, {"model": "m", "messages": HELLO}, "max_tokens", "Field required", None),
        (Operation.MESSAGES, {"model": 1, "messages": HELLO, "max_tokens": 1}, "model", "Input should be a valid string", None),
        (Operation.MESSAGES, {"model": "m", "messages": HELLO, "max_tokens": -1}, "max_tokens", "Input should be an integer of at least 0", None),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_the_words_of_its_api(operation, members, param, openais, code):
    found = read(operation, json.dumps(members).encode())
    assert isinstance(found, Failure)
    assert (found.param, found.code) == (param, code)
    assert openais in found.message


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"model":"a","model":"b"}', b"\xff"])
def test_what_is_no_json_is_a_failure(data):
    found = read(Operation.CHAT, data)
    assert isinstance(found, Failure)
    assert found.message.startswith("The body is not JSON as it should be: ")
