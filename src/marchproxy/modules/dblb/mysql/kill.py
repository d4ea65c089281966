"""Kill: whom a client wants to stop. Clients know the numbers that they were given here, not those of servers. Pure."""

import re
from dataclasses import dataclass

from marchproxy.wire.mysql.numbers import Command

_KILL = re.compile(
    rb"\s*KILL(?:\s+(?:HARD|SOFT))?(?:\s+(CONNECTION|QUERY))?\s+(\d{1,20})\s*;?\s*", re.IGNORECASE
)
#: Numbers given here are above this, those of servers below.
OURS = 1 << 31


@dataclass(frozen=True, slots=True)
class Kill:
    """A session to stop: what it does now, or altogether."""

    number: int
    query_only: bool

    def command(self, thread: int) -> bytes:
        """The same as a payload, for a server that calls the session by this number."""
        return b"\x03KILL %s %d" % (b"QUERY" if self.query_only else b"CONNECTION", thread)


def read_kill(payload: bytes) -> Kill | None:
    """Of a command, the session with a number of ours that it wants to stop."""
    if payload[0] == Command.PROCESS_KILL and len(payload) == 5:
        kill = Kill(int.from_bytes(payload[1:], "little"), query_only=False)
    elif payload[0] == Command.QUERY and len(payload) < 100 and (found := _KILL.fullmatch(payload, 1)):
        kill = Kill(int(found[2]), query_only=(found[1] or b"").upper() == b"QUERY")
    else:
        return None
    return kill if kill.number >= OURS else None
