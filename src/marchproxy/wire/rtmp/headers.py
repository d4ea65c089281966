"""Headers: what heads of chunks say, and what each chunk stream remembers of them (RTMP §5.3.1)."""

import struct
from typing import Final

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp.message import TIME_MASK

#: The size of chunks until one is told.
CHUNK_SIZE: Final = 128
#: No message is longer than its length can say, so that a larger chunk is the same as this (§5.4.1).
LARGEST_CHUNK: Final = 0xFF_FFFF
#: In place of a timestamp: it stands behind, in four bytes.
EXTENDED: Final = 0xFF_FFFF
#: Of a message, in bytes; a keyframe of 4K video has about two.
LONGEST: Final = 8 * 1024 * 1024
#: Chunk streams of one connection; encoders use four.
MOST_STREAMS: Final = 64
#: Instead of a place: the head is cut off.
MORE: Final = -1

_SIZES = (11, 7, 3)
_unpack_number = struct.Struct(">I").unpack_from
_unpack_little = struct.Struct("<I").unpack_from


class ChunkStream:
    """What one chunk stream remembers: the message that it carries, or carried last. `left`: bytes of it to come."""

    __slots__ = (
        "csid",
        "delta",
        "extended",
        "field",
        "fresh",
        "left",
        "length",
        "stream_id",
        "timestamp",
        "type",
    )

    def __init__(self, csid: int) -> None:
        self.csid = csid
        self.type = self.stream_id = self.length = self.left = 0
        self.timestamp = 0
        self.delta = 0
        """What a message adds to the timestamp that says nothing of it; after an absolute one, that (as FMLE counts)."""
        self.extended = False
        self.field = 0
        """The timestamp or delta as it was sent."""
        self.fresh = True
        """It has never had a head of all fields."""


class Headers:
    """The heads of one direction of one connection.

    After `read`, `stream` is the chunk stream of the chunk and `starts` tells whether a message begins with it.
    """

    __slots__ = ("chunk_size", "longest", "most", "starts", "stream", "streams")

    def __init__(self, *, longest: int = LONGEST, most: int = MOST_STREAMS) -> None:
        self.chunk_size = CHUNK_SIZE
        self.longest = longest
        self.most = most
        self.streams: dict[int, ChunkStream] = {}
        self.stream = ChunkStream(0)
        self.starts = False

    def resize(self, payload: bytes) -> None:
        """Apply a SetChunkSize. Less than what everybody begins with would only make work. Raises ProtocolFault."""
        size = int.from_bytes(payload[:4]) if len(payload) >= 4 else 0
        if not CHUNK_SIZE <= size < 1 << 31:
            raise ProtocolFault(f"chunks of {size} bytes; {CHUNK_SIZE} to {LARGEST_CHUNK} are allowed")
        self.chunk_size = min(size, LARGEST_CHUNK)

    def read(self, data: bytes, at: int) -> int:
        """Where the body of the chunk whose head starts there begins; MORE where the head is cut off. Raises ProtocolFault."""
        head = data[at]
        csid, at = head & 0x3F, at + 1
        if csid < 2:
            if len(data) - at <= csid:
                return MORE
            csid, at = (data[at] | data[at + 1] << 8, at + 2) if csid else (data[at], at + 1)
            csid += 64
        stream = self.streams.get(csid)
        if head >= 0xC0:
            if stream is None:
                raise ProtocolFault(f"chunk stream {csid} begins with a head that says nothing")
            self.stream = stream
            return (
                self._repeated(stream, data, at) if stream.extended or not stream.left else self._goes_on(at)
            )
        if stream is None:
            stream = self._new(csid)
        elif stream.left:
            raise ProtocolFault(f"a message begins on chunk stream {csid} before the last one has ended")
        return self._begun(stream, head >> 6, data, at)

    def _goes_on(self, at: int) -> int:
        self.starts = False
        return at

    def _new(self, csid: int) -> ChunkStream:
        if len(self.streams) >= self.most:
            raise ProtocolFault(f"more than {self.most} chunk streams on a connection")
        return ChunkStream(csid)

    def _begun(self, stream: ChunkStream, fmt: int, data: bytes, at: int) -> int:
        """A message begins with a head of its own. Nothing is remembered before all of the head is there."""
        size = _SIZES[fmt]
        if len(data) - at < size:
            return MORE
        field = _unpack_number(data, at - 1)[0] & 0xFF_FFFF
        end = at + size
        extended = field == EXTENDED
        if extended:
            if len(data) - end < 4:
                return MORE
            (field,) = _unpack_number(data, end)
            end += 4
        if fmt < 2:
            (described,) = _unpack_number(data, at + 3)
            length = described >> 8
            if length > self.longest:
                raise ProtocolFault(f"a message of {length} bytes; {self.longest} are allowed")
            stream.length, stream.type = length, described & 0xFF
            if not fmt:
                (stream.stream_id,) = _unpack_little(data, at + 7)
        elif stream.fresh:
            raise ProtocolFault(f"chunk stream {stream.csid} begins with a head that does not say what comes")
        stream.timestamp = field if not fmt else (stream.timestamp + field) & TIME_MASK
        stream.delta = stream.field = field
        stream.extended = extended
        stream.left = stream.length
        if stream.fresh:
            stream.fresh = False
            self.streams[stream.csid] = stream
        self.stream, self.starts = stream, True
        return end

    def _repeated(self, stream: ChunkStream, data: bytes, at: int) -> int:
        """The shortest head where it begins a message, or where four bytes of time may follow it.

        They should, but clients that descend from rtmpdump leave them out where a message goes on; then the bytes are its
        body, and hardly ever equal to the time (SRS' rule).
        """
        starts = not stream.left
        if stream.extended:
            if starts:
                if len(data) - at < 4:
                    return MORE
                stream.delta = stream.field = _unpack_number(data, at)[0]
                at += 4
            else:
                there = data[at : at + 4]
                expected = stream.field.to_bytes(4)
                if there == expected:
                    at += 4
                elif expected.startswith(there):
                    return MORE
        if starts:
            stream.timestamp = (stream.timestamp + stream.delta) & TIME_MASK
            stream.left = stream.length
        self.starts = starts
        return at
