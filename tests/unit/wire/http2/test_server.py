"""A server's connection of HTTP/2, with h2 as the client that judges it, and with frames by hand where h2 would not send them."""

import struct

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from hpack import Encoder

from marchproxy.wire.http2 import frames
from marchproxy.wire.http2.events import Cancelled, Drained, Requested
from marchproxy.wire.http2.frames import Code, Http2Fault
from marchproxy.wire.http2.heads import encode_trailers
from marchproxy.wire.http2.server import Limits, Server

HEAD = [
    (":method", "POST"),
    (":path", "/v1/x?y=1"),
    (":scheme", "http"),
    (":authority", "ai"),
    ("x-a", "1"),
    ("x-a", "2"),
]
START = frames.PREFACE + frames.settings({})


class Pair:
    """A client of h2 and the server, joined without a network."""

    def __init__(self, limits=Limits()):  # noqa: B008 - a frozen value
        self.wakes = 0
        self.server = Server(limits, self._wake)
        self.client = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=True, header_encoding=None)
        )
        self.client.initiate_connection()
        self.turn()

    def _wake(self):
        self.wakes += 1

    def turn(self, step=10_000_000):
        """What both say, until nobody says anything."""
        ours, theirs = [], []
        while True:
            sent, answered = self.client.data_to_send(), self.server.outflow.take()
            if not sent and not answered:
                return ours, theirs
            for at in range(0, len(sent), step):
                ours += self.server.receive(sent[at : at + step])
            theirs += self.client.receive_data(answered)

    def ask(self, body=b"", *, stream=1, head=HEAD):
        self.client.send_headers(stream, head, end_stream=not body)
        while body:
            self.client.send_data(stream, body[:16_000], end_stream=len(body) <= 16_000)
            body = body[16_000:]


def of(events, kind):
    return [event for event in events if isinstance(event, kind)]


@pytest.mark.parametrize("step", [1, 7, 10_000_000])
@pytest.mark.parametrize("size", [0, 5, 40_000])
def test_a_request_is_whole_in_any_pieces(size, step):
    pair = Pair()
    pair.ask(b"x" * size)
    ((event,), _) = pair.turn(step)
    assert event == Requested(1, event.head, b"x" * size)
    assert (event.head.method, event.head.path, event.head.fields) == (
        b"POST",
        b"/v1/x?y=1",
        {b"x-a": b"1, 2"},
    )


def test_answers_are_as_they_were_meant():
    pair = Pair()
    pair.ask(b"hello")
    pair.turn()
    pair.server.answer(1, 200, [(b"content-type", b"text/plain"), (b"x-long", b"v" * 20_000)])
    pair.server.outflow.data(1, b"one ")
    pair.server.outflow.data(1, b"")
    pair.server.outflow.data(1, b"two")
    pair.server.end(1)
    _, heard = pair.turn()
    (head,) = of(heard, h2.events.ResponseReceived)
    assert dict(head.headers) == {
        b":status": b"200",
        b"content-type": b"text/plain",
        b"x-long": b"v" * 20_000,
    }
    assert [event.data for event in of(heard, h2.events.DataReceived)] == [b"one ", b"two", b""]
    assert of(heard, h2.events.StreamEnded)
    assert len(pair.server) == 0


@pytest.mark.parametrize("status", [200, 204, 400, 403, 404, 429, 500, 503, 529])
def test_every_status_is_said(status):
    pair = Pair()
    for stream in (1, 3):  # the second head of a connection is another one
        pair.ask(stream=stream)
        pair.turn()
        pair.server.answer(stream, status, [])
        pair.server.end(stream)
        _, heard = pair.turn()
        assert of(heard, h2.events.ResponseReceived)[0].headers == [(b":status", b"%d" % status)]


def test_what_is_sent_in_a_turn_goes_out_at_once():
    pair = Pair()
    pair.ask()
    pair.turn()
    before = pair.wakes
    pair.server.answer(1, 200, [])
    for _ in range(10):
        pair.server.outflow.data(1, b"x")
    assert pair.wakes == before + 1


def test_a_long_answer_waits_for_windows_and_then_goes_on():
    pair = Pair()
    pair.ask()
    pair.turn()
    pair.server.answer(1, 200, [])
    pair.server.outflow.data(1, b"x" * 100_000)
    assert pair.server.outflow.backlog(1) == 100_000 - 65_535
    pair.server.outflow.data(1, b"y")
    _, heard = pair.turn()
    assert sum(len(event.data) for event in of(heard, h2.events.DataReceived)) == 65_535
    pair.client.increment_flow_control_window(50_000, 1)
    pair.client.increment_flow_control_window(50_000)
    found, heard = pair.turn()
    assert (
        b"".join(event.data for event in of(heard, h2.events.DataReceived))
        == b"x" * (100_000 - 65_535) + b"y"
    )
    assert found == [Drained(1)]
    pair.server.end(1)
    assert of(pair.turn()[1], h2.events.StreamEnded)


