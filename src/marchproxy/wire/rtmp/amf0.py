"""AMF0: the values that commands and metadata are made of (Adobe's "AMF 0 File Format Specification").

Depth, number of values and their size are bounded, for a few bytes may claim any number of them.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Final, TypeAlias

from marchproxy.wire.fault import ProtocolFault

#: Objects within objects; capabilities are two deep.
DEEPEST: Final = 16
#: Values in one message; metadata of files list their keyframes.
MOST_VALUES: Final = 10_000

_NUMBER = struct.Struct(">d")
_SHORT = struct.Struct(">H")
_LONG = struct.Struct(">I")
_ZONE = struct.Struct(">h")
_END_OF_OBJECT = b"\0\0\x09"


class Marker(IntEnum):
    """What a value begins with."""

    NUMBER = 0
    BOOLEAN = 1
    STRING = 2
    OBJECT = 3
    NULL = 5
    UNDEFINED = 6
    REFERENCE = 7
    ECMA_ARRAY = 8
    OBJECT_END = 9
    STRICT_ARRAY = 10
    DATE = 11
    LONG_STRING = 12
    UNSUPPORTED = 13
    XML = 15
    TYPED_OBJECT = 16
    AMF3 = 17


class Undefined(Enum):
    """The value that is none, and not null either."""

    UNDEFINED = "undefined"


UNDEFINED: Final = Undefined.UNDEFINED


class EcmaArray(dict[str, "Value"]):
    """An object that is written as an associative array, as metadata are."""


class Xml(str):
    """A text that is written as an XML document."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Date:
    """Milliseconds since 1970, and minutes of the zone, which are reserved."""

    milliseconds: float
    zone: int = 0


@dataclass(frozen=True, slots=True)
class Reference:
    """An object that came before, by its number. It is not resolved: objects that contain themselves would have no end."""

    index: int


@dataclass(frozen=True, slots=True)
class Typed:
    """An object of a named class."""

    name: str
    fields: Mapping[str, "Value"] = field(default_factory=dict)


Value: TypeAlias = (
    "bool | int | float | str | Date | Reference | Typed | Undefined | dict[str, Value] | list[Value] | None"
)


def decode(data: bytes, at: int = 0) -> list[Value]:
    """All values from there to the end. Raises ProtocolFault."""
    reader = _Reader(data, at)
    values: list[Value] = []
    while reader.at < len(data):
        values.append(reader.value(0))
    return values


def encode(*values: Value) -> bytes:
    """The values, one behind the other. Numbers become doubles."""
    out = bytearray()
    for value in values:
        _write(out, value)
    return bytes(out)


class _Reader:
    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at
        self.left = MOST_VALUES

    def value(self, depth: int) -> Value:  # noqa: PLR0911 - one for each type
        marker = self.take(1)[0]
        self.left -= 1
        if self.left < 0 or depth > DEEPEST:
            raise ProtocolFault(f"AMF0 of more than {MOST_VALUES} values, or nested more than {DEEPEST} deep")
        match marker:
            case Marker.NUMBER:
                return self.number()
            case Marker.BOOLEAN:
                return self.take(1) != b"\0"
            case Marker.STRING:
                return self.text(_SHORT)
            case Marker.NULL:
                return None
            case Marker.OBJECT:
                return self.fields({}, depth)
            case Marker.ECMA_ARRAY:
                return self.ecma_array(depth)
            case Marker.STRICT_ARRAY:
                return [self.value(depth + 1) for _ in range(self.count())]
            case _:
                return self.rare(marker, depth)

    def rare(self, marker: int, depth: int) -> Value:
        match marker:
            case Marker.UNDEFINED | Marker.UNSUPPORTED:
                return UNDEFINED
            case Marker.LONG_STRING:
                return self.text(_LONG)
            case Marker.XML:
                return Xml(self.text(_LONG))
            case Marker.DATE:
                milliseconds = self.number()
                return Date(milliseconds, _ZONE.unpack(self.take(2))[0])
            case Marker.REFERENCE:
                return Reference(_SHORT.unpack(self.take(2))[0])
            case Marker.TYPED_OBJECT:
                return Typed(self.text(_SHORT), self.fields({}, depth))
            case _:
                raise ProtocolFault(f"no value of AMF0 begins with {marker:#04x}")

    def take(self, size: int) -> bytes:
        taken = self.data[self.at : self.at + size]
        if len(taken) < size:
            raise ProtocolFault("a value of AMF0 is cut off")
        self.at += size
        return taken

    def number(self) -> float:
        value: float = _NUMBER.unpack(self.take(8))[0]
        return value

    def count(self) -> int:
        count: int = _LONG.unpack(self.take(4))[0]
        if count > min(self.left, len(self.data) - self.at):
            raise ProtocolFault(f"an array of {count} values does not fit where it is")
        return count

    def text(self, size: struct.Struct) -> str:
        (length,) = size.unpack(self.take(size.size))
        return self.take(length).decode(errors="replace")

    def ecma_array(self, depth: int) -> EcmaArray:
        """The number of its fields is a hint that some get wrong; some leave its end out at the end of a message."""
        self.take(4)
        found = EcmaArray()
        self.fields(found, depth, may_end=True)
        return found

    def fields(self, found: dict[str, Value], depth: int, *, may_end: bool = False) -> dict[str, Value]:
        while not self.data.startswith(_END_OF_OBJECT, self.at):
            if may_end and self.at == len(self.data):
                return found
            name = self.text(_SHORT)
            found[name] = self.value(depth + 1)
        self.at += len(_END_OF_OBJECT)
        return found


def _write(out: bytearray, value: Value) -> None:
    match value:
        case None:
            out.append(Marker.NULL)
        case bool():
            out += bytes((Marker.BOOLEAN, value))
        case int() | float():
            out.append(Marker.NUMBER)
            out += _NUMBER.pack(value)
        case str():
            _write_text(out, value)
        case Undefined():
            out.append(Marker.UNDEFINED)
        case list():
            out.append(Marker.STRICT_ARRAY)
            out += _LONG.pack(len(value))
            for item in value:
                _write(out, item)
        case Date():
            out.append(Marker.DATE)
            out += _NUMBER.pack(value.milliseconds) + _ZONE.pack(value.zone)
        case Reference():
            out.append(Marker.REFERENCE)
            out += _SHORT.pack(value.index)
        case _:
            _write_object(out, value)


def _write_text(out: bytearray, text: str) -> None:
    data = text.encode(errors="replace")
    if isinstance(text, Xml):
        out.append(Marker.XML)
    elif len(data) <= 0xFFFF:
        out.append(Marker.STRING)
        out += _SHORT.pack(len(data)) + data
        return
    else:
        out.append(Marker.LONG_STRING)
    out += _LONG.pack(len(data)) + data


def _write_object(out: bytearray, value: "dict[str, Value] | Typed") -> None:
    fields: Mapping[str, Value]
    if isinstance(value, Typed):
        out.append(Marker.TYPED_OBJECT)
        out += _name(value.name)
        fields = value.fields
    elif isinstance(value, EcmaArray):
        out.append(Marker.ECMA_ARRAY)
        out += _LONG.pack(len(value))
        fields = value
    else:
        out.append(Marker.OBJECT)
        fields = value
    for name, item in fields.items():
        out += _name(name)
        _write(out, item)
    out += _END_OF_OBJECT


def _name(name: str) -> bytes:
    data = name.encode(errors="replace")
    if len(data) > 0xFFFF:
        raise ValueError(f"a name of {len(data)} bytes does not fit into AMF0; 65535 are allowed")
    return _SHORT.pack(len(data)) + data
