"""Audience: the players of a stream, and which of them get what was just published. No I/O but by players."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from marchproxy.modules.rtmp.streams.batch import Batch

if TYPE_CHECKING:
    from marchproxy.modules.rtmp.streams.player import Player


class Audience:
    """Those who read as fast as it comes cost one write each; the others are looked at one by one."""

    __slots__ = ("_late", "_prompt", "_writes")

    def __init__(self) -> None:
        self._prompt: dict[Player, Callable[[bytes], None]] = {}
        self._late: dict[Player, None] = {}
        self._writes: tuple[Callable[[bytes], None], ...] = ()

    def __len__(self) -> int:
        """How many players there are."""
        return len(self._prompt) + len(self._late)

    def __iter__(self) -> Iterator["Player"]:
        """All of them as they are now."""
        return iter((*self._prompt, *self._late))

    def spread(self, batch: Batch, now: float) -> int:
        """Give it to all who can take it; how many bytes went out. `now` in seconds."""
        data, late = batch.data, tuple(self._late)
        writes = self._writes
        if len(writes) != len(self._prompt):
            writes = self._writes = tuple(self._prompt.values())
        for write in writes:  # whoever is full now is put among the late ones, and not asked again
            write(data)
        return len(data) * len(writes) + sum(player.offer(batch, now) for player in late)

    def prompt(self, player: "Player", write: Callable[[bytes], None]) -> None:
        """The player gets everything, by this."""
        self._late.pop(player, None)
        self._prompt[player] = write
        self._writes = ()

    def late(self, player: "Player") -> None:
        """The player is asked each time."""
        self._prompt.pop(player, None)
        self._late[player] = None
        self._writes = ()

    def leave(self, player: "Player") -> None:
        """The player is gone."""
        self._prompt.pop(player, None)
        self._late.pop(player, None)
        self._writes = ()
