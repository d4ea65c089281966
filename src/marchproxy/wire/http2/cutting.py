"""Cutting: the preface and the frames of a client out of bytes that are cut anywhere; a head in several comes as one (RFC 9113
§3.4, §4, §6.2, §6.10)."""

from typing import TypeAlias

from marchproxy.wire.http2 import frames
from marchproxy.wire.http2.frames import Code, Http2Fault

_MOST_CONTINUATIONS = 32

#: Kind, flags, stream, payload. The payload of HEADERS is the whole block.
Frame: TypeAlias = tuple[int, int, int, bytes]


class Cutter:
    """One connection. `longest`: bytes of a head as it is packed."""

    __slots__ = ("_block", "_buffer", "_greeted", "_longest", "_set")

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._buffer = b""
        self._greeted = False  # the preface was read
        self._set = False  # and the SETTINGS that must follow it
        self._block: tuple[int, int, list[bytes]] | None = (
            None  # stream, flags, pieces of a head that is not whole
        )

    def feed(self, data: bytes, found: list[Frame]) -> None:
        """Add the frames that are whole now to `found`. Raises Http2Fault, with those before the fault in `found`."""
        data = self._buffer + data if self._buffer else data
        at, size = 0, len(data)
        if not self._greeted:
            if not data.startswith(frames.PREFACE[:size]):
                raise Http2Fault(Code.PROTOCOL_ERROR, "no HTTP/2 with prior knowledge")
            if size < len(frames.PREFACE):
                self._buffer = data
                return
            self._greeted = True
            at = len(frames.PREFACE)
        while size - at >= frames.HEAD_SIZE:
            length = int.from_bytes(data[at : at + 3])
            if length > frames.FRAME_SIZE:
                raise Http2Fault(Code.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
            start = at + frames.HEAD_SIZE
            if size - start < length:
                break
            stream = int.from_bytes(data[at + 5 : start]) & frames.LARGEST_WINDOW
            self._take((data[at + 3], data[at + 4], stream, data[start : start + length]), found)
            at = start + length
        self._buffer = data[at:]

    def _take(self, frame: Frame, found: list[Frame]) -> None:
        kind, flags, stream, payload = frame
        if not self._set:
            if kind != frames.SETTINGS or flags & frames.ACK:
                raise Http2Fault(Code.PROTOCOL_ERROR, "something else than SETTINGS comes first")
            self._set = True
        if kind == frames.CONTINUATION:
            self._continue(flags, stream, payload, found)
        elif self._block is not None:
            raise Http2Fault(Code.PROTOCOL_ERROR, "a frame within a head")
        elif kind != frames.HEADERS:
            found.append(frame)
        else:
            block = _without_priority(flags, unpadded(flags, payload))
            if flags & frames.END_HEADERS:
                found.append((kind, flags, stream, block))
            else:
                self._block = stream, flags, [block]

    def _continue(self, flags: int, stream: int, payload: bytes, found: list[Frame]) -> None:
        if self._block is None or self._block[0] != stream:
            raise Http2Fault(Code.PROTOCOL_ERROR, "CONTINUATION of nothing")
        _, first, pieces = self._block
        pieces.append(payload)
        if len(pieces) > _MOST_CONTINUATIONS or sum(map(len, pieces)) > self._longest:
            raise Http2Fault(Code.ENHANCE_YOUR_CALM, "a head that is too long")
        if flags & frames.END_HEADERS:
            self._block = None
            found.append((frames.HEADERS, first, stream, b"".join(pieces)))


def unpadded(flags: int, payload: bytes) -> bytes:
    """Without the padding of DATA or HEADERS. Raises Http2Fault."""
    if not flags & frames.PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise Http2Fault(Code.PROTOCOL_ERROR, "more padding than there is")
    return payload[1 : len(payload) - payload[0]]


def _without_priority(flags: int, block: bytes) -> bytes:
    if not flags & frames.WITH_PRIORITY:
        return block
    if len(block) < 5:
        raise Http2Fault(Code.FRAME_SIZE_ERROR, "half a priority")
    return block[5:]
