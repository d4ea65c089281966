"""Replicas: the servers that hold the same data. Which one a command goes to, and who waits until there is one."""

from collections import deque
from collections.abc import Sequence
from typing import Protocol
from zlib import crc32

from marchproxy.modules.dblb.mongodb.hello import Role
from marchproxy.modules.dblb.mongodb.member import Member
from marchproxy.modules.dblb.mongodb.preference import Mode

#: How much slower than the fastest server the nearest ones may be, in seconds (localThresholdMS).
_THRESHOLD = 0.015
_PRIMARY = Role.PRIMARY  # looked up for each command, and in the Enum that takes ten times as long


class Parked(Protocol):
    """Who waits for a server."""

    def try_again(self) -> None:
        """The servers have changed."""
        ...


class Replicas:
    """A replica set, one server, or several mongos; `lag`: seconds that a secondary may be behind to be read."""

    def __init__(self, members: Sequence[Member], lag: float) -> None:
        self.members = tuple(members)
        self.lag = lag
        self._parked: deque[Parked] = deque()

    def choose(self, mode: Mode, session: bytes = b"") -> Member | None:
        """The least busy of the servers that fit, or always the same for a session; None when none does."""
        fitting = _fitting(self.members, mode, self.lag)
        if len(fitting) == 1:
            return fitting[0]
        if session:  # by the session alone, so that other workers choose likewise (rendezvous hashing)
            return max(fitting, key=lambda member: crc32(session + member.name.encode()), default=None)
        return min(fitting, key=lambda member: member.busy, default=None)

    def park(self, who: Parked) -> None:
        """Wait until the servers change."""
        self._parked.append(who)

    def unpark(self, who: Parked) -> None:
        """Wait no more."""
        self._parked = deque(item for item in self._parked if item is not who)

    def changed(self) -> None:
        """A server has changed: who waits looks again, the first first."""
        parked, self._parked = self._parked, deque()
        for who in parked:
            who.try_again()


def lag_of(members: Sequence[Member], member: Member) -> float | None:
    """How far a secondary is behind the primary, in seconds; None where nobody knows."""
    written = [one.facts.written for one in _with(members, Role.PRIMARY) if one.facts is not None]
    if not written or written[0] is None or member.facts is None or member.facts.written is None:
        return None
    return max(0.0, written[0] - member.facts.written)


def _fitting(members: Sequence[Member], mode: Mode, lag: float) -> list[Member]:
    primaries = _with(members, _PRIMARY)
    match mode:
        case Mode.PRIMARY:
            return primaries
        case Mode.PRIMARY_PREFERRED:
            return primaries or _secondaries(members, lag)
        case Mode.SECONDARY:
            return _secondaries(members, lag)
        case Mode.SECONDARY_PREFERRED:
            return _secondaries(members, lag) or primaries
        case Mode.NEAREST:
            both = primaries + _secondaries(members, lag)
            fastest = min((member.round_trip for member in both), default=0.0)
            return [member for member in both if member.round_trip <= fastest + _THRESHOLD]


def _secondaries(members: Sequence[Member], lag: float) -> list[Member]:
    return [one for one in _with(members, Role.SECONDARY) if (lag_of(members, one) or 0.0) <= lag]


def _with(members: Sequence[Member], role: Role) -> list[Member]:
    return [member for member in members if member.facts is not None and member.facts.role is role]
