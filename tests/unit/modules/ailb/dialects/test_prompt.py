"""The texts of a prompt, how long it is about, and what becomes of it when they are changed."""

import json

import pytest

from marchproxy.modules.ailb.dialects import prompt
from marchproxy.modules.ailb.dialects.asked import Asked, read
from marchproxy.modules.ailb.dialects.body import Body
from marchproxy.modules.ailb.dialects.operations import Operation

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
CHAT = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "be brief"},
        {"role": "user", "name": "joe", "content": [{"type": "text", "text": "what is this?"}, IMAGE]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "result"},
    ],
}
MESSAGES = {
    "model": "m",
    "max_tokens": 5,
    "messages": [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"name": "x", "deep": [{"id": "y"}]}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "r"}]},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "doc"}},
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "AA"},
                },
            ],
        },
    ],
    "system": [{"type": "text", "text": "sys", "cache_control": {"type": "ephemeral"}}],
}


@pytest.mark.parametrize(
    ("operation", "members", "texts"),
    [
        (Operation.CHAT, CHAT, ["be brief", "what is this?", '{"a":1}', "result"]),
        (Operation.MESSAGES, MESSAGES, ["sys", "hi", "x", "y", "r", "doc"]),
        (Operation.COUNT_TOKENS, MESSAGES, ["sys", "hi", "x", "y", "r", "doc"]),
        (Operation.COMPLETIONS, {"prompt": ["a", "b"], "suffix": "c"}, ["a", "b", "c"]),
        (Operation.COMPLETIONS, {"prompt": [1, 2]}, []),
        (Operation.COMPLETIONS, {"prompt": [1, "not a token"]}, ["not a token"]),
        (Operation.EMBEDDINGS, {"input": "a", "prompt": "not of it"}, ["a"]),
        (
            Operation.RESPONSES,
            {
                "input": [
                    {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "u"}]},
                    {"type": "function_call_output", "call_id": "c", "output": "o"},
                ],
                "instructions": "i",
                "prompt": {"id": "p", "variables": {"name": "v"}},
            },
            ["i", "v", "a", "o"],
        ),
        (Operation.CHAT, {"messages": [{"content": [{"type": "new", "words": {"x": "found"}}]}]}, ["found"]),
        (Operation.CHAT, {"messages": [{"content": "half \ud83d pair"}]}, ["half ? pair"]),
    ],
)  # fmt: skip
def test_texts_come_in_their_order(operation, members, texts):
    assert list(prompt.texts(operation, Body.read(json.dumps(members).encode()))) == texts


@pytest.mark.parametrize(
    ("operation", "members", "tokens"),
    [
        (Operation.COMPLETIONS, {"prompt": "a" * 9}, 3),
        (Operation.COMPLETIONS, {"prompt": "ü" * 4}, 2),  # bytes count
        (Operation.COMPLETIONS, {"prompt": [[1, 2, 3], [4]]}, 4),
        (Operation.EMBEDDINGS, {"input": ["abcd", "abcd"]}, 2),
        (Operation.CHAT, {"messages": [{"role": "user", "content": "abcd"}]}, 1 + 4),
        (Operation.CHAT, {"messages": [{"role": "user", "content": [IMAGE]}]}, 1600 + 4),
        (Operation.MESSAGES, {"messages": [{"content": [{"type": "thinking", "thinking": "a" * 9}]}]}, 3 + 4),
        (Operation.CHAT, {"messages": [], "tools": [1, 2]}, 2),  # as they are written: [1, 2]
    ],
)
def test_estimates(operation, members, tokens):
    assert prompt.estimate(operation, Body.read(json.dumps(members).encode())) == tokens


def test_a_request_knows_its_own_prompt():
    asked = read(Operation.COMPLETIONS, b'{"model":"m","prompt":"abcde"}')
    assert isinstance(asked, Asked)
    assert (list(asked.texts()), asked.estimate()) == (["abcde"], 2)


def test_texts_are_changed_where_they_stand():
    body = Body.read(json.dumps(CHAT).encode())
    new = prompt.changed(Operation.CHAT, body, lambda text: text.replace("this", "[THAT]"))
    wanted = json.loads(json.dumps(CHAT))
    wanted["messages"][1]["content"][0]["text"] = "what is [THAT]?"
    assert new.members == wanted
    assert body.members == CHAT


def test_halves_of_pairs_are_no_way_to_break_who_changes_texts():
    body = Body.read(b'{"prompt":"a\\ud83d"}')
    assert prompt.changed(Operation.COMPLETIONS, body, lambda text: text + "!").members == {"prompt": "a?!"}


def test_a_prompt_that_needs_no_change_is_the_same():
    body = Body.read(json.dumps(MESSAGES).encode())
    assert prompt.changed(Operation.MESSAGES, body, lambda text: text) is body
