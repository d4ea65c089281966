"""HTTP/2 as frames, right or wrong, for what no client library would send. RFC 9113."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import IntEnum

from hpack import Decoder, Encoder
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
END_STREAM, ACK, END_HEADERS, PADDED = 0x1, 0x1, 0x4, 0x8
REQUEST = ((":method", "GET"), (":scheme", "https"), (":authority", "web.test"), (":path", "/"))


class Kind(IntEnum):
    """Types of frames (section 6); one that nobody knows."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9
    UNKNOWN = 0xF0


class Code(IntEnum):
    """Error codes (section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11


def frame(
    kind: Kind, payload: bytes = b"", *, flags: int = 0, stream: int = 0, length: int | None = None
) -> bytes:
    """One frame; `length` where it is to be a wrong one."""
    size = len(payload) if length is None else length
    return struct.pack("!I", size)[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def block(lines: Iterable[tuple[str, str]]) -> bytes:
    """A header block that refers to no table, so that it may be sent at any time."""
    return Encoder().encode([(name, value, True) for name, value in lines], huffman=False)


def headers(
    stream: int, lines: Iterable[tuple[str, str]] = REQUEST, *, flags: int = END_HEADERS | END_STREAM
) -> bytes:
    """A HEADERS frame."""
    return frame(Kind.HEADERS, block(lines), flags=flags, stream=stream)


def setting(number: int, value: int) -> bytes:
    """One entry of a SETTINGS frame."""
    return struct.pack("!HI", number, value)


@dataclass
class Heard:
    """What a server said until it closed, or until there was enough. Codes of RST_STREAM and statuses by stream.

    `went`: the code of a GOAWAY; 0 is a friendly one.
    """

    went: int | None = None
    resets: dict[int, int] = field(default_factory=dict)
    statuses: dict[int, int] = field(default_factory=dict)
    bodies: dict[int, bytes] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    pongs: list[bytes] = field(default_factory=list)
    closed: bool = False


class Frames:
    """A connection whose preface and SETTINGS were sent, unless it is `bare`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self._decoder = Decoder()
        self.heard = Heard()

    def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))

    async def until(self, *streams: int) -> Heard:
        """Listen until the server gave up or closed, or these streams ended in one way or another."""
        async with asyncio.timeout(30):
            while not (
                self.heard.went or (streams and set(streams) <= self.heard.ended | self.heard.resets.keys())
            ):
                try:
                    head = await self._reader.readexactly(9)
                    found, length = Frame.parse_frame_header(memoryview(head))
                    found.parse_body(memoryview(await self._reader.readexactly(length)))
                except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
                    self.heard.closed = True
                    break
                self._take(found)
        return self.heard

    def _take(self, found: Frame) -> None:
        heard = self.heard
        match found:
            case SettingsFrame() if "ACK" not in found.flags:
                self.send(frame(Kind.SETTINGS, flags=ACK))
            case PingFrame() if "ACK" in found.flags:
                heard.pongs.append(found.opaque_data)
            case GoAwayFrame():
                heard.went = found.error_code
            case RstStreamFrame():
                heard.resets[found.stream_id] = found.error_code
            case HeadersFrame():
                lines = dict(self._decoder.decode(found.data))
                if ":status" in lines:
                    heard.statuses[found.stream_id] = int(lines[":status"])
            case DataFrame():
                heard.bodies[found.stream_id] = heard.bodies.get(found.stream_id, b"") + found.data
        if isinstance(found, HeadersFrame | DataFrame) and "END_STREAM" in found.flags:
            heard.ended.add(found.stream_id)


@asynccontextmanager
async def frames(
    port: int, *, tls: ssl.SSLContext | None = None, bare: bool = False, deaf: bool = False
) -> AsyncIterator[Frames]:
    """A connection in the clear, or with TLS that offers h2. `deaf`: with as little room for answers as there can be."""
    plain = socket.socket()
    plain.setblocking(False)
    if deaf:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", port))
    secure = {"ssl": tls, "server_hostname": "web.test"} if tls is not None else {}
    reader, writer = await asyncio.open_connection(sock=plain, limit=4096 if deaf else 1 << 20, **secure)
    try:
        made = Frames(reader, writer)
        if not bare:
            made.send(PREFACE, frame(Kind.SETTINGS))
        yield made
    finally:
        writer.transport.abort()
