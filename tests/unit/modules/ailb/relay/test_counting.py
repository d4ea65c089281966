"""What is counted of streams, and where they are cut."""

from json import dumps

import pytest

from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.relay.counting import Count, WholeEvents

CHAT = [
    (b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n', 0),
    (b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n', 1),
    (b'data: {"choices": [{"delta": {"content": "a \\"content\\":\\"b\\""}}]}\n\n', 1),
    (b'data: {"choices":[{"delta":{"content":"a"}},{"delta":{"content":"b"}}]}\n\n', 2),
    (b'data: {"choices":[{"delta":{"content":null,"reasoning_content":"a"}}]}\n\n', 1),
    (b'data: {"choices":[{"delta":{"tool_calls":[{"function":{"name":"f","arguments":""}}]}}]}\n\n', 0),
    (b'data: {"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{\\""}}]}}]}\n\n', 1),
    (b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n', 0),
    (b": ping\n\n", 0),
    (b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\ndata: [DONE]\n\n', 0),
]


@pytest.mark.parametrize(("data", "pieces"), CHAT)
def test_pieces_of_a_chat(data, pieces):
    assert Count(Operation.CHAT).see(data) == pieces


@pytest.mark.parametrize("together", [1, 3, 100])
def test_many_events_are_counted_as_each(together):
    count = Count(Operation.CHAT)
    for at in range(0, len(CHAT), together):
        count.see(b"".join(data for data, _ in CHAT[at : at + together]))
    assert count.pieces == sum(pieces for _, pieces in CHAT)
    assert count.lines == len(CHAT)
    assert count.usage == Usage(3, 4)


@pytest.mark.parametrize(
    ("operation", "data", "pieces"),
    [
        (
            Operation.COMPLETIONS,
            b'data: {"choices":[{"text":" a"}]}\n\ndata: {"choices":[{"text":""}]}\n\n',
            1,
        ),
        (Operation.RESPONSES, b'event: x\ndata: {"type":"response.output_text.delta","delta":"a"}\n\n', 1),
        (Operation.RESPONSES, b'event: x\ndata: {"type":"response.output_text.done","text":"all"}\n\n', 0),
        (Operation.MESSAGES, b'event: x\ndata: {"content_block":{"type":"text","text":""}}\n\n', 0),
        (Operation.MESSAGES, b'event: x\ndata: {"delta":{"type":"text_delta","text":"a"}}\n\n', 1),
        (
            Operation.MESSAGES,
            b'event: x\ndata: {"delta":{"type":"input_json_delta","partial_json":"{"}}\n\n',
            1,
        ),
        (Operation.MESSAGES, b'event: x\ndata: {"delta":{"type":"thinking_delta","thinking":"a"}}\n\n', 1),
        (Operation.EMBEDDINGS, b'data: {"text":"a"}\n\n', 0),
    ],
)
def test_pieces_of_others(operation, data, pieces):
    assert Count(operation).see(data) == pieces


def test_usage_is_told_at_the_beginning_and_at_the_end():
    count = Count(Operation.MESSAGES)
    assert count.usage is None
    count.see(
        b'event: message_start\r\ndata: {"message":{"usage":{"input_tokens":5,"output_tokens":1}}}\r\n\r\n'
    )
    count.see(b'event: message_delta\ndata: {"usage":{"output_tokens":9}}\n\n')
    assert count.usage == Usage(5, 9)


TEXTS = (
    "a",
    " and",
    "",
    'say "no"',
    "back\\",
    "usage",
    '"usage"',
    "\n\ndata: x",
    "[DONE]",
    "é",
    '"',
    "b",
    "c",
)
SHAPES = [
    (Operation.CHAT, b'data: {"choices":[{"index":0,"delta":{"content":%b},"finish_reason":null}]}\n\n'),
    (Operation.CHAT, b'data: {"choices":[{"delta":{"content":%b,"reasoning":"why"}}]}\r\n\r\n'),
    (Operation.CHAT, b'data: {"choices":[{"delta":{"tool_calls":[{"function":{"arguments":%b}}]}}]}\n\n'),
    (Operation.CHAT, b': ping\n\ndata: {"choices":[{"delta":{"content": %b}}]}\n\n'),
    (Operation.MESSAGES, b'event: x\ndata: {"delta":{"type":"text_delta","text":%b}}\n\n'),
    (Operation.RESPONSES, b'event: x\ndata: {"type":"response.output_text.delta","delta":%b}\n\n'),
    (Operation.COMPLETIONS, b'data: {"choices":[{"text":%b}],"usage":null}\n\n'),
]


@pytest.mark.parametrize(("operation", "shape"), SHAPES)
def test_what_is_like_the_one_before_is_counted_as_if_it_were_not(operation, shape):
    count, each = Count(operation), Count(operation)
    alike = 0
    for text in TEXTS + TEXTS[::-1]:
        event = shape % dumps(text, ensure_ascii=False).encode()
        before = each.pieces
        each.see(event)
        is_alike = count.is_alike(event)
        alike += is_alike
        if not is_alike:
            count.see(event)
        assert (count.pieces, count.lines) == (each.pieces, each.lines), text
        assert not (is_alike and each.pieces == before)
    assert count.usage == each.usage
    assert (alike > 0) is (b"usage" not in shape)


def test_an_event_that_brings_something_else_is_not_like_the_one_before():
    count = Count(Operation.CHAT)
    count.see(b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n')
    assert count.is_alike(b'data: {"choices":[{"delta":{"content":"b"}}]}\n\n')
    for event in (
        b'data: {"choices":[{"delta":{"content":"b"}}]}\n\ndata: {"choices":[{"delta":{"content":"c"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"b"},"finish_reason":"stop"}]}\n\n',
        b'data: {"choices":[{"delta":{"content":""}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"b"}}]}\n',
        b'data: {"choices":[{"delta":{"content":"b',
        b"data: [DONE]\n\n",
    ):
        assert not count.is_alike(event)
    assert count.is_alike(b'data: {"choices":[{"delta":{"content":"c"}}]}\n\n')


def test_nobody_goes_on_learning_from_events_that_are_never_alike():
    count = Count(Operation.CHAT)
    for number in range(100):
        event = b'data: {"n":%d,"choices":[{"delta":{"content":"a"}}]}\n\n' % number
        assert not count.is_alike(event)
        count.see(event)
    assert count.pieces == 100
    assert count.is_alike(b'data: {"n":7,"choices":[{"delta":{"content":"b"}}]}\n\n')


STREAM = b"data: a\n\nevent: b\r\ndata: b\r\n\r\n\n\ndata: c\n\n"


@pytest.mark.parametrize("step", [*range(1, 12), 100])
@pytest.mark.parametrize("rest", [b"", b"d", b"data: half\n", b"data: half\r\n\r"])
def test_a_stream_is_cut_behind_events(step, rest):
    whole, found, data = WholeEvents(100), b"", STREAM + rest
    for at in range(0, len(data), step):
        events = whole.feed(data[at : at + step])
        assert events is not None
        assert not events or events.endswith((b"\n\n", b"\r\n\r\n"))
        found += events
    assert found == STREAM
    assert whole.rest() == rest
    assert whole.rest() == b""


def test_an_event_that_is_too_long_is_none():
    whole = WholeEvents(10)
    assert whole.feed(b"data: 1\n\ndata: 1234") == b"data: 1\n\n"
    assert whole.feed(b"5") is None
