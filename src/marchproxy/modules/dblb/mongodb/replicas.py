"""Replicas: the servers that hold the same data. Which one a command goes to, and who waits until there is one."""

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from marchproxy.modules.dblb.mongodb.hello import Role
from marchproxy.modules.dblb.mongodb.member import Member
from marchproxy.modules.dblb.mongodb.preference import Mode

#: How much slower than the fastest server the nearest ones may be, in seconds (localThresholdMS).
_THRESHOLD = 0.015


class Parked(Protocol):
    """Who waits for a server."""

    def try_again(self) -> None:
        """The servers have changed."""
        ...


class Replicas:
    """A replica set, one server, or several mongos."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = tuple(members)
        self._parked: deque[Parked] = deque()

    def choose(self, mode: Mode) -> Member | None:
        """The least busy of the servers that fit; None when none does."""
        fitting = _fitting(self.members, mode)
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


def _fitting(members: Sequence[Member], mode: Mode) -> list[Member]:
    primaries = _with(members, Role.PRIMARY)
    secondaries = _with(members, Role.SECONDARY)
    match mode:
        case Mode.PRIMARY:
            return primaries
        case Mode.PRIMARY_PREFERRED:
            return primaries or secondaries
        case Mode.SECONDARY:
            return secondaries
        case Mode.SECONDARY_PREFERRED:
            return secondaries or primaries
        case Mode.NEAREST:
            both = primaries + secondaries
            fastest = min((member.round_trip for member in both), default=0.0)
            return [member for member in both if member.round_trip <= fastest + _THRESHOLD]


def _with(members: Sequence[Member], role: Role) -> list[Member]:
    return [member for member in members if member.facts is not None and member.facts.role is role]
