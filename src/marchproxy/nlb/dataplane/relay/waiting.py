"""Waiting: who waits for what and until when. No clock: the caller says what time it is."""

from collections.abc import Mapping
from typing import Generic, TypeVar

Kind = TypeVar("Kind")
Who = TypeVar("Who")


class WaitingRooms(Generic[Kind, Who]):
    """One room per kind of wait. All waits of a kind are equally long, so a room stays in order by itself.

    Entering, leaving and finding those who are due each cost O(1). A wait of 0 seconds is never due.
    """

    def __init__(self, seconds: Mapping[Kind, float]) -> None:
        self._seconds = seconds
        self._rooms: dict[Kind, dict[Who, float]] = {kind: {} for kind in seconds}

    def enter(self, kind: Kind, who: Who, now: float) -> None:
        """Begin to wait; whoever waits already begins anew."""
        room = self._rooms[kind]
        room.pop(who, None)
        if self._seconds[kind] > 0:
            room[who] = now + self._seconds[kind]

    def leave(self, kind: Kind, who: Who) -> None:
        """Wait no longer, if they did."""
        self._rooms[kind].pop(who, None)

    def leave_all(self, who: Who) -> None:
        """Wait for nothing any more."""
        for room in self._rooms.values():
            room.pop(who, None)

    def take_due(self, now: float) -> list[tuple[Kind, Who]]:
        """Those whose time is up; they have left."""
        due = []
        for kind, room in self._rooms.items():
            for who, deadline in room.items():
                if deadline > now:
                    break
                due.append((kind, who))
        for kind, who in due:
            del self._rooms[kind][who]
        return due
