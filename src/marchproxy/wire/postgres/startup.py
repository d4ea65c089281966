"""What opens a connection: a request for encryption, a cancellation, or the startup message. These have no type byte.

The numbers are in src/include/libpq/pqcomm.h.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from marchproxy.wire.fault import ProtocolFault

#: The most bytes that a first packet may have (MAX_STARTUP_PACKET_LENGTH).
LONGEST = 10_000
_HEAD = struct.Struct("!II")  # length, itself included; code
_SSL, _GSS, _CANCEL = (1234 << 16 | number for number in (5679, 5680, 5678))
_MAJOR = 3
# process id, and a key of 4 bytes in 3.0 and of up to 256 in 3.2
_CANCEL_LENGTHS = range(16, 12 + 256 + 1)


@dataclass(frozen=True, slots=True)
class SslRequest:
    """The client would like TLS: answer one byte, S or N."""


@dataclass(frozen=True, slots=True)
class GssRequest:
    """The client would like GSSAPI encryption: answer one byte, G or N."""


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Whoever has this process id and key shall be interrupted. No answer is sent."""

    process_id: int
    key: bytes


@dataclass(frozen=True, slots=True)
class Startup:
    """A session: `minor` is that of protocol 3, `options` the protocol extensions asked for (`_pq_.…`)."""

    minor: int
    parameters: Mapping[str, str]
    options: tuple[str, ...] = ()


Opening = SslRequest | GssRequest | CancelRequest | Startup


def read_opening(data: bytes) -> tuple[Opening, int] | None:
    """The first packet and its length in bytes; None while it is not all there. Raises ProtocolFault."""
    if len(data) < 4:
        return None
    (length,) = struct.unpack_from("!I", data)
    if not 8 <= length <= LONGEST:
        raise ProtocolFault(f"the first packet says that it has {length} bytes")
    if len(data) < length:
        return None
    return _read(data[:length]), length


def _read(packet: bytes) -> Opening:
    length, code = _HEAD.unpack_from(packet)
    if code in {_SSL, _GSS}:
        if length != _HEAD.size:
            raise ProtocolFault("a request for encryption has 8 bytes")
        return SslRequest() if code == _SSL else GssRequest()
    if code == _CANCEL:
        if length not in _CANCEL_LENGTHS:
            raise ProtocolFault(f"a cancel request has no {length} bytes")
        (process_id,) = struct.unpack_from("!I", packet, 8)
        return CancelRequest(process_id, packet[12:])
    if code >> 16 != _MAJOR:
        raise ProtocolFault(f"protocol {code >> 16}.{code & 0xFFFF} is not spoken here, only 3")
    return _startup(code & 0xFFFF, packet[_HEAD.size :])


def _startup(minor: int, body: bytes) -> Startup:
    if not body.endswith(b"\0\0") and body != b"\0":
        raise ProtocolFault("the startup message does not end with a zero byte")
    words = body[:-1].split(b"\0")[:-1]
    if len(words) % 2 or not all(words[::2]):
        raise ProtocolFault("the startup message has a parameter without a name or a value")
    try:
        pairs = [(name.decode(), value.decode()) for name, value in zip(words[::2], words[1::2], strict=True)]
    except UnicodeDecodeError as error:
        raise ProtocolFault("the startup message is not UTF-8") from error
    parameters = {name: value for name, value in pairs if not name.startswith("_pq_.")}
    options = tuple(name for name, _ in pairs if name.startswith("_pq_."))
    if not parameters.get("user"):
        raise ProtocolFault("the startup message names no user")
    return Startup(minor, MappingProxyType(parameters), options)
