"""Requests for other models, and streams that tell what they used."""

import json

import pytest

from marchproxy.model.ai import Dialect
from marchproxy.modules.ailb.dialects import listing, rewriting
from marchproxy.modules.ailb.dialects.asked import Asked, read
from marchproxy.modules.ailb.dialects.operations import Operation

STREAM = (
    b'{"stream": true, "messages": [ {"role":"user","content":"h\\u00e9"} ],"temperature":0.10, "model":"m" }'
)


def asked(data: bytes, operation: Operation = Operation.CHAT) -> Asked:
    found = read(operation, data)
    assert isinstance(found, Asked)
    return found


def test_nothing_but_the_model_is_changed():
    assert rewriting.request(asked(STREAM), model="org/M") == STREAM.replace(b'"m"', b'"org/M"')
    assert rewriting.request(asked(STREAM), model="m") == STREAM
    assert rewriting.request(asked(STREAM)) == STREAM


@pytest.mark.parametrize(
    ("options", "each", "wanted"),
    [
        (None, False, {"include_usage": True}),
        (None, True, {"include_usage": True, "continuous_usage_stats": True}),
        (
            {"include_usage": False, "include_obfuscation": False},
            False,
            {"include_usage": True, "include_obfuscation": False},
        ),
        ({"include_usage": True}, False, {"include_usage": True}),
    ],
)
def test_streams_are_asked_what_they_use(options, each, wanted):
    members = json.loads(STREAM) | ({} if options is None else {"stream_options": options})
    new = rewriting.request(asked(json.dumps(members).encode()), usage=True, each=each)
    assert json.loads(new) == members | {"stream_options": wanted}


def test_only_streams_of_completions_are_asked():
    whole = b'{"model":"m","messages":[{"role":"user","content":"a"}]}'
    assert rewriting.request(asked(whole), usage=True) == whole
    answer = b'{"model":"m","input":"a","stream":true}'
    assert rewriting.request(asked(answer, Operation.RESPONSES), usage=True) == answer


@pytest.mark.parametrize(
    ("data", "left"),
    [
        (b'{"choices":[{"delta":{}}]}', b'{"choices":[{"delta":{}}]}'),
        (b'{"choices":[],"usage":{"prompt_tokens":1}}', None),
        (b'{"choices":null,"usage":{"prompt_tokens":1}}', None),  # vLLM
        (b'{"choices":[1],"usage":{"prompt_tokens":1} }', b'{"choices":[1],"usage":null }'),
        (b'{"choices":[1],"usage":null}', b'{"choices":[1],"usage":null}'),
        (b"[DONE]", b"[DONE]"),
        (b'"usage"', b'"usage"'),
    ],
)
def test_what_was_not_asked_for_is_taken_out(data, left):
    assert rewriting.without_usage(data) == left


def test_models_are_listed_in_both_shapes():
    openai = json.loads(listing.models(Dialect.OPENAI, ["a", "b"], created=0))
    assert openai["object"] == "list"
    assert openai["data"][1] == {"id": "b", "object": "model", "created": 0, "owned_by": "marchproxy"}
    anthropic = json.loads(listing.models(Dialect.ANTHROPIC, ["a", "b"], created=0))
    assert (anthropic["first_id"], anthropic["last_id"], anthropic["has_more"]) == ("a", "b", False)
    assert anthropic["data"][0]["created_at"] == "1970-01-01T00:00:00Z"
    assert json.loads(listing.models(Dialect.ANTHROPIC, [], created=0))["first_id"] is None
    assert json.loads(listing.model(Dialect.ANTHROPIC, "a", created=0)) == anthropic["data"][0]
