"""Catalogue: the statements that a client has prepared on its server connection, where somebody must know them. Pure."""

from collections import deque
from dataclasses import dataclass

from marchproxy.wire.mysql.prepared import Prepared

#: With more statements, or longer ones, nothing is known of a statement, and it is the primary's.
_MOST, _LONGEST, _MOST_BYTES = 2000, 16_384, 1 << 20
_EXECUTE = 10
_NULLS_AT = 14 - 4  # behind the command's number, the statement's, flags and iterations


@dataclass(slots=True)
class Copy:
    """A statement on one connection: the number that it has there, and the types that were given there last."""

    number: int
    given: bytes | None = None


@dataclass(slots=True)
class Statement:
    """A prepared statement. `types` are those of its parameters, as the client gave them last."""

    own: Copy
    text: bytes
    parameters: int
    types: bytes | None = None
    unclear: bool = False
    """Something of it was sent that was not seen: it stays where it is."""


class Catalogue:
    """Of one session."""

    def __init__(self) -> None:
        self.answers: list[Prepared] = []
        """Filled by the flow of the session's connection."""
        self._asked: deque[bytes] = deque()
        self._known: dict[int, Statement] = {}
        self._bytes = 0

    def asked(self, text: bytes) -> None:
        """A PREPARE is on its way."""
        self._asked.append(text)

    def heard(self) -> None:
        """Take in what was answered."""
        for prepared in self.answers:
            text = self._asked.popleft() if self._asked else b""
            if prepared.number and text and self._has_room(len(text)):
                self._bytes += len(text)
                self._known[prepared.number] = Statement(Copy(prepared.number), text, prepared.parameters)
        self.answers.clear()

    def closed(self, number: int) -> Statement | None:
        """A statement that is no more."""
        statement = self._known.pop(number, None)
        self._bytes -= len(statement.text) if statement is not None else 0
        return statement

    def clear(self) -> None:
        """None are left."""
        self._asked.clear()
        self._known.clear()
        self._bytes = 0

    def get(self, number: int) -> Statement | None:
        """What is known of a statement."""
        return self._known.get(number)

    def _has_room(self, length: int) -> bool:
        return length <= _LONGEST and len(self._known) < _MOST and self._bytes + length <= _MOST_BYTES


def number_of(payload: bytes) -> int:
    """The statement's number in a COM_STMT_*."""
    return int.from_bytes(payload[1:5], "little")


def has_cursor(payload: bytes) -> bool:
    """Whether an EXECUTE opens a cursor, or is not as it should be."""
    return len(payload) < _EXECUTE or payload[5] != 0


def take_types(statement: Statement, payload: bytes) -> bool:
    """Note the types that an EXECUTE brings, if it does; False: nobody knows the types."""
    at = _NULLS_AT + (statement.parameters + 7) // 8
    if not statement.parameters:
        return True
    if len(payload) <= at:
        return False
    if payload[at] == 1:
        statement.types = payload[at + 1 : at + 1 + 2 * statement.parameters]
    return statement.types is not None


def execute_for(statement: Statement, payload: bytes, copy: Copy) -> bytes:
    """The payload of an EXECUTE for a connection with this copy of the statement, with types if it lacks them."""
    head = payload[:1] + copy.number.to_bytes(4, "little")
    if not statement.parameters or statement.types is None:
        return head + payload[5:]
    at = _NULLS_AT + (statement.parameters + 7) // 8
    given, copy.given = copy.given, statement.types
    if payload[at] == 1 or given == statement.types:
        return head + payload[5:]
    return head + payload[5:at] + b"\x01" + statement.types + payload[at + 1 :]
