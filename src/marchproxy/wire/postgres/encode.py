"""The messages that a proxy sends, to clients and to servers."""

import struct
from collections.abc import Iterable, Mapping

_INT = struct.Struct("!I")

PARSE_COMPLETE = b"1\0\0\0\4"
CLOSE_COMPLETE = b"3\0\0\0\4"
SYNC = b"S\0\0\0\4"
FLUSH = b"H\0\0\0\4"
TERMINATE = b"X\0\0\0\4"
ENCRYPTED, PLAIN = b"S", b"N"
SSL_REQUEST = struct.pack("!II", 8, 1234 << 16 | 5679)


def message(kind: bytes, body: bytes) -> bytes:
    """A message of one type."""
    return kind + _INT.pack(len(body) + 4) + body


def startup(parameters: Mapping[str, str], *, minor: int = 0) -> bytes:
    """What opens a session, in protocol 3.`minor`."""
    words = b"".join(f"{name}\0{value}\0".encode() for name, value in parameters.items())
    return struct.pack("!II", 9 + len(words), 3 << 16 | minor) + words + b"\0"


def cancel(process_id: int, key: bytes) -> bytes:
    """A request to interrupt whoever has this process id and key."""
    return struct.pack("!III", 12 + len(key), 1234 << 16 | 5678, process_id) + key


def ready(status: int) -> bytes:
    """ReadyForQuery with the byte I, T or E."""
    return b"Z\0\0\0\5" + bytes((status,))


def error(code: str, words: str, *, severity: str = "ERROR", hint: str = "") -> bytes:
    """An ErrorResponse with a SQLSTATE."""
    fields = {"S": severity, "V": severity, "C": code, "M": words, "H": hint}
    body = b"".join(
        f"{field}{value}".encode().replace(b"\0", b" ") + b"\0" for field, value in fields.items() if value
    )
    return message(b"E", body + b"\0")


def parameter(name: str, value: str) -> bytes:
    """A ParameterStatus."""
    return message(b"S", f"{name}\0{value}\0".encode())


def key(process_id: int, secret: bytes) -> bytes:
    """A BackendKeyData."""
    return message(b"K", _INT.pack(process_id) + secret)


def negotiate(minor: int, refused: Iterable[str]) -> bytes:
    """NegotiateProtocolVersion: the newest minor version spoken here, and the options that are not known."""
    names = [name.encode() + b"\0" for name in refused]
    return message(b"v", struct.pack("!II", 3 << 16 | minor, len(names)) + b"".join(names))


def challenge(kind: int, data: bytes = b"") -> bytes:
    """An Authentication message: 0 is well, 3 wants a password, 5 an MD5 of one, 10 to 12 are SASL."""
    return message(b"R", _INT.pack(kind) + data)


def query(text: str) -> bytes:
    """A Query."""
    return message(b"Q", text.encode() + b"\0")


def parse(name: bytes, tail: bytes) -> bytes:
    """A Parse; `tail` as in `frontend.Parse`."""
    return message(b"P", name + b"\0" + tail)


def close_statement(name: bytes) -> bytes:
    """A Close of a statement."""
    return message(b"C", b"S" + name + b"\0")


def password(secret: bytes) -> bytes:
    """A PasswordMessage, or a SASL answer."""
    return message(b"p", secret)