def test_an_end_waits_behind_what_waits():
    pair = Pair()
    pair.ask()
    pair.turn()
    pair.server.answer(1, 200, [])
    pair.server.outflow.data(1, b"x" * 70_000)
    pair.server.end(1)
    assert not of(pair.turn()[1], h2.events.StreamEnded)
    pair.client.increment_flow_control_window(50_000, 1)
    pair.client.increment_flow_control_window(50_000)
    found, heard = pair.turn()
    assert of(heard, h2.events.StreamEnded)
    assert found == []


@pytest.mark.parametrize("size", [0, 5, 100_000])
def test_trailers_end_an_answer_behind_what_waits(size):
    pair = Pair()
    pair.ask()
    pair.turn()
    pair.server.answer(1, 200, [])
    pair.server.outflow.data(1, b"x" * size)
    pair.server.end(1, encode_trailers([(b"x-used", b"7"), (b"x-more", b"")]))
    _, theirs = pair.turn()
    if size > 65_535:
        assert not of(theirs, h2.events.TrailersReceived)
        pair.client.increment_flow_control_window(size)
        pair.client.increment_flow_control_window(size, stream_id=1)
        _, theirs = pair.turn()
    (trailers,) = of(theirs, h2.events.TrailersReceived)
    assert trailers.headers == [(b"x-used", b"7"), (b"x-more", b"")]
    assert trailers.stream_ended
    assert of(theirs, h2.events.StreamEnded)
    assert len(pair.server) == 0


def test_streams_that_wait_are_served_in_turn():
    pair = Pair()
    for stream in (1, 3):
        pair.ask(stream=stream)
        pair.turn()
        pair.server.answer(stream, 200, [])
        pair.server.outflow.data(stream, b"%d" % stream * 60_000)
    pair.turn()
    assert pair.server.outflow.backlog(3) == 120_000 - 65_535
    pair.ask(stream=5)
    pair.turn()
    pair.server.answer(5, 200, [])
    pair.server.outflow.data(5, b"5" * 20_000)
    pair.client.increment_flow_control_window(2 * frames.FRAME_SIZE)
    _, heard = pair.turn()
    assert {event.stream_id for event in of(heard, h2.events.DataReceived)} == {3, 5}


def test_a_smaller_window_for_all_is_heeded():
    pair = Pair()
    pair.client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 10})
    pair.ask()
    pair.turn()
    pair.server.answer(1, 200, [])
    pair.server.outflow.data(1, b"x" * 30)
    assert pair.server.outflow.backlog(1) == 20
    pair.client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 100})
    found, _ = pair.turn()
    assert found == [Drained(1)]


def test_a_client_that_gives_up_is_heard():
    pair = Pair()
    pair.ask()
    pair.turn()
    pair.server.answer(1, 200, [])
    pair.client.reset_stream(1)
    assert pair.turn()[0] == [Cancelled(1)]
    assert len(pair.server) == 0


def test_a_request_that_was_never_whole_is_given_up_in_silence():
    pair = Pair()
    pair.client.send_headers(1, HEAD)
    pair.client.reset_stream(1)
    assert pair.turn()[0] == []


def test_we_give_up():
    pair = Pair()
    pair.ask()
    pair.turn()
    pair.server.abort(1, Code.INTERNAL_ERROR)
    (reset,) = of(pair.turn()[1], h2.events.StreamReset)
    assert reset.error_code == Code.INTERNAL_ERROR
    pair.server.abort(1, Code.INTERNAL_ERROR)
    assert pair.turn() == ([], [])


def test_a_ping_is_answered():
    pair = Pair()
    pair.client.ping(b"12345678")
    assert of(pair.turn()[1], h2.events.PingAckReceived)


def test_trailers_end_a_request():
    pair = Pair()
    pair.client.send_headers(1, HEAD)
    pair.client.send_data(1, b"x")
    pair.client.send_headers(1, [("x-b", "1")], end_stream=True)
    ((event,), _) = pair.turn()
    assert event.body == b"x"
    assert b"x-b" not in event.head.fields


def test_padding_is_no_body():
    pair = Pair()
    pair.client.send_headers(1, HEAD)
    pair.client.send_data(1, b"x", pad_length=9, end_stream=True)
    ((event,), _) = pair.turn()
    assert event.body == b"x"


