"""Framing: cuts a stream into messages. A length is judged as soon as it is there, before the message is."""

import struct
from enum import IntEnum

from marchproxy.wire.fault import ProtocolFault

#: messageLength (itself included), requestID, responseTo, opCode; everything is little-endian.
HEADER = struct.Struct("<iiii")
_LENGTH = struct.Struct("<i")
#: maxMessageSizeBytes of every server.
LARGEST = 48_000_000


class Code(IntEnum):
    """Kinds of message that are spoken here."""

    REPLY = 1
    QUERY = 2004
    COMPRESSED = 2012
    MSG = 2013


class Framer:
    """One direction of one connection; no message may be longer than `longest` bytes."""

    __slots__ = ("_have", "_parts", "_wanted", "longest")

    def __init__(self, longest: int = LARGEST) -> None:
        self.longest = longest
        self._parts: list[bytes] = []
        self._have = 0
        self._wanted = HEADER.size

    @property
    def between(self) -> bool:
        """Whether the stream is at the end of a message."""
        return not self._have

    @property
    def held(self) -> int:
        """Bytes of a message that is not whole yet."""
        return self._have

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete now, header included. Raises ProtocolFault."""
        if self._have:
            self._parts.append(data)
            self._have += len(data)
            if self._have < self._wanted:
                return []
            data = b"".join(self._parts)
            self._parts, self._have = [], 0
        messages, at, size = list[bytes](), 0, len(data)
        if size >= HEADER.size and _LENGTH.unpack_from(data)[0] == size <= self.longest:
            return [data]
        self._wanted = HEADER.size
        while size - at >= 4:
            (length,) = _LENGTH.unpack_from(data, at)
            if not HEADER.size <= length <= self.longest:
                raise ProtocolFault(
                    f"a message of {length} bytes; {HEADER.size} to {self.longest} are allowed"
                )
            if size - at < length:
                self._wanted = length
                break
            messages.append(data if length == size else data[at : at + length])
            at += length
        if at < size:
            self._parts, self._have = [data[at:] if at else data], size - at
        return messages
