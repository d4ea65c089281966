"""What a server says, as far as a proxy must understand it. Each function reads one whole message, header included."""

import struct
from dataclasses import dataclass

from marchproxy.wire.fault import ProtocolFault

_HEAD = 5
_INT = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class ErrorFields:
    """An ErrorResponse or NoticeResponse: its SQLSTATE and its words."""

    severity: str
    code: str
    message: str


def read_error(message: bytes) -> ErrorFields:
    """An ErrorResponse or NoticeResponse. Raises ProtocolFault."""
    if not message.endswith(b"\0\0") and message[_HEAD:] != b"\0":
        raise ProtocolFault("an error does not end with a zero byte")
    fields: dict[bytes, str] = {}
    for part in message[_HEAD:-2].split(b"\0"):
        fields.setdefault(part[:1], part[1:].decode(errors="replace"))
    # V is the severity that is never translated, since 9.6
    return ErrorFields(fields.get(b"V") or fields.get(b"S", ""), fields.get(b"C", ""), fields.get(b"M", ""))


def read_parameter(message: bytes) -> tuple[str, str]:
    """A ParameterStatus: name and value. Raises ProtocolFault."""
    words = message[_HEAD:].split(b"\0")
    if len(words) != 3 or words[2] or not words[0]:
        raise ProtocolFault("a parameter status has a name and a value")
    return words[0].decode(errors="replace"), words[1].decode(errors="replace")


def read_key(message: bytes) -> tuple[int, bytes]:
    """A BackendKeyData: process id, and the key of 4 to 256 bytes. Raises ProtocolFault."""
    if not _HEAD + 8 <= len(message) <= _HEAD + 4 + 256:
        raise ProtocolFault("the key of a backend has 4 to 256 bytes")
    return _INT.unpack_from(message, _HEAD)[0], message[_HEAD + 4 :]


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a server asks a client to prove: `kind` is the number of the Authentication message, `data` what follows it."""

    kind: int
    data: bytes

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """The SASL mechanisms that are offered."""
        return tuple(name.decode(errors="replace") for name in self.data.split(b"\0") if name)


def read_challenge(message: bytes) -> Challenge:
    """An Authentication message. Raises ProtocolFault."""
    if len(message) < _HEAD + 4:
        raise ProtocolFault("an authentication message has at least a number")
    return Challenge(_INT.unpack_from(message, _HEAD)[0], message[_HEAD + 4 :])
