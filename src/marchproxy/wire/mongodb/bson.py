"""BSON, as much as a proxy needs: the fields of one level of a document, stepped over and not decoded, and small answers.

https://bsonspec.org/spec.html
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum

from marchproxy.wire.fault import ProtocolFault

_INT32 = struct.Struct("<i")
_INT64 = struct.Struct("<q")
_DOUBLE = struct.Struct("<d")
_MOST_FIELDS = 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Kind(IntEnum):
    """The types that are read or written here."""

    DOUBLE = 1
    STRING = 2
    DOCUMENT = 3
    ARRAY = 4
    BINARY = 5
    OBJECT_ID = 7
    BOOLEAN = 8
    DATETIME = 9
    INT32 = 16
    INT64 = 18


_STRING = int(Kind.STRING)  # it is looked up for each request, and in the Enum that takes ten times as long
_FIXED = {1: 8, 6: 0, 7: 12, 8: 1, 9: 8, 10: 0, 16: 4, 17: 8, 18: 8, 19: 16, 0x7F: 0, 0xFF: 0}
_REGEX = 11
#: Of values that begin with a length: the least that it may be, and how many bytes it does not count. In this order: string, code,
#: symbol; document, array, code with scope; binary, DBPointer.
_AROUND = {2: (1, 4), 13: (1, 4), 14: (1, 4), 3: (5, 0), 4: (5, 0), 15: (5, 0), 5: (0, 5), 12: (1, 16)}
_OF_FIXED, _OF_NEITHER = -1, -2
#: The same for each byte that a type may be, and for a size that is fixed instead of the least.
_SIZES = tuple(
    _AROUND.get(kind, (_OF_FIXED, _FIXED[kind]) if kind in _FIXED else (_OF_NEITHER, 0))
    for kind in range(256)
)
_NUMBERS = {Kind.DOUBLE: _DOUBLE, Kind.INT32: _INT32, Kind.INT64: _INT64}

#: Where a value is: its type, and the bytes from start to end.
Place = tuple[int, int, int]
Value = bool | int | float | str | bytes | datetime | Mapping[str, "Value"] | Sequence["Value"]


class Int64(int):
    """A number that is written with 64 bits, however small."""


@dataclass(frozen=True, slots=True)
class ObjectId:
    """Twelve bytes."""

    data: bytes


def document_end(data: bytes, start: int, end: int) -> int:
    """Where a document that starts there ends, at most at `end`. Raises ProtocolFault."""
    if end - start < 5:
        raise ProtocolFault("a document is cut off")
    size: int = _INT32.unpack_from(data, start)[0]
    if not 5 <= size <= end - start or data[start + size - 1]:
        raise ProtocolFault(f"a document of {size} bytes does not fit where it is")
    return start + size


def walk(data: bytes, start: int, end: int) -> list[tuple[bytes, Place]]:
    """The fields of the document from start to end, in their order, by name. Raises ProtocolFault."""
    at, last = start + 4, document_end(data, start, end) - 1
    found: list[tuple[bytes, Place]] = []
    while at < last:
        zero = data.find(0, at + 1, last)
        if zero < 0 or len(found) == _MOST_FIELDS:
            raise ProtocolFault("a document has a field without an end, or too many of them")
        name, kind = data[at + 1 : zero], data[at]
        zero += 1
        least, more = _SIZES[kind]
        if least == _OF_FIXED:
            at = zero + more
        elif least == _OF_NEITHER or last - zero < _INT32.size:
            at = _stop(data, kind, zero, last)
        else:
            (size,) = _INT32.unpack_from(data, zero)
            if size < least:
                raise ProtocolFault(f"a value of type {kind} with {size} bytes")
            at = zero + size + more
        if at > last:
            raise ProtocolFault("a field reaches over the end of its document")
        found.append((name, (kind, zero, at)))
    return found


def fields(data: bytes, start: int, end: int) -> dict[bytes, Place]:
    """All fields of a document. Raises ProtocolFault, also where a name comes twice: readers may differ on which counts."""
    walked = walk(data, start, end)
    found = dict(walked)
    if len(found) != len(walked):
        names = [name for name, _ in walked]
        twice = next(name for name in names if names.count(name) > 1)
        raise ProtocolFault(f"field {twice[:40].decode(errors='replace')!r} comes twice")
    return found


def text(data: bytes, place: Place | None) -> str | None:
    """A string; None where the value is none."""
    if place is None or place[0] != _STRING:
        return None
    return data[place[1] + 4 : place[2] - 1].decode(errors="replace")


def number(data: bytes, place: Place | None) -> int | None:
    """A whole number, whichever way it is written, a boolean too; None where the value is none."""
    if place is None:
        return None
    kind, start, _ = place
    if kind == Kind.BOOLEAN:
        return data[start]
    how = _NUMBERS.get(Kind(kind)) if kind in _NUMBERS else None
    if how is None:
        return None
    value = how.unpack_from(data, start)[0]
    return int(value) if abs(value) < 2**63 or kind == Kind.INT64 else None  # not infinite, not NaN


def moment(data: bytes, place: Place | None) -> float | None:
    """A date, in seconds since 1970; None where the value is none."""
    if place is None or place[0] != Kind.DATETIME:
        return None
    milliseconds: int = _INT64.unpack_from(data, place[1])[0]
    return milliseconds / 1000


def binary(data: bytes, place: Place | None) -> bytes | None:
    """The bytes of a binary value; None where the value is none."""
    return data[place[1] + 5 : place[2]] if place is not None and place[0] == Kind.BINARY else None


def encode(document: Mapping[str, "Value | ObjectId"]) -> bytes:
    """Write a document."""
    body = b"".join(_element(name, value) for name, value in document.items())
    return _INT32.pack(len(body) + 5) + body + b"\0"


def _element(name: str, value: "Value | ObjectId") -> bytes:
    kind, data = _written(value)
    return bytes((kind,)) + name.encode() + b"\0" + data


def _written(value: "Value | ObjectId") -> tuple[int, bytes]:  # noqa: PLR0911 - one for each type
    match value:
        case bool():
            return Kind.BOOLEAN, bytes((value,))
        case Int64():
            return Kind.INT64, _INT64.pack(value)
        case int():
            return (Kind.INT32, _INT32.pack(value)) if -(2**31) <= value < 2**31 else _written(Int64(value))
        case float():
            return Kind.DOUBLE, _DOUBLE.pack(value)
        case str():
            encoded = value.encode()
            return Kind.STRING, _INT32.pack(len(encoded) + 1) + encoded + b"\0"
        case bytes():
            return Kind.BINARY, _INT32.pack(len(value)) + b"\0" + value
        case ObjectId(data):
            return Kind.OBJECT_ID, data
        case datetime():
            return Kind.DATETIME, _INT64.pack((value - _EPOCH).total_seconds().__floor__() * 1000)
        case Mapping():
            return Kind.DOCUMENT, encode(value)
        case _:
            return Kind.ARRAY, encode({str(index): item for index, item in enumerate(value)})


def _stop(data: bytes, kind: int, at: int, last: int) -> int:
    """Where a value ends of which neither its type nor a length tells that; beyond `last` where it is cut off."""
    if kind == _REGEX:  # two texts that end with a zero byte
        middle = data.find(b"\0", at, last)
        end = data.find(b"\0", middle + 1, last) if middle >= 0 else -1
        return end + 1 if end >= 0 else last + 1
    if kind not in _AROUND:
        raise ProtocolFault(f"a value of type {kind}")
    return last + 1
