"""Roles: which server takes writes, which may be read, and how old what it has is, from what each says of itself. Pure.

https://redis.io/docs/latest/commands/role/. When in doubt the primary: a replica counts only while it is connected to
the primary that is used. Replication offsets tell what a replica has: everything that the primary had when its own offset
was not larger.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

from marchproxy.kit.settings import HostPort
from marchproxy.wire.redis.values import Failure, Value

_MOST_LOOKS = 128


@dataclass(frozen=True, slots=True)
class Primary:
    """A server that takes writes; the replication offset in bytes."""

    offset: int


@dataclass(frozen=True, slots=True)
class Replica:
    """A server that follows another; `connected`: whether it has a link to it that works."""

    offset: int
    connected: bool


Seen = Primary | Replica | None


@dataclass(frozen=True, slots=True)
class Roles:
    """Who is used for what. `followers`: all that follow a primary."""

    primary: HostPort | None = None
    followers: tuple[HostPort, ...] = ()


class History:
    """What offsets a primary had, and when; times of a monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._offsets: list[int] = []

    def note(self, asked_at: float, offset: int) -> None:
        """The primary was asked then, and told this: whatever had been answered before that moment is in it."""
        if self._offsets and offset < self._offsets[-1]:
            self.forget()
        self._times.append(asked_at)
        self._offsets.append(offset)
        del self._times[:-_MOST_LOOKS], self._offsets[:-_MOST_LOOKS]

    def reached(self, offset: int) -> float:
        """Up to when a replica with that offset has everything; -inf: nobody knows."""
        at = bisect_right(self._offsets, offset)
        return self._times[at - 1] if at else float("-inf")

    @property
    def last(self) -> float:
        """When the primary was asked last; -inf: it was not."""
        return self._times[-1] if self._times else float("-inf")

    def forget(self) -> None:
        """Another server is the primary: its offsets are others."""
        self._times.clear()
        self._offsets.clear()


def read_role(value: Value) -> Seen:
    """What an answer to ROLE says; None: nothing that is of use, such as an error while it loads."""
    match value:
        case Failure():
            return None
        case [b"master", int(offset), *_]:
            return Primary(offset)
        case [b"slave", _, _, state, int(offset), *_]:
            return Replica(offset, connected=state == b"connected")
    return None


def judge(before: Roles, seen: Mapping[HostPort, Seen]) -> Roles:
    """Roles after a look at all servers.

    Two that say they take writes: the one that was used before stays, so that writes go to one of them only; when it is
    gone, the one that has most.
    """
    followers = tuple(address for address, one in seen.items() if isinstance(one, Replica) and one.connected)
    primaries = {address: one for address, one in seen.items() if isinstance(one, Primary)}
    if not primaries:
        return Roles(None, followers)
    most = max(primaries, key=lambda address: primaries[address].offset)
    primary = before.primary if before.primary is not None and before.primary in primaries else most
    return Roles(primary, followers)
