"""Framing: cuts a stream into messages. A row is stepped over, never copied, never parsed.

A message is a type byte, a length of four bytes that counts itself, and the body.
"""

import struct
from collections.abc import Mapping
from enum import IntEnum

from marchproxy.wire.fault import ProtocolFault

_LENGTH = struct.Struct("!I")
_HEAD = 5
#: PostgreSQL's own bound of a message (PQ_LARGE_MESSAGE_LIMIT).
LARGEST = 0x3FFF_FFFF

#: A message: its type byte, where it starts in the bytes it came with, and where it ends (or they do).
Event = tuple[int, int, int]


class Interest(IntEnum):
    """What is made of a message of some type."""

    UNKNOWN = 0
    """It breaks the protocol."""
    STEP_OVER = 1
    NOTE = 2
    """It is told of when it begins; its body may still be under way."""
    WHOLE = 3
    """It is held back until it is complete, and then told of."""


class Framer:
    """One direction of one connection. `interests` by type byte; `longest` is of messages that are held back."""

    __slots__ = ("_held", "_lacking", "_longest", "_more", "_skip", "_table", "between")

    def __init__(self, interests: Mapping[int, Interest], *, longest: int) -> None:
        self._table = bytes(interests.get(kind, Interest.UNKNOWN) for kind in range(256))
        self._longest = longest
        self._held = b""
        self._more: list[bytes] = []  # what came behind that, as long as it is not enough
        self._lacking = 0
        self._skip = 0
        self.between = True
        """Whether the stream is at the end of a message."""

    def is_one(self, data: bytes, kind: int) -> bool:
        """Whether these bytes are exactly one message of this type: then they need not be fed."""
        return (
            len(data) >= _HEAD
            and data[0] == kind
            and _LENGTH.unpack_from(data, 1)[0] == len(data) - 1
            and self.between
        )

    def feed(self, data: bytes) -> tuple[bytes, list[Event]]:
        """The bytes that may go on, and the messages in them that were asked for. Raises ProtocolFault."""
        if self._held:
            data = self._join(data)
        size, skip = len(data), self._skip
        if skip >= size:
            self._skip = skip - size
            self.between = skip == size and not self._held
            return data, []
        self._skip = 0
        self.between = False
        events: list[Event] = []
        table, at = self._table, skip
        while size - at >= _HEAD:
            kind = data[at]
            interest = table[kind]
            (length,) = _LENGTH.unpack_from(data, at + 1)
            end = at + 1 + length
            if interest == Interest.UNKNOWN or not 4 <= length <= LARGEST:
                raise ProtocolFault(f"no message of type {chr(kind)!r} with {length} bytes is expected")
            if interest == Interest.WHOLE:
                if end > size:
                    self._check_held(kind, length)
                    self._lacking = end - size
                    break
                events.append((kind, at, end))
            else:
                if interest == Interest.NOTE:
                    events.append((kind, at, min(end, size)))
                if end > size:
                    self._skip = end - size
                    return data, events
            at = end
        else:
            self._lacking = 1  # more of a message's head
        if at < size:
            self._held = data[at:]
            data = data[:at]
        else:
            self.between = True
        return data, events

    def _join(self, data: bytes) -> bytes:
        """What was held and this; nothing as long as that is not enough."""
        if len(data) < self._lacking:
            self._lacking -= len(data)
            self._more.append(data)
            return b""
        data = b"".join((self._held, *self._more, data))
        self._held = b""
        self._more.clear()
        return data

    def _check_held(self, kind: int, length: int) -> None:
        if length > self._longest:
            raise ProtocolFault(
                f"a message of type {chr(kind)!r} has {length} bytes; {self._longest} are allowed"
            )
