"""TLS: a ClientHello, whole, with its server name and its application protocols.

Records: RFC 8446 §5.1. ClientHello: §4.1.2 (and RFC 5246 §7.4.1.2). SNI: RFC 6066 §3. ALPN: RFC 7301 §3.1. SSL 2.0's
hello is not recognised: RFC 6176 forbids it.
"""

from marchproxy.wire.detect.verdict import Detected, Look, Protocol

_RECORD_HEADER = 5
_HANDSHAKE = 22
_LONGEST_RECORD = 1 << 14
_CLIENT_HELLO = 1
_MESSAGE_HEADER = 4
#: A hello of more bytes, or cut into more records, is refused: it is no client's, and each look walks all of it.
_LONGEST_HELLO = 1 << 14
_MOST_RECORDS = 64
_SERVER_NAME, _ALPN = 0, 16
_HOST_NAME = 0
_LONGEST_NAME = 255


class _Malformed(Exception):
    """Not a ClientHello."""


def look(data: bytes) -> Detected | Look:
    """A complete ClientHello, in one record or several, in any number of reads."""
    message = bytearray()
    at = 0
    for _ in range(_MOST_RECORDS):
        header = data[at : at + _RECORD_HEADER]
        if not _fits_record(header):
            return Look.NO
        if len(header) < _RECORD_HEADER:
            return Look.MORE
        end = at + _RECORD_HEADER + int.from_bytes(header[3:])
        message += data[at + _RECORD_HEADER : end]
        if not _fits_message(message):
            return Look.NO
        if len(message) >= _MESSAGE_HEADER and len(message) >= (size := _message_size(message)):
            return _read(bytes(message[_MESSAGE_HEADER:size]))
        if end > len(data):
            return Look.MORE
        at = end
    return Look.NO


def _fits_record(header: bytes) -> bool:
    """Whether a record of the handshake begins like this; the header may be cut short."""
    if not header.startswith(bytes((_HANDSHAKE, 3))[: len(header)]):
        return False
    if len(header) > 3 and header[3] << 8 > _LONGEST_RECORD:
        return False
    # an empty fragment of a handshake message is forbidden, §5.1
    return len(header) < _RECORD_HEADER or 0 < int.from_bytes(header[3:]) <= _LONGEST_RECORD


def _fits_message(message: bytearray) -> bool:
    if message and message[0] != _CLIENT_HELLO:
        return False
    return len(message) < _MESSAGE_HEADER or _message_size(message) <= _LONGEST_HELLO


def _message_size(message: bytearray) -> int:
    return _MESSAGE_HEADER + int.from_bytes(message[1:_MESSAGE_HEADER])


def _read(body: bytes) -> Detected | Look:
    try:
        return _read_hello(_Reader(body))
    except _Malformed:
        return Look.NO


def _read_hello(hello: "_Reader") -> Detected:
    if hello.take(2)[0] != 3:
        raise _Malformed
    hello.take(32)  # random
    session_id, suites, compressions = hello.vector(1), hello.vector(2), hello.vector(1)
    if len(session_id) > 32 or not suites or len(suites) % 2 or not compressions:
        raise _Malformed
    extensions = _read_extensions(hello)
    return Detected(
        Protocol.TLS,
        "client-hello",
        _read_server_name(extensions.get(_SERVER_NAME)),
        _read_alpn(extensions.get(_ALPN)),
    )


def _read_extensions(hello: "_Reader") -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    if hello.at_end():  # TLS 1.2 and earlier may have none
        return found
    extensions = _Reader(hello.vector(2))
    while not extensions.at_end():
        kind = int.from_bytes(extensions.take(2))
        if kind in found:  # §4.2
            raise _Malformed
        found[kind] = extensions.vector(2)
    if not hello.at_end():
        raise _Malformed
    return found


def _read_server_name(extension: bytes | None) -> str:
    if extension is None:
        return ""
    outer = _Reader(extension)
    names = _Reader(outer.vector(2))
    kind, name = names.take(1)[0], names.vector(2)
    # other kinds were never defined, and there is one name of a kind
    if not (outer.at_end() and names.at_end()) or kind != _HOST_NAME or not 0 < len(name) <= _LONGEST_NAME:
        raise _Malformed
    if not all(0x20 < character < 0x7F for character in name):  # A-labels only; and safe to log
        raise _Malformed
    return name.decode("ascii").lower()


def _read_alpn(extension: bytes | None) -> tuple[bytes, ...]:
    if extension is None:
        return ()
    outer = _Reader(extension)
    names = _Reader(outer.vector(2))
    found = []
    while not names.at_end():
        found.append(names.vector(1))
    if not outer.at_end() or not found or not all(found):
        raise _Malformed
    return tuple(found)


class _Reader:
    """Takes bytes from the front; raises _Malformed when there are not enough."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def at_end(self) -> bool:
        return self._at == len(self._data)

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise _Malformed
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def vector(self, prefix: int) -> bytes:
        """The bytes behind a length of `prefix` bytes, RFC 8446 §3.4."""
        return self.take(int.from_bytes(self.take(prefix)))
