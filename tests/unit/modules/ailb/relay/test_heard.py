"""What Envoy tells a relay."""

import pytest

from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.relay.heard import Heard, Unheard, hear

FIELDS = {
    "x-ai-pool": "vllm", "x-ai-id": "7", "x-ai-operation": "chat", "x-ai-path": "/chat/completions?a=b", "x-ai-stream": "1",
    "x-ai-host": "10.0.0.1:1,10.0.0.2:1", "x-ai-route": "llm", "x-envoy-attempt-count": "2", "x-ai-at": "9,14",
    "x-ai-tasks": "body,keep",
}  # fmt: skip


def heard(**changed):
    told = FIELDS | {name.replace("_", "-"): value for name, value in changed.items()}
    return hear({name.encode(): value.encode() for name, value in told.items() if value is not None})


def test_all_of_it_is_heard():
    names = asking.encode_names((("other", "x"), ("vllm", 'a "b"&c')))
    assert heard(x_ai_names=names) == Heard(
        7, "vllm", "llm", Operation.CHAT, True, "/chat/completions?a=b", ("10.0.0.1:1", "10.0.0.2:1"), 2, (9, 14),
        '"a \\"b\\"&c"', frozenset({"body", "keep"}),
    )  # fmt: skip


def test_whose_it_is_is_told_where_envoy_says_so():
    whose = {"x-ai-who": "llm&k&u&t&1&2", "x-ai-model": "sim%2A", "x-request-id": "r1"}
    told = {**whose, "x-ai-operation": "chat", "x-ai-stream": "1"}
    assert heard(**{name.replace("-", "_"): value for name, value in whose.items()}).told() == told
    assert heard().told() == {}


@pytest.mark.parametrize("nothing", ["", "-", None])
def test_what_envoy_does_not_know_is_nothing(nothing):
    names = (
        "x_ai_path",
        "x_ai_host",
        "x_ai_route",
        "x_envoy_attempt_count",
        "x_ai_at",
        "x_ai_tasks",
        "x_ai_names",
    )
    found = heard(x_ai_stream=nothing, **dict.fromkeys(names, nothing))
    assert found == Heard(7, "vllm", "", Operation.CHAT, False, "/chat/completions")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x_ai_pool", ""), ("x_ai_id", ""), ("x_ai_id", "-1"), ("x_ai_id", "²"), ("x_ai_id", "1" * 40), ("x_ai_operation", "sing"),
        ("x_ai_at", "1"), ("x_ai_at", "a,b"), ("x_envoy_attempt_count", "x"),
    ],
)  # fmt: skip
def test_what_nobody_could_mean_is_refused(name, value):
    with pytest.raises(Unheard):
        heard(**{name: value})
