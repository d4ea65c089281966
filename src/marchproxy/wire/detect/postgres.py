"""PostgreSQL: the messages that open a connection.

https://www.postgresql.org/docs/current/protocol-message-formats.html; the numbers are in src/include/libpq/pqcomm.h.
A client that begins with TLS directly (PostgreSQL 17) is TLS with the ALPN name "postgresql".
"""

import struct

from marchproxy.wire.detect.verdict import Detected, Look, Protocol

HORIZON = 12
_OPENING = struct.Struct("!II")  # length, itself included; code
_MAJOR = 3  # 3.0 and 3.2; the server negotiates minor versions it does not know
_LONGEST_STARTUP = 10_000  # MAX_STARTUP_PACKET_LENGTH
_CANCEL = 1234 << 16 | 5678
_REQUESTS = {1234 << 16 | 5679: "ssl-request", 1234 << 16 | 5680: "gss-request"}
# process id and a key of 4 bytes; from protocol 3.2 on a key of up to 256
_CANCEL_LENGTHS = range(16, 12 + 256 + 1)


def look(data: bytes) -> Detected | Look:
    """StartupMessage 3.x, SSLRequest, GSSENCRequest or CancelRequest."""
    if not data.startswith(b"\0\0"[: len(data)]):
        return Look.NO  # every one of these lengths fits in two bytes
    if len(data) < _OPENING.size:
        return Look.MORE
    length, code = _OPENING.unpack_from(data)
    if form := _REQUESTS.get(code):
        return Detected(Protocol.POSTGRES, form) if length == _OPENING.size else Look.NO
    if code == _CANCEL:
        return _look_cancel(data) if length in _CANCEL_LENGTHS else Look.NO
    if code >> 16 == _MAJOR and _OPENING.size < length <= _LONGEST_STARTUP:
        return _look_startup(data)
    return Look.NO


def _look_cancel(data: bytes) -> Detected | Look:
    if len(data) < HORIZON:
        return Look.MORE
    return Detected(Protocol.POSTGRES, "cancel-request") if any(data[8:HORIZON]) else Look.NO


def _look_startup(data: bytes) -> Detected | Look:
    # "user" is required, so a parameter name follows; a zero there would be MongoDB's responseTo
    if len(data) == _OPENING.size:
        return Look.MORE
    return Detected(Protocol.POSTGRES, "startup") if 0x20 < data[8] < 0x7F else Look.NO
