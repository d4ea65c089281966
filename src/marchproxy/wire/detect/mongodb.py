"""MongoDB: the header of a request and the first field behind it.

https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/ and, for OP_MSG's flags,
https://github.com/mongodb/specifications/blob/master/source/message/OP_MSG.md. All numbers are little-endian.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from marchproxy.wire.detect.verdict import Detected, Look, Protocol

_HEADER = struct.Struct("<iiii")  # messageLength (itself included), requestID, responseTo, opCode
_LONGEST = 48_000_000  # maxMessageSizeBytes
_QUERY, _COMPRESSED, _MSG = 2004, 2012, 2013
_MSG_BITS = 0b11  # checksumPresent and moreToCome; an unknown bit among the low 16 is an error
_QUERY_BITS = 0b1111_1110  # bit 0 is reserved
_COMPRESSORS = range(4)  # noop, snappy, zlib, zstd
_SECTIONS = range(2)  # body, document sequence
HORIZON = 25


def look(data: bytes) -> Detected | Look:
    """OP_MSG, OP_QUERY (the hello of older drivers) or OP_COMPRESSED."""
    if not _fits_header(data):
        return Look.NO
    if len(data) < HORIZON:
        return Look.MORE  # the shortest request is as long
    length, _, _, code = _HEADER.unpack_from(data)
    request = _REQUESTS[code]
    fits = length >= request.shortest and request.fits(data)
    return Detected(Protocol.MONGODB, request.form) if fits else Look.NO


def _fits_header(data: bytes) -> bool:
    """Whether a request begins like this; the header may be cut short."""
    if len(data) >= 4 and not HORIZON <= int.from_bytes(data[:4], "little", signed=True) <= _LONGEST:
        return False
    if any(data[8:12]):  # responseTo: only an answer has one
        return False
    return len(data) < _HEADER.size or int.from_bytes(data[12:16], "little") in _REQUESTS


def _fits_message(data: bytes) -> bool:
    (flags,) = struct.unpack_from("<I", data, 16)
    return not flags & 0xFFFF & ~_MSG_BITS and data[20] in _SECTIONS


def _fits_query(data: bytes) -> bool:
    (flags,) = struct.unpack_from("<I", data, 16)
    return not flags & ~_QUERY_BITS and 0x20 < data[20] < 0x7F  # the collection's name


def _fits_compressed(data: bytes) -> bool:
    original, size, compressor = struct.unpack_from("<iiB", data, 16)
    return original in {_MSG, _QUERY} and 0 <= size <= _LONGEST and compressor in _COMPRESSORS


@dataclass(frozen=True, slots=True)
class _Request:
    """`shortest`: bytes of the message with the smallest of what it must carry, such as an empty document."""

    form: str
    shortest: int
    fits: Callable[[bytes], bool]


_REQUESTS = {
    _MSG: _Request("op-msg", 26, _fits_message),
    _QUERY: _Request("op-query", 35, _fits_query),
    _COMPRESSED: _Request("op-compressed", 25, _fits_compressed),
}