def test_a_connection_that_closes_takes_nothing_new():
    pair = Pair()
    pair.ask()
    pair.turn()
    pair.client.send_headers(3, HEAD, end_stream=True)  # before it can know
    late = pair.client.data_to_send()
    pair.server.close()
    assert pair.server.receive(late) == []
    pair.server.answer(1, 200, [])
    pair.server.end(1)
    sent = pair.server.outflow.take()
    assert frames.goaway(1, Code.NO_ERROR) in sent
    assert frames.reset(3, Code.REFUSED_STREAM) in sent


@pytest.mark.parametrize(
    ("limits", "body", "code"),
    [
        (Limits(body=100), b"x" * 101, Code.CANCEL),
        (Limits(held=100), b"x" * 101, Code.REFUSED_STREAM),
        (Limits(streams=0), b"", Code.REFUSED_STREAM),
    ],
)
def test_a_stream_beyond_a_bound_is_refused_alone(limits, body, code):
    pair = Pair(limits)
    if limits.streams == 0:  # h2 heeds what is announced
        pair.client.remote_settings._settings[h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS].append(1)
        pair.client.remote_settings.acknowledge()
    pair.ask(body)
    found, heard = pair.turn()
    assert found == []
    assert [event.error_code for event in of(heard, h2.events.StreamReset)] == [code]


def test_bodies_that_were_let_go_are_held_no_more():
    pair = Pair(Limits(held=100))
    for stream in (1, 3, 5):
        pair.ask(b"x" * 80, stream=stream)
        found, _ = pair.turn()
        assert [event.stream for event in found] == [stream]
        pair.server.let_go(stream)


def block(*fields):
    return Encoder().encode(fields, huffman=False)


GET = ((":method", "GET"), (":path", "/"), (":scheme", "http"))


def headers(payload, *, stream=1, flags=frames.END_HEADERS | frames.END_STREAM):
    return frames.head(len(payload), frames.HEADERS, flags, stream) + payload


def frame(kind, payload=b"", *, stream=0, flags=0):
    return frames.head(len(payload), kind, flags, stream) + payload


@pytest.mark.parametrize(
    "fields",
    [
        [(":method", "GET"), (":path", "/")],
        [*GET, (":path", "/")],
        [*GET, ("x", "y"), (":authority", "z")],
        [*GET, (":status", "200")],
        [*GET, ("X", "y")],
        [*GET, ("connection", "close")],
        [*GET, ("x", "a\r\nb: c")],
        [*GET, ("content-length", "x")],
        [*GET, ("content-length", "5")],
        [(":method", "GET"), (":path", ""), (":scheme", "http")],
    ],
)
def test_a_malformed_request_ends_its_stream(fields):
    server = Server(Limits(), lambda: None)
    assert server.receive(START + headers(block(*fields))) == []
    assert frames.reset(1, Code.PROTOCOL_ERROR) in server.outflow.take()
    assert len(server.receive(headers(block(*GET), stream=3))) == 1


def test_a_head_in_pieces_is_whole():
    packed = block(*GET, ("x-a", "b"))
    data = headers(packed[:3], flags=frames.END_STREAM)
    data += frame(frames.CONTINUATION, packed[3:5], stream=1)
    data += frame(frames.CONTINUATION, packed[5:], stream=1, flags=frames.END_HEADERS)
    (event,) = Server(Limits(), lambda: None).receive(START + data)
    assert event.head.fields == {b"x-a": b"b"}


def test_what_is_unknown_is_passed_over():
    server = Server(Limits(), lambda: None)
    data = frame(0x77, b"xyz", stream=9) + frames.settings({77: 1})
    data += frame(frames.PRIORITY, bytes(5), stream=9) + headers(block(*GET))
    assert len(server.receive(START + data)) == 1


def test_what_comes_for_a_stream_that_was_given_up_is_passed_over():
    server = Server(Limits(), lambda: None)
    server.receive(START + headers(block(*GET), flags=frames.END_HEADERS))
    server.abort(1, Code.CANCEL)
    late = frame(frames.DATA, b"x", stream=1) + frames.window_update(1, 9) + frames.reset(1, Code.CANCEL)
    late += headers(block(("x", "y")))
    assert server.receive(late) == []
    assert len(server.receive(headers(block(*GET), stream=3))) == 1


