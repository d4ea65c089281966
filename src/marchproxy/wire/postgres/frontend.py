"""What a client says, as far as a proxy must understand it. Each function reads one whole message, header included."""

import struct
from dataclasses import dataclass

from marchproxy.wire.fault import ProtocolFault

_HEAD = 5
_SHORT = struct.Struct("!H")


@dataclass(frozen=True, slots=True)
class Parse:
    """A statement to prepare: `tail` is the SQL text with its zero byte, and the types of its parameters."""

    name: bytes
    tail: bytes

    @property
    def text(self) -> bytes:
        """The SQL text."""
        return self.tail[: self.tail.index(0)]


def read_query(message: bytes) -> bytes:
    """The SQL text of a Query. Raises ProtocolFault."""
    if message.find(0, _HEAD) != len(message) - 1:
        raise ProtocolFault("the text of a query ends with its only zero byte")
    return message[_HEAD:-1]


def read_parse(message: bytes) -> Parse:
    """A Parse. Raises ProtocolFault."""
    at = _zero(message, _HEAD) + 1
    end = _zero(message, at) + 1
    if len(message) < end + 2 or len(message) != end + 2 + 4 * _SHORT.unpack_from(message, end)[0]:
        raise ProtocolFault("a statement to prepare is followed by the types of its parameters")
    return Parse(message[_HEAD : at - 1], message[at:])


def read_bind(message: bytes) -> tuple[bytes, bytes]:
    """Of a Bind the names of the portal and of the statement. Raises ProtocolFault."""
    at = _zero(message, _HEAD) + 1
    end = _zero(message, at)
    return message[_HEAD : at - 1], message[at:end]


def read_target(message: bytes) -> tuple[int, bytes]:
    """Of a Describe or Close: S for a statement or P for a portal, and its name. Raises ProtocolFault."""
    if len(message) < _HEAD + 2 or message[_HEAD] not in b"SP":
        raise ProtocolFault("only a statement or a portal is described or closed")
    if message.find(0, _HEAD + 1) != len(message) - 1:
        raise ProtocolFault("a name ends with its only zero byte")
    return message[_HEAD], message[_HEAD + 1 : -1]


def _zero(message: bytes, start: int) -> int:
    at = message.find(0, start)
    if at < 0:
        raise ProtocolFault("a text does not end with a zero byte")
    return at
