"""Frames: the words of HTTP/2, and those that are sent as bytes (RFC 9113 §4, §6, §7)."""

import struct
from enum import IntEnum
from typing import Final

from marchproxy.wire.fault import ProtocolFault

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD_SIZE: Final = 9
#: Bytes of a frame that everybody takes; more is never announced.
FRAME_SIZE: Final = 16_384
LARGEST_FRAME: Final = 2**24 - 1
#: Of both kinds of windows, before anything is said of them.
WINDOW: Final = 65_535
LARGEST_WINDOW: Final = 2**31 - 1

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    range(10)
)

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
WITH_PRIORITY: Final = 0x20

_pack_head = struct.Struct(">BHBBI").pack
_SETTING = struct.Struct(">HI")
_NUMBER = struct.Struct(">I")


class Setting(IntEnum):
    """What is set by SETTINGS (§6.5.2)."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class Code(IntEnum):
    """Why a stream or a connection ends (§7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


class Http2Fault(ProtocolFault):
    """The peer breaks the protocol: the connection ends with this code."""

    def __init__(self, code: Code, what: str) -> None:
        super().__init__(what)
        self.code = code


class StreamFault(Exception):
    """Something is wrong with one stream, which ends with this code; the connection goes on."""

    def __init__(self, code: Code, what: str) -> None:
        super().__init__(what)
        self.code = code


def head(size: int, kind: int, flags: int, stream: int) -> bytes:
    """The head of a frame whose payload has so many bytes."""
    return _pack_head(size >> 16, size & 0xFFFF, kind, flags, stream)


def settings(values: dict[Setting, int]) -> bytes:
    """What we set."""
    payload = b"".join(_SETTING.pack(*pair) for pair in values.items())
    return head(len(payload), SETTINGS, 0, 0) + payload


def window_update(stream: int, size: int) -> bytes:
    """The peer may send so many bytes more."""
    return head(4, WINDOW_UPDATE, 0, stream) + _NUMBER.pack(size)


def reset(stream: int, code: Code) -> bytes:
    """A stream ends."""
    return head(4, RST_STREAM, 0, stream) + _NUMBER.pack(code)


def goaway(last: int, code: Code) -> bytes:
    """Streams beyond `last` were not looked at, and no new ones are taken."""
    return head(8, GOAWAY, 0, 0) + _NUMBER.pack(last) + _NUMBER.pack(code)


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """What the peer sets, in its order. Raises Http2Fault."""
    if len(payload) % _SETTING.size:
        raise Http2Fault(Code.FRAME_SIZE_ERROR, "SETTINGS with half a setting")
    found = list(_SETTING.iter_unpack(payload))
    for name, value in found:
        if name == Setting.INITIAL_WINDOW_SIZE and value > LARGEST_WINDOW:
            raise Http2Fault(Code.FLOW_CONTROL_ERROR, "a window that is too large")
        if name == Setting.MAX_FRAME_SIZE and not FRAME_SIZE <= value <= LARGEST_FRAME:
            raise Http2Fault(Code.PROTOCOL_ERROR, f"frames of {value} bytes")
        if name == Setting.ENABLE_PUSH and value > 1:
            raise Http2Fault(Code.PROTOCOL_ERROR, "ENABLE_PUSH that is no switch")
    return found


def read_number(payload: bytes, name: str) -> int:
    """A payload that is one number of four bytes. Raises Http2Fault."""
    if len(payload) != _NUMBER.size:
        raise Http2Fault(Code.FRAME_SIZE_ERROR, f"{name} of {len(payload)} bytes")
    return int.from_bytes(payload)
