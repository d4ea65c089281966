"""Kill: whom a client wants to stop. Clients know the numbers that they were given here, not those of servers. Pure."""

import re
import struct
from dataclasses import dataclass

from marchproxy.wire.mysql.numbers import Command

_MESSAGE = struct.Struct("<I?")
_KILL = re.compile(
    rb"\s*KILL(?:\s+(?:HARD|SOFT))?(?:\s+(CONNECTION|QUERY))?\s+(\d{1,20})\s*;?\s*", re.IGNORECASE
)
#: Numbers given here are above this, those of servers below. Behind it come 7 bits of the worker, and 24 of the session.
OURS = 1 << 31
_WORKER_BITS, _WORKERS = 24, 128


@dataclass(frozen=True, slots=True)
class Kill:
    """A session to stop: what it does now, or altogether."""

    number: int
    query_only: bool

    def statement(self, thread: int) -> bytes:
        """The same for a server that calls the session by this number."""
        return b"KILL %s %d" % (b"QUERY" if self.query_only else b"CONNECTION", thread)

    def encode(self, user: str) -> bytes:
        """The same for another worker, from a user."""
        return _MESSAGE.pack(self.number, self.query_only) + user.encode()


def decode(message: bytes) -> tuple[Kill, str]:
    """What another worker was asked, and by which user. Raises ValueError."""
    try:
        number, query_only = _MESSAGE.unpack_from(message)
        return Kill(number, query_only), message[_MESSAGE.size :].decode()
    except struct.error as error:
        raise ValueError("a message from another worker is too short") from error


def first_number(worker: int) -> int:
    """The first of the 2^24 numbers of a worker's sessions."""
    return OURS + (worker % _WORKERS << _WORKER_BITS)


def worker_of(number: int) -> int:
    """The worker that gave a session its number."""
    return (number - OURS) >> _WORKER_BITS


def read_kill(payload: bytes) -> Kill | None:
    """Of a command, the session with a number of ours that it wants to stop."""
    if payload[0] == Command.PROCESS_KILL and len(payload) == 5:
        kill = Kill(int.from_bytes(payload[1:], "little"), query_only=False)
    elif payload[0] == Command.QUERY and len(payload) < 100 and (found := _KILL.fullmatch(payload, 1)):
        kill = Kill(int(found[2]), query_only=(found[1] or b"").upper() == b"QUERY")
    else:
        return None
    return kill if kill.number >= OURS else None
