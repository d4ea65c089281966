"""HTTP/2 that breaks the rules: each frame that a server must not take, the answer that RFC 9113 wants, and floods.

After every one of them the next client is served.
"""

import struct
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.real.h2_rig import World, running
from tests.real.support.frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    PADDED,
    PREFACE,
    REQUEST,
    Code,
    Kind,
    frame,
    frames,
    headers,
    setting,
)
from tests.real.support.https import trusting

pytestmark = pytest.mark.asyncio(loop_scope="module")

POST = ((":method", "POST"), *REQUEST[1:])
SLOW = (*REQUEST[:3], (":path", "/slow/5"))
LARGEST = 2**31 - 1


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with running(tmp_path_factory.mktemp("frames")) as world:
        yield world


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def others_are_served(world: World) -> AsyncIterator[None]:
    yield
    assert await world.serves()


CONNECTION_ERRORS = {
    # 4.2, 6: sizes
    "a frame beyond SETTINGS_MAX_FRAME_SIZE": (
        frame(Kind.DATA, bytes(16_385), stream=1),
        Code.FRAME_SIZE_ERROR,
    ),
    "SETTINGS of five bytes": (frame(Kind.SETTINGS, bytes(5)), Code.FRAME_SIZE_ERROR),
    "an acknowledgement of SETTINGS with content": (
        frame(Kind.SETTINGS, bytes(6), flags=ACK),
        Code.FRAME_SIZE_ERROR,
    ),
    "PING of seven bytes": (frame(Kind.PING, bytes(7)), Code.FRAME_SIZE_ERROR),
    "RST_STREAM of three bytes": (
        headers(1, POST, flags=END_HEADERS) + frame(Kind.RST_STREAM, bytes(3), stream=1),
        Code.FRAME_SIZE_ERROR,
    ),
    "WINDOW_UPDATE of three bytes": (frame(Kind.WINDOW_UPDATE, bytes(3)), Code.FRAME_SIZE_ERROR),
    # 5.1.1, 6: streams
    "DATA on stream 0": (frame(Kind.DATA, b"a"), Code.PROTOCOL_ERROR),
    "HEADERS on stream 0": (headers(0), Code.PROTOCOL_ERROR),
    "RST_STREAM on stream 0": (frame(Kind.RST_STREAM, bytes(4)), Code.PROTOCOL_ERROR),
    "SETTINGS on a stream": (frame(Kind.SETTINGS, stream=1), Code.PROTOCOL_ERROR),
    "PING on a stream": (frame(Kind.PING, bytes(8), stream=1), Code.PROTOCOL_ERROR),
    "GOAWAY on a stream": (frame(Kind.GOAWAY, bytes(8), stream=1), Code.PROTOCOL_ERROR),
    "a stream with an even number": (headers(2), Code.PROTOCOL_ERROR),
    "DATA on an idle stream": (frame(Kind.DATA, b"a", stream=1), Code.PROTOCOL_ERROR),
    "RST_STREAM on an idle stream": (frame(Kind.RST_STREAM, bytes(4), stream=1), Code.PROTOCOL_ERROR),
    "WINDOW_UPDATE on an idle stream": (
        frame(Kind.WINDOW_UPDATE, struct.pack("!I", 1), stream=1),
        Code.PROTOCOL_ERROR,
    ),
    "PUSH_PROMISE from a client": (
        headers(1, SLOW) + frame(Kind.PUSH_PROMISE, struct.pack("!I", 3), flags=END_HEADERS, stream=1),
        Code.PROTOCOL_ERROR,
    ),
    # 6.1, 6.2: padding
    "more padding than there is": (
        headers(1, POST, flags=END_HEADERS) + frame(Kind.DATA, b"\x09abc", flags=PADDED, stream=1),
        Code.PROTOCOL_ERROR,
    ),
    # 6.5.2: values
    "SETTINGS_ENABLE_PUSH of 2": (frame(Kind.SETTINGS, setting(2, 2)), Code.PROTOCOL_ERROR),
    "SETTINGS_INITIAL_WINDOW_SIZE beyond the largest": (
        frame(Kind.SETTINGS, setting(4, LARGEST + 1)),
        Code.FLOW_CONTROL_ERROR,
    ),
    "SETTINGS_MAX_FRAME_SIZE below the smallest": (
        frame(Kind.SETTINGS, setting(5, 100)),
        Code.PROTOCOL_ERROR,
    ),
    # 6.9: windows
    "WINDOW_UPDATE of nothing": (frame(Kind.WINDOW_UPDATE, struct.pack("!I", 0)), Code.PROTOCOL_ERROR),
    "a window of the connection beyond the largest": (
        frame(Kind.WINDOW_UPDATE, struct.pack("!I", LARGEST)) * 2,
        Code.FLOW_CONTROL_ERROR,
    ),
    # 4.3, 6.10: header blocks
    "CONTINUATION of nothing": (
        frame(Kind.CONTINUATION, b"", flags=END_HEADERS, stream=1),
        Code.PROTOCOL_ERROR,
    ),
    "something within a header block": (
        headers(1, flags=END_STREAM) + frame(Kind.PING, bytes(8)),
        Code.PROTOCOL_ERROR,
    ),
    "CONTINUATION of another stream": (
        headers(1, flags=END_STREAM) + frame(Kind.CONTINUATION, b"", flags=END_HEADERS, stream=3),
        Code.PROTOCOL_ERROR,
    ),
    "a header block that is none": (
        frame(Kind.HEADERS, b"\xff\xff\xff\xff\xff", flags=END_HEADERS | END_STREAM, stream=1),
        Code.COMPRESSION_ERROR,
    ),
}


