"""HTTP/2 in any pieces, and any frames at all."""

from itertools import pairwise

from hpack import Encoder
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.wire.http2 import frames
from marchproxy.wire.http2.events import Requested
from marchproxy.wire.http2.frames import Http2Fault
from marchproxy.wire.http2.server import Limits, Server

START = frames.PREFACE + frames.settings({})
LIMITS = Limits(streams=4, head=500, body=300, held=500)
names = st.from_regex(r"x-[a-z]{1,8}", fullmatch=True)
values = st.from_regex(r"[!-~]([ -~]{0,20}[!-~])?", fullmatch=True)
requests = st.lists(
    st.tuples(st.dictionaries(names, values, max_size=4), st.lists(st.binary(max_size=50), max_size=4)),
    min_size=1,
    max_size=4,
)


def _said(requests):
    """By a client whose streams come one after the other."""
    encoder, found = Encoder(), [START]
    for stream, (fields, parts) in zip(range(1, 100, 2), requests, strict=False):
        head = [(":method", "POST"), (":path", "/"), (":scheme", "http"), *fields.items()]
        block = encoder.encode(head)
        found.append(frames.head(len(block[:9]), frames.HEADERS, 0, stream) + block[:9])
        found.append(frames.head(len(block[9:]), frames.CONTINUATION, frames.END_HEADERS, stream) + block[9:])
        found += [frames.head(len(part), frames.DATA, 0, stream) + part for part in parts]
        found.append(frames.head(0, frames.DATA, frames.END_STREAM, stream))
    return b"".join(found)


@given(requests, st.lists(st.integers(0, 5000)))
def test_pieces_are_as_the_whole(requests, cuts):
    data = _said(requests)
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    server = Server(LIMITS, lambda: None)
    found = [event for one, other in pairwise(places) for event in server.receive(data[one:other])]
    assert [event.body for event in found] == [b"".join(parts) for _, parts in requests]
    assert [
        {name.decode(): value.decode() for name, value in event.head.fields.items()} for event in found
    ] == [fields for fields, _ in requests]


any_frame = st.builds(
    lambda kind, flags, stream, payload: frames.head(len(payload), kind, flags, stream) + payload,
    st.integers(0, 11),
    st.sampled_from([0, 1, 4, 5, 8, 9, 0x20, 0xFF]),
    st.integers(0, 7),
    st.one_of(
        st.binary(max_size=60), st.sampled_from([bytes(4), b"\x00\x00\x00\x05", bytes(8), b"\x82\x84\x86"])
    ),
)
pieces = st.lists(
    st.one_of(any_frame, any_frame, st.binary(max_size=30), st.just("answer"), st.just("end")), max_size=30
)


@given(pieces)
def test_any_frames_are_events_or_a_fault(pieces):
    server = Server(LIMITS, lambda: None)
    open_streams, fault = set(), None
    try:
        server.receive(START)
        for piece in pieces:
            if isinstance(piece, bytes):
                for event in server.receive(piece):
                    if isinstance(event, Requested):
                        assert len(event.body) <= LIMITS.body
                        open_streams.add(event.stream)
                        server.answer(event.stream, 200, [])
                    else:
                        open_streams.discard(event.stream)
            elif open_streams and piece == "answer":
                server.outflow.data(min(open_streams), b"x" * 20_000)
            elif open_streams:
                server.end(open_streams.pop())
            assert len(server) <= LIMITS.streams
            assert server._held <= LIMITS.held
    except Http2Fault as found:
        fault = found
    if fault is not None:
        assert server.outflow.take()[-4:] == fault.code.to_bytes(4)
