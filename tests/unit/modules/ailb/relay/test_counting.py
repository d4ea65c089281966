"""What is counted of streams, and where they are cut."""

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