# Envoy closes the connection without telling the code (which section 5.4.1 allows) where it finds the fault itself
UNTOLD = {
    "HEADERS on stream 0",
    "RST_STREAM on stream 0",
    "SETTINGS on a stream",
    "PING on a stream",
    "GOAWAY on a stream",
    "a stream with an even number",
    "RST_STREAM on an idle stream",
    "WINDOW_UPDATE on an idle stream",
    "PUSH_PROMISE from a client",
    "SETTINGS_ENABLE_PUSH of 2",
    "SETTINGS_INITIAL_WINDOW_SIZE beyond the largest",
    "SETTINGS_MAX_FRAME_SIZE below the smallest",
    "WINDOW_UPDATE of nothing",
    "a window of the connection beyond the largest",
}


@pytest.mark.parametrize("name", CONNECTION_ERRORS)
async def test_what_ends_the_connection(world: World, name: str) -> None:
    sent, code = CONNECTION_ERRORS[name]
    async with world.h2() as client:
        client.send(sent)
        heard = await client.until()
    assert heard.closed or heard.went
    assert heard.went in ({code, None} if name in UNTOLD else {code})
    assert heard.statuses == {}


# an error of the stream, for which one of the connection may stand (section 5.4.2): then there is no code, or its own
STREAM_ERRORS = {
    "HEADERS after the end": (headers(1, SLOW) + headers(1), {Code.STREAM_CLOSED, None}),
    "DATA after the end": (headers(1, SLOW) + frame(Kind.DATA, b"a", stream=1), {Code.STREAM_CLOSED}),
    "a window of a stream beyond the largest": (
        headers(1, SLOW) + frame(Kind.WINDOW_UPDATE, struct.pack("!I", LARGEST), stream=1) * 2,
        {Code.FLOW_CONTROL_ERROR, None},
    ),
    "WINDOW_UPDATE of nothing on a stream": (
        headers(1, SLOW) + frame(Kind.WINDOW_UPDATE, struct.pack("!I", 0), stream=1),
        {Code.PROTOCOL_ERROR, None},
    ),
}


