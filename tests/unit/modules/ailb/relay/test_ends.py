"""Whether a stream that has ended was complete, whatever HTTP says of it."""

import pytest

from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.relay.shapes import PassedStream
from marchproxy.modules.ailb.relay.stripping import Strip

_TEXT = (
    b'data: {"choices":[{"index":0,"delta":{"content":"an error, [so to say]"},"finish_reason":null}]}\n\n'
)
_LAST = b'data: {"choices":[{"index":0,"delta":{},"finish_reason": "stop"}]}\n\n'
_USED = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}\n\n'


@pytest.mark.parametrize(
    ("operation", "events", "is_complete"),
    [
        (Operation.CHAT, [_TEXT, b"data: [DONE]\n\n"], True),
        (Operation.CHAT, [_TEXT, b"data: [DONE]\n\n", b": the end\n\n"], True),
        (Operation.CHAT, [_TEXT, _LAST], True),  # some engines say no more
        (Operation.CHAT, [_TEXT, _LAST, _USED], True),
        (Operation.CHAT, [_TEXT, b"data: [DONE]"], True),
        (Operation.CHAT, [_TEXT, b'data: {"error":{"message":"out of memory"}}\n\n'], True),
        (Operation.CHAT, [_TEXT], False),
        (Operation.CHAT, [_TEXT, b'data: {"choi'], False),
        (Operation.CHAT, [b"<html>\n\n"], False),
        (Operation.CHAT, [], False),
        (Operation.MESSAGES, [b'event: message_stop\ndata: {"type":"message_stop"}\n\n'], True),
        (Operation.MESSAGES, [b'event: message_delta\ndata: {"type":"message_delta"}\n\n'], False),
        (Operation.RESPONSES, [b'event: response.completed\ndata: {"type":"response.completed"}\n\n'], True),
        (Operation.RESPONSES, [b'event: response.created\ndata: {"type":"response.created"}\n\n'], False),
    ],
)
def test_ends(operation: Operation, events: list[bytes], is_complete: bool) -> None:
    stream = PassedStream(operation, Strip.NOTHING)
    for event in events:
        stream.feed(event)
    stream.end()
    assert (stream.failure is None) == is_complete
