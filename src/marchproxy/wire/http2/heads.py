"""Heads: fields of requests out of HPACK blocks (RFC 7541), checked as RFC 9113 §8 wants it; those of answers into them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from marchproxy.wire.http2.frames import Code, StreamFault
from marchproxy.wire.http2.unpacking import Unpacker

#: Bytes of what both sides remember of earlier heads: values of Envoy's that come back are one byte then.
TABLE_SIZE = 16_384
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_NO_VALUE = re.compile(rb"[\x00\r\n]")
_OF_CONNECTIONS = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
)
_PSEUDO = frozenset({b":method", b":path", b":scheme", b":authority"})
#: We remember nothing of what we send (§4.2 of RFC 7541: said once, at the start).
_NO_TABLE = b"\x20"
_STATUS_IN_TABLE = {200: 8, 204: 9, 206: 10, 304: 11, 400: 12, 404: 13, 500: 14}
_STATUS_NAME = 8  # its place in the static table
_SHORT = 127


@dataclass(slots=True)  # a frozen one takes three times as long to make
class Head:
    """Of a request. What stands in `fields` twice is joined by a comma."""

    method: bytes
    path: bytes
    fields: dict[bytes, bytes]


class Heads:
    """The heads of one connection. `longest`: bytes of a head, unpacked, counted as §6.5.2 of RFC 9113 does."""

    __slots__ = ("_greeted", "_unpacker")

    def __init__(self, longest: int) -> None:
        self._unpacker = Unpacker(TABLE_SIZE, longest)
        self._greeted = False

    def decode(self, block: bytes) -> list[tuple[bytes, bytes]]:
        """Raises Http2Fault: what comes next could not be understood any more."""
        return self._unpacker.decode(block)

    def encode(self, status: int, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
        """The head of an answer; names in small letters. Nothing is packed: the way is a Unix socket, and time is dear."""
        start = b"" if self._greeted else _NO_TABLE
        self._greeted = True
        known = _STATUS_IN_TABLE.get(status)
        first = bytes((0x80 | known,)) if known else b"%c\x03%d" % (_STATUS_NAME, status)
        return b"".join((start, first, *map(_literal, fields)))


def encode_trailers(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """What stands behind an answer; names in small letters. Of any connection, since no table is used."""
    return b"".join(map(_literal, fields))


def as_request(fields: list[tuple[bytes, bytes]]) -> Head:
    """Raises StreamFault where it is malformed (§8.1.1)."""
    pseudo: dict[bytes, bytes] = {}
    plain: dict[bytes, bytes] = {}
    for name, value in fields:
        if name[:1] == b":":
            if plain or name in pseudo or name not in _PSEUDO:
                raise _malformed(f"{name[:40]!r} where it may not be")
            pseudo[name] = value
            continue
        if not _is_name(name):
            raise _malformed(f"a field {name[:40]!r}")
        plain[name] = plain[name] + b", " + value if name in plain else value
    if _NO_VALUE.search(b"".join(plain.values())):
        raise _malformed("a value that has a control character")
    if not (pseudo.get(b":method") and pseudo.get(b":path") and pseudo.get(b":scheme")):
        raise _malformed("no method, path or scheme")
    return Head(pseudo[b":method"], pseudo[b":path"], plain)


@lru_cache(maxsize=4096)
def _is_name(name: bytes) -> bool:
    return _NAME.fullmatch(name) is not None and name not in _OF_CONNECTIONS


def _malformed(what: str) -> StreamFault:
    return StreamFault(Code.PROTOCOL_ERROR, f"a request with {what}")


def _literal(field: tuple[bytes, bytes]) -> bytes:
    """Without index, as it is (§6.2.2 of RFC 7541)."""
    name, value = field
    if len(name) < _SHORT and len(value) < _SHORT:  # nearly always
        return b"\x00%c%b%c%b" % (len(name), name, len(value), value)
    return b"".join((b"\x00", _length(len(name)), name, _length(len(value)), value))


def _length(size: int) -> bytes:
    """§5.1 of RFC 7541, with a prefix of seven bits."""
    if size < _SHORT:
        return bytes((size,))
    found = bytearray((_SHORT,))
    size -= _SHORT
    while size >= 0x80:
        found.append(size & 0x7F | 0x80)
        size >>= 7
    found.append(size)
    return bytes(found)