@pytest.mark.parametrize(("sent", "codes"), STREAM_ERRORS.values(), ids=STREAM_ERRORS.keys())
async def test_what_ends_a_stream(world: World, sent: bytes, codes: set[Code | None]) -> None:
    async with world.h2() as client:
        client.send(sent)
        heard = await client.until(1)
    assert heard.closed or heard.went or 1 in heard.resets
    assert heard.resets.get(1, heard.went) in codes
    assert heard.statuses == {}


def changed(**pseudo: str | None) -> tuple[tuple[str, str], ...]:
    """A request with other pseudo-headers; None leaves one out."""
    lines = {**dict(REQUEST), **{f":{name}": value for name, value in pseudo.items()}}
    return tuple((name, value) for name, value in lines.items() if value is not None)


MALFORMED = {
    "no method": changed(method=None),
    "no path": changed(path=None),
    "no scheme": changed(scheme=None),
    "an empty path": changed(path=""),
    "a path that does not begin with a slash": changed(path="a"),
    "a pseudo-header of answers": changed(status="200"),
    "an unknown pseudo-header": changed(foo="bar"),
    "two methods": (*REQUEST, (":method", "POST")),
    "two paths": (*REQUEST, (":path", "/admin")),
    "a pseudo-header after others": (*REQUEST[:3], ("a", "b"), (":path", "/")),
    "upper case in a name": (*REQUEST, ("X-Upper", "a")),
    "connection": (*REQUEST, ("connection", "close")),
    "transfer-encoding": (*REQUEST, ("transfer-encoding", "chunked")),
    "te other than trailers": (*REQUEST, ("te", "gzip")),
    "a line's end in a value": (*REQUEST, ("a", "b\r\nc: d")),
    "zero in a value": (*REQUEST, ("a", "b\0c")),
    "a blank in a name": (*REQUEST, ("a b", "c")),
    "CONNECT": (*changed(method="CONNECT", scheme=None, path=None),),
    "CONNECT of another protocol": (*changed(method="CONNECT", protocol="websocket"),),
    "a body that is shorter than it says": (*changed(method="POST"), ("content-length", "10")),
}


@pytest.mark.parametrize("lines", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_malformed_request_reaches_no_backend_and_ends_no_other(world: World, lines) -> None:
    served = world.backend.served
    async with world.h2() as client:
        client.send(headers(1, lines), headers(3))
        heard = await client.until(1, 3)
    if heard.resets:
        assert (heard.resets, heard.statuses) == ({1: Code.PROTOCOL_ERROR}, {3: 200})
    else:
        assert heard.statuses == {1: 404, 3: 200}  # CONNECT is well formed, and nobody's
    assert world.backend.served == served + 1


async def test_what_is_unknown_is_passed_over(world: World) -> None:
    async with world.h2() as client:
        client.send(
            frame(Kind.UNKNOWN, b"hello", flags=0xFF),
            frame(Kind.SETTINGS, setting(0xFFFF, 1)),
            frame(Kind.PING, b"hello..."),
            frame(Kind.PRIORITY, struct.pack("!IB", 1, 0), stream=1),  # a stream that depends on itself
            headers(1),
        )
        heard = await client.until(1)
    assert (heard.statuses, heard.bodies, heard.pongs) == ({1: 200}, {1: b"a"}, [b"hello..."])


async def test_a_preface_that_is_none(world: World) -> None:
    async with frames(world.alb.tls, tls=trusting(world.ca, "h2"), bare=True) as client:
        client.send(b"PRI * HTTP/9.0\r\n\r\nSM\r\n\r\n", frame(Kind.SETTINGS), headers(1))
        heard = await client.until()
    assert heard.closed or heard.went
    assert heard.statuses == {}
    async with frames(world.alb.port, bare=True) as client:
        client.send(PREFACE, headers(1))  # without SETTINGS
        heard = await client.until()
    assert heard.closed or heard.went
    assert heard.statuses == {}
