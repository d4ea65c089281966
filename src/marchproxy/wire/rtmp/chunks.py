"""Reading chunks: messages out of them (RTMP §5.3). Bytes are copied when a message is joined, and held no longer."""

from typing import Final

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp.headers import LONGEST, MORE, MOST_STREAMS, ChunkStream, Headers
from marchproxy.wire.rtmp.message import Message, Type

_SET_CHUNK_SIZE, _ABORT = int(Type.SET_CHUNK_SIZE), int(Type.ABORT)
#: Messages that are not whole may hold so many times the longest one, over all chunk streams.
_LONGEST_AT_ONCE: Final = 2


class ChunkReader:
    """One direction of one connection. `longest`: bytes of a message; it may be changed between two feeds."""

    __slots__ = ("_due", "_headers", "_held", "_parts")

    def __init__(self, *, longest: int = LONGEST, most: int = MOST_STREAMS) -> None:
        self._headers = Headers(longest=longest, most=most)
        self._held = b""  # of a head
        self._due = 0  # bytes of a chunk's body
        self._parts: dict[int, bytearray] = {}  # messages under way, by chunk stream

    @property
    def chunk_size(self) -> int:
        """As the peer told last."""
        return self._headers.chunk_size

    @property
    def longest(self) -> int:
        """The most bytes of a message."""
        return self._headers.longest

    @longest.setter
    def longest(self, size: int) -> None:
        self._headers.longest = size

    @property
    def between(self) -> bool:
        """Whether the stream is at the end of a message, and no other message is under way."""
        return not (self._held or self._parts)

    @property
    def pending(self) -> int:
        """Bytes of messages that are not whole yet."""
        return len(self._held) + sum(map(len, self._parts.values()))

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete now, control messages too (SetChunkSize and Abort are obeyed already).

        Raises ProtocolFault; the messages before what is wrong are lost then.
        """
        if self._held:
            data, self._held = self._held + data, b""
        messages: list[Message] = []
        at, size, headers = 0, len(data), self._headers
        if self._due:
            at = self._chunk(data, 0, self._due, messages)
        while at < size:
            body = headers.read(data, at)
            if body == MORE:
                self._held = data[at:]
                break
            at = self._body(data, body, messages)
        if len(self._parts) > _LONGEST_AT_ONCE and self.pending > _LONGEST_AT_ONCE * headers.longest:
            raise ProtocolFault(f"{self.pending} bytes of messages that do not end")
        return messages

    def _body(self, data: bytes, at: int, messages: list[Message]) -> int:
        """Take the chunk whose body starts there, and those behind it as long as they are of the same message."""
        headers = self._headers
        stream, chunk = headers.stream, headers.chunk_size
        left = stream.left
        if left <= chunk:
            if headers.starts and len(data) - at >= left:
                stream.left = 0
                self._whole(stream, data[at : at + left], messages)
                return at + left
            return self._chunk(data, at, left, messages)
        end = min(len(data), at + left + (left - 1) // chunk)
        heads = data[at + chunk : end : chunk + 1]
        if stream.extended or stream.csid > 63 or heads.count(0xC0 | stream.csid) != len(heads):
            return self._chunk(data, at, chunk, messages)
        self._run(data, at, end, messages)
        return end

    def _run(self, data: bytes, at: int, end: int, messages: list[Message]) -> None:
        """All chunks from `at` to `end`, which are of one message and have heads of one byte."""
        stream, chunk = self._headers.stream, self._headers.chunk_size
        full, rest = divmod(end - at, chunk + 1)
        stream.left -= full * chunk + rest
        self._due = min(chunk - rest, stream.left)
        view = memoryview(data)[:end]
        payload = b"".join([view[start : start + chunk] for start in range(at, end, chunk + 1)])
        if stream.left or not self._headers.starts:
            parts = self._parts.setdefault(stream.csid, bytearray())
            parts += payload
            if stream.left:
                return
            payload = bytes(self._parts.pop(stream.csid))
        self._whole(stream, payload, messages)

    def _chunk(self, data: bytes, at: int, due: int, messages: list[Message]) -> int:
        """Take what is there of one chunk."""
        stream = self._headers.stream
        body = data[at : at + due]
        self._due = due - len(body)
        stream.left -= len(body)
        parts = self._parts.get(stream.csid)
        if parts is None:
            parts = self._parts[stream.csid] = bytearray()
        parts += body
        if not stream.left:
            self._whole(stream, bytes(self._parts.pop(stream.csid)), messages)
        return at + len(body)

    def _whole(self, stream: ChunkStream, payload: bytes, messages: list[Message]) -> None:
        kind = stream.type
        messages.append(Message(kind, stream.stream_id, stream.timestamp, payload, stream.csid))
        if kind == _SET_CHUNK_SIZE:
            self._headers.resize(payload)
        elif kind == _ABORT:
            self._abort(int.from_bytes(payload[:4]))

    def _abort(self, csid: int) -> None:
        if self._parts.pop(csid, None) is not None:
            self._headers.streams[csid].left = 0
