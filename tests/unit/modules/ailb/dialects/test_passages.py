"""All that a model reads of a request, who says it, and what becomes of the request when it is changed."""

import json

import pytest

from marchproxy.modules.ailb.dialects.body import Body
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.dialects.passages import changed, has_tokens, passages


def body(members):
    return Body.read(json.dumps(members).encode())


@pytest.mark.parametrize(
    ("operation", "members", "expected"),
    [
        (
            Operation.CHAT,
            {
                "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "u"}]}],
                "tools": [{"type": "function", "function": {"name": "n", "description": "d", "parameters": {"enum": ["e"]}}}],
            },
            [("messages[0]", "system", "s"), ("messages[1]", "user", "u"), ("tools", "tools", "d"), ("tools", "tools", "e")],
        ),
        (Operation.MESSAGES, {"system": "s", "messages": [{"role": "user", "content": "u"}]}, [("system", "system", "s"), ("messages[0]", "user", "u")]),
        (Operation.COMPLETIONS, {"prompt": ["a", "b"], "suffix": "c"}, [("prompt[0]", "user", "a"), ("prompt[1]", "user", "b"), ("suffix", "user", "c")]),
        (Operation.COMPLETIONS, {"prompt": [1, 2]}, []),
        (
            Operation.RESPONSES,
            {"instructions": "i", "input": [{"role": "developer", "content": "d"}, {"type": "function_call_output", "call_id": "1", "output": "o"}]},
            [("instructions", "system", "i"), ("input[0]", "developer", "d"), ("input[1]", "function_call_output", "o")],
        ),
        (
            Operation.RESPONSES,
            {
                "tools": [
                    {"type": "mcp", "server_url": "x", "headers": {"a": "b"}, "authorization": "c", "server_description": "d"},
                    {"type": "function", "name": "f", "parameters": {"properties": {"name": {"description": "e"}, "headers": {"const": "g"}}}},
                ]
            },
            [("tools", "tools", "d"), ("tools", "tools", "e"), ("tools", "tools", "g")],
        ),
        (Operation.EMBEDDINGS, {"input": "x\ud800"}, [("input", "user", "x?")]),
        (Operation.CHAT, {"messages": [], "tools": None, "response_format": {"type": "json_schema", "json_schema": {"description": "d"}}}, [("response_format", "tools", "d")]),
    ],
)  # fmt: skip
def test_passages(operation, members, expected):
    assert [tuple(passage) for passage in passages(operation, body(members))] == expected


def test_changed():
    data = (
        b'{"tools": [{"name": "a", "description" : "a"}], "n":1,  "messages":[{"role":"user","content":"a"}]}'
    )
    new = changed(Operation.CHAT, Body.read(data), lambda text: text.replace("a", "b"))
    assert new.text == (
        '{"tools": [{"name":"a","description":"b"}], "n":1,  "messages":[{"role":"user","content":"b"}]}'
    )
    old = Body.read(data)
    assert changed(Operation.CHAT, old, lambda text: text) is old
    assert old.members["tools"][0]["description"] == "a"


@pytest.mark.parametrize(
    ("operation", "members", "expected"),
    [
        (Operation.COMPLETIONS, {"prompt": [1, 2]}, True),
        (Operation.COMPLETIONS, {"prompt": [[1], [2]]}, True),
        (Operation.COMPLETIONS, {"prompt": ["a"]}, False),
        (Operation.EMBEDDINGS, {"input": [5]}, True),
        (Operation.CHAT, {"messages": [{"role": "user", "content": "5"}]}, False),
    ],
)
def test_tokens(operation, members, expected):
    assert has_tokens(operation, body(members)) is expected
