"""Commands: what of a request, and of an answer, a decision needs."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mongodb import bson, message
from marchproxy.wire.mongodb.bson import Place

_MOST_CURSORS = 1000
_LEAST = 5  # bytes of a document


@dataclass(slots=True, eq=False)  # not frozen: one is made for each request, and that would double its price
class Command:
    """A request. `places` are its fields, as bytes of `data`. Nobody changes it."""

    name: str
    database: str
    data: bytes = field(repr=False)
    places: Mapping[bytes, Place] = field(repr=False)
    start: int
    end: int
    flags: int = 0
    """Those of its OP_MSG."""

    @property
    def session(self) -> bytes:
        """The logical session that it belongs to, as it is written; empty when it belongs to none."""
        place = self.places.get(b"lsid")
        return self.data[place[1] : place[2]] if place is not None else b""

    @property
    def transaction(self) -> int | None:
        """The number of the transaction that it is part of. A retryable write has a number and is part of none."""
        return self.number(b"txnNumber") if b"autocommit" in self.places else None

    @property
    def cursor(self) -> Place | None:
        """Where a getMore names its cursor."""
        place = self.places[b"getMore"] if self.name == "getMore" else None
        return place if place is not None and place[0] == bson.Kind.INT64 else None

    def text(self, name: bytes) -> str | None:
        """A field that is a string."""
        return bson.text(self.data, self.places.get(name))

    def number(self, name: bytes) -> int | None:
        """A field that is a whole number or a boolean."""
        return bson.number(self.data, self.places.get(name))

    def inner(self, name: bytes) -> Mapping[bytes, Place]:
        """The fields of a field that is a document; none when it is not there. Raises ProtocolFault."""
        place = self.places.get(name)
        if place is None or place[0] != bson.Kind.DOCUMENT:
            return {}
        return bson.fields(self.data, place[1], place[2])

    def cursors(self) -> list[int]:
        """Those that a killCursors names. Raises ProtocolFault."""
        place = self.places.get(b"cursors")
        if place is None or place[0] != bson.Kind.ARRAY:
            raise ProtocolFault("killCursors without cursors")
        found = [bson.number(self.data, item) for _, item in bson.walk(self.data, place[1], place[2])]
        if len(found) > _MOST_CURSORS:
            raise ProtocolFault(f"killCursors with more than {_MOST_CURSORS} cursors")
        return [number for number in found if number is not None]


def read_command(data: bytes) -> Command:
    """The command of an OP_MSG, which is taken without its checksum. Raises ProtocolFault."""
    flags = message.flags_of_one(data)
    if flags >= 0:
        start, end = message.ONE_AT, len(data)
    else:
        data = message.without_checksum(data)
        (start, end), flags = message.body(data), message.flags(data)
    places = bson.fields(data, start, end)
    if not places:
        raise ProtocolFault("an empty command")
    place = places.get(b"$db")
    database = bson.text(data, place)
    if database is None:
        raise ProtocolFault("a command without $db")
    return Command(next(iter(places)).decode(errors="replace"), database, data, places, start, end, flags)


def read_query(data: bytes) -> Command:
    """The command of an OP_QUERY: only its fields are good for anything. Raises ProtocolFault."""
    collection, start, end = message.query(data)
    places = bson.fields(data, start, end)
    if not places:
        raise ProtocolFault("an empty command")
    database = collection.partition(".")[0]
    return Command(next(iter(places)).decode(errors="replace"), database, data, places, start, end)


_FIRST_BATCH = struct.Struct("<20xBI8sI12sI")
_BEGUN = 0, b"\x03cursor\0", b"\x04firstBatch\0"
_CURSOR_AT, _BATCH_AT = 33, 49
_ENDED = b"\x12id\0" + bytes(8)


def has_ended(answer: bytes) -> bool:
    """Whether an OP_MSG is what most finds are answered: the first batch of a cursor that has ended. False: it may be, too."""
    size = len(answer)
    if size < _BATCH_AT + 4:
        return False
    kind, whole, cursor, within, batch, length = _FIRST_BATCH.unpack_from(answer)
    end = _BATCH_AT + length
    return (
        (kind, cursor, batch) == _BEGUN
        and whole == size - message.ONE_AT
        and length >= _LEAST
        and answer.startswith(_ENDED, end)
        and end + len(_ENDED) < _CURSOR_AT + within < size
    )


@dataclass(frozen=True, slots=True)
class CursorField:
    """The cursor of an answer: its number (0: it has ended), at which byte it stands, and its namespace."""

    number: int
    at: int
    namespace: str


def cursor_of(answer: bytes) -> CursorField | None:
    """The cursor of an answer, where it has one. Raises ProtocolFault."""
    start, end = message.body(answer)
    for name, (kind, first, last) in bson.walk(answer, start, end):
        if name == b"cursor" and kind == bson.Kind.DOCUMENT:
            return _cursor_field(answer, first, last)
    return None


def refusal_of(answer: bytes) -> int | None:
    """The code of an answer that says that the command failed (0 when it has none); None when it did not. Raises ProtocolFault."""
    start, end = message.body(answer)
    ok, code = 1, 0
    for name, place in bson.walk(answer, start, end):
        if name == b"ok":
            ok = bson.number(answer, place) or 0
        elif name == b"code":
            code = bson.number(answer, place) or 0
    return None if ok else code


def _cursor_field(answer: bytes, start: int, end: int) -> CursorField | None:
    number, at, namespace = None, 0, ""
    for name, place in bson.walk(answer, start, end):
        if name == b"id" and place[0] == bson.Kind.INT64:
            number, at = bson.number(answer, place), place[1]
            if not number:
                break  # most have ended: nobody needs to know where
        elif name == b"ns":
            namespace = bson.text(answer, place) or ""
    return CursorField(number, at, namespace) if number is not None else None
