"""Endings: OK, ERR and EOF, which end a command or a part of its answer."""

import struct
from dataclasses import dataclass
from enum import IntEnum

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mysql.numbers import Capability, Status
from marchproxy.wire.mysql.packets import Reader, length_encoded, packet


class Tracked(IntEnum):
    """What of a session's state a server says has changed."""

    SYSTEM_VARIABLES = 0
    SCHEMA = 1
    STATE_CHANGE = 2
    GTIDS = 3
    TRANSACTION_CHARACTERISTICS = 4
    TRANSACTION_STATE = 5


@dataclass(frozen=True, slots=True)
class Ok:
    """An OK; `changes` are of the session's state, each with what the server sent of it."""

    status: int
    warnings: int = 0
    affected: int = 0
    last_id: int = 0
    changes: tuple[tuple[int, bytes], ...] = ()


def read_ok(payload: bytes, capabilities: int) -> Ok:
    """An OK, its first byte 0x00 or 0xFE. Raises ProtocolFault."""
    reader = Reader(payload, 1)
    affected, last_id = reader.length(), reader.length()
    status, warnings = reader.number(2), reader.number(2)
    changes: tuple[tuple[int, bytes], ...] = ()
    if capabilities & Capability.SESSION_TRACK and reader.left:
        reader.text()
        if status & Status.SESSION_STATE_CHANGED and reader.left:
            changes = _changes(Reader(reader.text()))
    return Ok(status, warnings, affected, last_id, changes)


def _changes(reader: Reader) -> tuple[tuple[int, bytes], ...]:
    found = []
    while reader.left:
        found.append((reader.number(1), reader.text()))
    return tuple(found)


def read_eof(payload: bytes) -> int:
    """The status in an EOF. Raises ProtocolFault."""
    if len(payload) != 5:
        raise ProtocolFault("an EOF has 5 bytes")
    return payload[3] | payload[4] << 8


@dataclass(frozen=True, slots=True)
class Refusal:
    """An ERR."""

    code: int
    state: str
    message: str


def read_error(payload: bytes) -> Refusal:
    """An ERR. Raises ProtocolFault."""
    reader = Reader(payload, 1)
    code, words = reader.number(2), reader.rest()
    state = "HY000"
    if words[:1] == b"#" and len(words) >= 6:
        state, words = words[1:6].decode(errors="replace"), words[6:]
    return Refusal(code, state, words.decode(errors="replace"))


def error(sequence: int, refusal: Refusal) -> bytes:
    """An ERR as a packet."""
    words = refusal.message.encode()[:500]
    return packet(sequence, b"\xff" + struct.pack("<H", refusal.code) + b"#" + refusal.state.encode() + words)


def ok(sequence: int, *, status: int = Status.AUTOCOMMIT, affected: int = 0) -> bytes:
    """An OK as a packet."""
    return packet(sequence, b"\0" + length_encoded(affected) + b"\0" + struct.pack("<HH", status, 0))
