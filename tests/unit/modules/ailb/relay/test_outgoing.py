"""What engines are asked."""

import json
from dataclasses import replace

import pytest

from marchproxy.contract.document import decode
from marchproxy.modules.ailb.dialects.failure import Failure
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.relay.heard import Heard
from marchproxy.modules.ailb.relay.outgoing import Outgoing, compose, encode
from marchproxy.modules.ailb.relay.plan import compile_ways
from marchproxy.modules.ailb.relay.stripping import Strip

DOCUMENT = """
routes:
  - id: llm
    path: /
    ai: {models: [{name: a, targets: [vllm]}, {name: b, targets: [plain]}, {name: c, targets: [claude]}]}
pools:
  - {name: vllm, endpoints: ["127.0.0.1:1"], ai: {provider: vllm}}
  - {name: plain, endpoints: ["127.0.0.1:1"], ai: {provider: openai_compatible}}
  - {name: claude, endpoints: ["127.0.0.1:1"], ai: {provider: anthropic, base_path: /api}}
"""
WAYS = compile_ways(decode(DOCUMENT.encode()), {}).pools
EACH = {"include_usage": True, "continuous_usage_stats": True}


def composed(pool, body, operation=Operation.CHAT, **heard):
    data = json.dumps(body).encode()
    at = data.index(b'"big"')
    told = {"stream": True, "path": operation.path, "at": (at, at + 5), **heard}
    return compose(Heard(7, pool, "llm", operation, **told), data, WAYS[pool], created=1, default_output=5)


def chat(**more):
    return {
        "stream": True,
        "model": "big",
        "temperature": 0.50,
        "messages": [{"role": "user", "content": "}"}],
        **more,
    }


@pytest.mark.parametrize(
    ("pool", "options", "asked", "how"),
    [
        ("plain", None, {"include_usage": True}, Strip.ALL),
        ("plain", {"include_usage": False}, {"include_usage": True}, Strip.ALL),
        ("plain", {"include_usage": True}, {"include_usage": True}, Strip.NOTHING),
        ("vllm", None, EACH, Strip.ALL),
        ("vllm", {"x": True}, {"x": True, **EACH}, Strip.ALL),
        ("vllm", {"include_usage": True}, EACH, Strip.EACH),
        ("vllm", EACH, EACH, Strip.NOTHING),
    ],
)
@pytest.mark.parametrize("name", [None, '"other \\" name"'])
def test_streams_are_asked_to_tell_what_they_used(pool, options, asked, how, name):
    body = chat() if options is None else chat(stream_options=options)
    found = composed(pool, body, name=name)
    model = json.loads(name) if name else "big"
    assert json.loads(found.body) == body | {"model": model, "stream_options": asked}
    assert b"0.5," in found.body
    assert (found.strip, found.path, found.translation) == (how, "/chat/completions", None)


@pytest.mark.parametrize(
    ("operation", "heard"),
    [(Operation.CHAT, {"stream": False}), (Operation.RESPONSES, {}), (Operation.EMBEDDINGS, {})],
)
def test_others_are_only_called_by_another_name(operation, heard):
    body = {"model": "big", "input": "x", "stream_options": {"a": 1}}
    found = composed("plain", body, operation, name='"small"', **heard)
    assert json.loads(found.body) == body | {"model": "small"}
    assert found.strip is Strip.NOTHING


def test_another_dialect_is_translated():
    found = composed("claude", chat(), path="/chat/completions?beta=1", name='"claude-1"')
    asked = json.loads(found.body)
    assert (asked["model"], asked["max_tokens"], found.path) == ("claude-1", 5, "/messages?beta=1")
    assert found.translation is not None


@pytest.mark.parametrize("body", [chat(n=2), {"model": "big"}, {"model": "big", "messages": []}])
def test_what_cannot_be_said_there_is_a_failure(body):
    assert isinstance(composed("claude", body), Failure)
    with pytest.raises(ValueError, match="not found"):
        compose(
            Heard(7, "plain", "llm", Operation.CHAT, True, "/"),
            b"",
            WAYS["plain"],
            created=1,
            default_output=5,
        )


def test_what_is_ours_stays_here():
    found = composed("plain", chat())
    fields = {
        b"content-type": b"application/json", b"user-agent": b"x", b"authorization": b"Bearer client", b"x-api-key": b"k",
        b"x-ai-id": b"7", b"x-envoy-attempt-count": b"1", b"accept-encoding": b"gzip", b"content-length": b"5",
        b"anthropic-beta": b"b", b"cookie": b"c", b"te": b"trailers",
    }  # fmt: skip
    heard = Heard(7, "plain", "llm", Operation.CHAT, True, "/chat/completions")
    head, _, body = encode(found, fields, heard, WAYS["plain"], "127.0.0.1:1").partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    assert first == "POST /v1/chat/completions HTTP/1.1"
    assert sorted(lines) == sorted(
        [
            "host: 127.0.0.1:1",
            "content-type: application/json",
            "user-agent: x",
            f"content-length: {len(body)}",
        ]
    )
    assert body == found.body


def test_the_egress_is_told_the_way():
    found = composed("claude", {**chat(), "max_tokens": 3}, Operation.MESSAGES)
    hosts = ("10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1")
    heard = Heard(7, "claude", "llm", Operation.MESSAGES, True, "/messages", hosts, 2)
    head = encode(found, {}, heard, WAYS["claude"], "").partition(b"\r\n\r\n")[0].decode().split("\r\n")
    assert head[0] == "POST /api/messages HTTP/1.1"
    assert {"x-ai-cluster: pool.claude", "x-ai-path: /messages", "anthropic-version: 2023-06-01"} <= set(head)
    assert "x-ai-host: 10.0.0.2:1,10.0.0.3:1,10.0.0.1:1" in head


def test_a_credential_is_shown_to_the_endpoint_and_left_to_the_egress():
    way = replace(WAYS["claude"], shown=(b"x-api-key", b"sk-1"))
    heard = Heard(7, "claude", "llm", Operation.MESSAGES, stream=True, path="/messages")
    fields = {b"x-api-key": b"client", b"authorization": b"Bearer client"}
    asked = encode(
        Outgoing(b"{}", "/messages"), fields, heard, replace(way, name="engine.example"), "127.0.0.1:1"
    )
    assert b"\r\nhost: engine.example\r\n" in asked
    by_place = {
        place: encode(Outgoing(b"{}", "/messages"), fields, heard, way, place)
        for place in ("127.0.0.1:1", "")
    }
    assert b"\r\nx-api-key: sk-1\r\n" in by_place["127.0.0.1:1"]
    assert b"sk-1" not in by_place[""]
    assert all(b"client" not in head for head in by_place.values())
