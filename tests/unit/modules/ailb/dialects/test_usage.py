"""What answers and streams say they used."""

import json

import pytest

from marchproxy.model.ai import Dialect
from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.dialects.usage import Tally, of_answer

START = {"type": "message_start", "message": {"usage": {"input_tokens": 5, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 3, "output_tokens": 1}}}  # fmt: skip
DELTA = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 15}}


@pytest.mark.parametrize(
    ("dialect", "answer", "usage"),
    [
        (
            Dialect.OPENAI,
            {"usage": {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}},
            Usage(9, 12),
        ),
        (
            Dialect.OPENAI,
            {
                "usage": {
                    "prompt_tokens": 9,
                    "completion_tokens": 1,
                    "prompt_tokens_details": {"cached_tokens": 4},
                }
            },
            Usage(9, 1, 4),
        ),
        (Dialect.OPENAI, {"object": "list", "usage": {"prompt_tokens": 8, "total_tokens": 8}}, Usage(8)),
        (
            Dialect.OPENAI,
            {
                "usage": {
                    "input_tokens": 36,
                    "input_tokens_details": {"cached_tokens": 6},
                    "output_tokens": 87,
                }
            },
            Usage(36, 87, 6),
        ),
        (Dialect.OPENAI, {"usage": None}, None),
        (Dialect.OPENAI, {"usage": {"prompt_tokens": -1, "completion_tokens": "5"}}, Usage()),
        (Dialect.OPENAI, {"usage": {"prompt_tokens": 10**18, "completion_tokens": 5}}, Usage(0, 5)),
        (
            Dialect.OPENAI,
            {"usage": {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 9}}},
            Usage(3, 0, 3),
        ),
        (Dialect.OPENAI, ["usage"], None),
        (Dialect.ANTHROPIC, START["message"], Usage(28, 1, 20)),
        (Dialect.ANTHROPIC, {"usage": {"input_tokens": 5, "output_tokens": 7}}, Usage(5, 7)),
    ],
)
def test_of_answers(dialect, answer, usage):
    assert of_answer(dialect, json.dumps(answer).encode()) == usage


@pytest.mark.parametrize("data", [b"", b"{", b'{"usage":', b'"usage"'])
def test_no_answer_tells_nothing(data):
    assert of_answer(Dialect.OPENAI, data) is None


@pytest.mark.parametrize(
    ("dialect", "events", "usage"),
    [
        (Dialect.ANTHROPIC, [START, {"type": "ping"}, DELTA], Usage(28, 15, 20)),
        (Dialect.ANTHROPIC, [START], Usage(28, 1, 20)),
        (Dialect.ANTHROPIC, [START, {**DELTA, "usage": {"input_tokens": 6, "output_tokens": 2}}], Usage(29, 2, 20)),
        (
            Dialect.OPENAI,
            [{"choices": [1], "usage": None}, {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}],
            Usage(1, 2),
        ),
        (Dialect.OPENAI, [{"choices": [1], "usage": None}], None),
        (Dialect.OPENAI, [{"type": "response.completed", "response": {"usage": {"input_tokens": 1, "output_tokens": 2}}}], Usage(1, 2)),
    ],
)  # fmt: skip
def test_of_streams(dialect, events, usage):
    tally = Tally(dialect)
    for event in events:
        tally.see(json.dumps(event).encode())
    assert tally.usage == usage
