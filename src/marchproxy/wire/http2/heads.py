"""Heads: fields of requests out of HPACK blocks (RFC 7541), checked as RFC 9113 §8 wants it; those of answers into them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from hpack import Decoder, HPACKError, OversizedHeaderListError

from marchproxy.wire.http2.frames import Code, Http2Fault, StreamFault

#: Bytes of what both sides remember of earlier heads: values of Envoy's that come back are one byte then.
TABLE_SIZE = 16_384
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_VALUE = re.compile(rb"[^\x00\r\n]*")
_OF_CONNECTIONS = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
)
_PSEUDO = frozenset({b":method", b":path", b":scheme", b":authority"})
_NEEDED = (b":method", b":path", b":scheme")
#: We remember nothing of what we send (§4.2 of RFC 7541: said once, at the start).
_NO_TABLE = b"\x20"
_STATUS_IN_TABLE = {200: 8, 204: 9, 206: 10, 304: 11, 400: 12, 404: 13, 500: 14}
_STATUS_NAME = 8  # its place in the static table
_SHORT = 127


@dataclass(frozen=True, slots=True)
class Head:
    """Of a request. What stands in `fields` twice is joined by a comma."""

    method: bytes
    path: bytes
    fields: dict[bytes, bytes]


class Heads:
    """The heads of one connection. `longest`: bytes of a head, unpacked, counted as §6.5.2 of RFC 9113 does."""

    __slots__ = ("_decoder", "_greeted")

    def __init__(self, longest: int) -> None:
        self._decoder = Decoder(max_header_list_size=longest)
        self._decoder.max_allowed_table_size = TABLE_SIZE
        self._greeted = False

    def decode(self, block: bytes) -> list[tuple[bytes, bytes]]:
        """Raises Http2Fault: what comes next could not be understood any more."""
        try:
            return [(bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True)]
        except OversizedHeaderListError as error:
            raise Http2Fault(Code.ENHANCE_YOUR_CALM, "a head that is too long") from error
        except (HPACKError, IndexError) as error:
            raise Http2Fault(Code.COMPRESSION_ERROR, f"a head that is no HPACK: {error}") from error

    def encode(self, status: int, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
        """The head of an answer; names in small letters. Nothing is packed: the way is a Unix socket, and time is dear."""
        start = b"" if self._greeted else _NO_TABLE
        self._greeted = True
        known = _STATUS_IN_TABLE.get(status)
        first = bytes((0x80 | known,)) if known else b"%c\x03%d" % (_STATUS_NAME, status)
        return b"".join((start, first, *map(_literal, fields)))


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
        if not _NAME.fullmatch(name) or name in _OF_CONNECTIONS:
            raise _malformed(f"a field {name[:40]!r}")
        if not _VALUE.fullmatch(value):
            raise _malformed(f"a value of {name[:40]!r}")
        plain[name] = plain[name] + b", " + value if name in plain else value
    if any(not pseudo.get(name) for name in _NEEDED):
        raise _malformed("no method, path or scheme")
    return Head(pseudo[b":method"], pseudo[b":path"], plain)


def _malformed(what: str) -> StreamFault:
    return StreamFault(Code.PROTOCOL_ERROR, f"a request with {what}")


def _literal(field: tuple[bytes, bytes]) -> bytes:
    """Without index, as it is (§6.2.2 of RFC 7541)."""
    name, value = field
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
