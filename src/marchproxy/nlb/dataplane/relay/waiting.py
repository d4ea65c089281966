"""Waiting: who waits for what and until when. No clock: the caller says what time it is."""

from collections.abc import Mapping
from typing import Generic, TypeVar

Kind = TypeVar("Kind")
Who = TypeVar("Who")


class WaitingRooms(Generic[Kind, Who]):
    """Rooms by kind and length of wait. All waits of a room are equally long, so it stays in order by itself.

    Entering, leaving and finding those who are due each cost O(1). A wait of 0 seconds is never due.
    """

    def __init__(self, seconds: Mapping[Kind, float]) -> None:
        """How long the waits of each kind are, unless `enter` says otherwise."""
        self._seconds = seconds
        self._rooms: dict[Kind, dict[float, dict[Who, float]]] = {
            kind: {length: {}} for kind, length in seconds.items()
        }

    def enter(self, kind: Kind, who: Who, now: float, seconds: float | None = None) -> None:
        """Begin to wait; whoever waits already begins anew."""
        rooms = self._rooms[kind]
        for room in rooms.values():
            room.pop(who, None)
        length = self._seconds[kind] if seconds is None else seconds
        if length > 0:
            rooms.setdefault(length, {})[who] = now + length

    def leave(self, kind: Kind, who: Who) -> None:
        """Wait no longer, if they did."""
        for room in self._rooms[kind].values():
            room.pop(who, None)

    def leave_all(self, who: Who) -> None:
        """Wait for nothing any more."""
        for rooms in self._rooms.values():
            for room in rooms.values():
                room.pop(who, None)

    def take_due(self, now: float) -> list[tuple[Kind, Who]]:
        """Those whose time is up; they have left."""
        due = []
        for kind, rooms in self._rooms.items():
            for length, room in tuple(rooms.items()):
                gone = _due(room, now)
                due += [(kind, who) for who in gone]
                for who in gone:
                    del room[who]
                if not room and length != self._seconds[kind]:  # nobody may ever ask for this length again
                    del rooms[length]
        return due


def _due(room: Mapping[Who, float], now: float) -> list[Who]:
    gone = []
    for who, deadline in room.items():
        if deadline > now:
            break
        gone.append(who)
    return gone
