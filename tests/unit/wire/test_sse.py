"""Server-sent events, as the HTML standard wants them read."""

import pytest

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.sse import Event, Events, write


def read(*pieces: bytes, longest: int = 1000) -> list[Event]:
    machine = Events(longest=longest)
    return [event for piece in pieces for event in machine.feed(piece)]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [Event(b"a")]),
        (b"data:a\r\n\r\n", [Event(b"a")]),
        (b"data: a\r\rdata: b\r\r", [Event(b"a"), Event(b"b")]),
        (b"data:  a \n\n", [Event(b" a ")]),  # one space alone belongs to the format
        (b"event: ping\ndata: {}\n\n", [Event(b"{}", b"ping")]),
        (b"id: 7\nevent: x\ndata: 1\n\ndata: 2\n\n", [Event(b"1", b"x", b"7"), Event(b"2")]),
        (b"data: a\ndata: b\ndata\n\n", [Event(b"a\nb\n")]),
        (b"\xef\xbb\xbfdata: a\n\n", [Event(b"a")]),
        (b": keep-alive\n\ndata: a\n\n", [Event(b"a")]),
        (b"event: nothing\n\ndata: a\n\n", [Event(b"a")]),  # without data it is none
        (b"retry: 5\nodd: x\nid: \0\ndata: a\n\n", [Event(b"a")]),
        (b"data: a\n", []),
        (b"data:\n\n", [Event(b"")]),
        (b"", []),
    ],
)
def test_streams_are_read_whole_and_byte_by_byte(stream, events):
    assert read(stream) == events
    assert read(*(stream[at : at + 1] for at in range(len(stream)))) == events


@pytest.mark.parametrize(
    ("rest", "events"), [(b"data: x\n", [Event(b"x")]), (b"data: x", []), (b"", []), (b": c\n", [])]
)
def test_an_event_that_lacks_its_empty_line_is_one_at_the_end(rest, events):
    machine = Events()
    assert machine.feed(b"data: a\n\n" + rest) == [Event(b"a")]
    assert machine.end() == events
    assert machine.between


def test_between_tells_whether_something_is_missing():
    machine = Events()
    assert machine.between
    machine.feed(b"data: a")
    assert not machine.between
    machine.feed(b"\n")
    assert not machine.between
    machine.feed(b"\n")
    assert machine.between


@pytest.mark.parametrize(
    "pieces", [[b"data: " + b"x" * 101], [b"data: xxxxxxxxxx\n"] * 11, [b"x" * 10] * 11, [b":" + b"x" * 101]]
)
def test_events_have_a_longest(pieces):
    with pytest.raises(ProtocolFault):
        read(*pieces, longest=100)


def test_many_events_are_no_long_one():
    assert len(read(*[b"data: xxxxxxxxxx\n\n"] * 100, longest=100)) == 100


@pytest.mark.parametrize(
    ("event", "sent"),
    [
        (Event(b"{}"), b"data: {}\n\n"),
        (Event(b"{}", b"ping"), b"event: ping\ndata: {}\n\n"),
        (Event(b"a\nb", b"x", b"1"), b"event: x\nid: 1\ndata: a\ndata: b\n\n"),
        (Event(b""), b"data: \n\n"),
    ],
)
def test_what_is_written_is_read_again(event, sent):
    assert write(event) == sent
    assert read(sent) == [event]