def settings(name, value):
    return frame(frames.SETTINGS, struct.pack(">HI", name, value))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"GET / HTTP/1.1\r\n", Code.PROTOCOL_ERROR),
        (frames.PREFACE + frame(frames.PING, bytes(8)), Code.PROTOCOL_ERROR),
        (frames.PREFACE + frame(frames.SETTINGS, flags=frames.ACK), Code.PROTOCOL_ERROR),
        (START + frame(frames.SETTINGS, b"x"), Code.FRAME_SIZE_ERROR),
        (START + frame(frames.SETTINGS, bytes(6), flags=frames.ACK), Code.FRAME_SIZE_ERROR),
        (START + frame(frames.SETTINGS, stream=1), Code.PROTOCOL_ERROR),
        (START + settings(4, 2**31), Code.FLOW_CONTROL_ERROR),
        (START + settings(5, 100), Code.PROTOCOL_ERROR),
        (START + settings(2, 2), Code.PROTOCOL_ERROR),
        (START + frames.window_update(0, 0), Code.PROTOCOL_ERROR),
        (START + frames.window_update(0, 2**31 - 1), Code.FLOW_CONTROL_ERROR),
        (START + frames.window_update(1, 1), Code.PROTOCOL_ERROR),
        (START + frame(frames.WINDOW_UPDATE, b"x"), Code.FRAME_SIZE_ERROR),
        (START + frame(frames.PING, b"x"), Code.FRAME_SIZE_ERROR),
        (START + frame(frames.PING, bytes(8), stream=1), Code.PROTOCOL_ERROR),
        (START + frame(frames.GOAWAY, b"x"), Code.FRAME_SIZE_ERROR),
        (START + frame(frames.PUSH_PROMISE, bytes(4), stream=1), Code.PROTOCOL_ERROR),
        (START + frame(frames.PRIORITY, bytes(5)), Code.PROTOCOL_ERROR),
        (START + frame(frames.PRIORITY, b"x", stream=1), Code.FRAME_SIZE_ERROR),
        (START + frame(frames.RST_STREAM, bytes(4), stream=1), Code.PROTOCOL_ERROR),
        (START + frame(frames.RST_STREAM, b"x", stream=1), Code.FRAME_SIZE_ERROR),
        (START + frame(frames.DATA, b"x", stream=1), Code.PROTOCOL_ERROR),
        (START + frame(frames.DATA, b"x"), Code.PROTOCOL_ERROR),
        (START + frame(frames.CONTINUATION, b"x", stream=1), Code.PROTOCOL_ERROR),
        (START + headers(b"", flags=0) + frame(frames.PING, bytes(8)), Code.PROTOCOL_ERROR),
        (START + headers(b"", flags=0) + frame(frames.CONTINUATION, stream=3), Code.PROTOCOL_ERROR),
        (START + headers(block(*GET), stream=2), Code.PROTOCOL_ERROR),
        (START + headers(block(*GET), stream=0), Code.PROTOCOL_ERROR),
        (START + headers(b"\x05x", flags=frames.PADDED | frames.END_HEADERS), Code.PROTOCOL_ERROR),
        (START + headers(b"x", flags=frames.WITH_PRIORITY | frames.END_HEADERS), Code.FRAME_SIZE_ERROR),
        (START + headers(b"\xff\xff\xff\xff\xff"), Code.COMPRESSION_ERROR),
        (START + headers(b"\xfe"), Code.COMPRESSION_ERROR),
        (START + headers(block(*GET, ("x", "y" * 9000), ("z", "y" * 7000))), Code.ENHANCE_YOUR_CALM),
        (START + frames.head(16_385, frames.DATA, 0, 1), Code.FRAME_SIZE_ERROR),
        (START + frame(frames.PING, bytes(8)) * 10_001, Code.ENHANCE_YOUR_CALM),
        (START + headers(b"x", flags=0) + frame(frames.CONTINUATION, stream=1) * 40, Code.ENHANCE_YOUR_CALM),
        (
            START + headers(block(*GET), flags=frames.END_HEADERS) + frame(frames.DATA, stream=1) * 10_001,
            Code.ENHANCE_YOUR_CALM,
        ),
    ],
)  # fmt: skip
def test_what_breaks_the_protocol_ends_the_connection(data, code):
    server = Server(Limits(head=8192), lambda: None)
    with pytest.raises(Http2Fault) as fault:
        server.receive(data)
    assert fault.value.code is code
    assert server.outflow.take()[-4:] == struct.pack(">I", code)


@pytest.mark.parametrize(
    ("late", "code"),
    [
        (frame(frames.DATA, b"x", stream=1), Code.STREAM_CLOSED),
        (headers(block(("x", "y"))), Code.PROTOCOL_ERROR),
        (frames.window_update(1, 0), Code.PROTOCOL_ERROR),
        (frames.window_update(1, 2**31 - 1), Code.FLOW_CONTROL_ERROR),
    ],
)
def test_what_comes_behind_the_end_ends_the_stream(late, code):
    server = Server(Limits(), lambda: None)
    server.receive(START + headers(block(*GET)))
    assert server.receive(late) == [Cancelled(1)]
    assert frames.reset(1, code) in server.outflow.take()
