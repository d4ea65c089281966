"""Audience: the players of a stream, and which of them get what was just published."""

import asyncio
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from marchproxy.modules.rtmp.streams.batch import Batch

if TYPE_CHECKING:
    from marchproxy.modules.rtmp.streams.player import Player

#: Of so many players on it is worth to wait for more before it is written: what a write costs hardly depends on its size.
MANY: Final = 32
#: How long what was published first waits then, and how many bytes may.
GATHER_SECONDS: Final = 0.03
_MOST_HELD: Final = 128 * 1024
#: How much of a mean is of what was seen last.
_SHARE: Final = 0.05


class Audience:
    """Those who read as fast as it comes cost one write each; the others are looked at one by one.

    What waits to be written was offered to the latter already. So it is written before anybody changes sides.
    """

    __slots__ = ("_held", "_held_at", "_held_size", "_is_timed", "_late", "_prompt", "_writes", "waited")

    def __init__(self) -> None:
        self._prompt: dict[Player, Callable[[bytes], None]] = {}
        self._late: dict[Player, None] = {}
        self._writes: tuple[Callable[[bytes], None], ...] = ()
        self._held: list[bytes] = []
        self._held_size = 0
        self._held_at = 0.0
        self._is_timed = False
        self.waited = 0.0
        """For how long what was published first has waited, the mean of late, in seconds."""

    def __len__(self) -> int:
        """How many players there are."""
        return len(self._prompt) + len(self._late)

    def __iter__(self) -> Iterator["Player"]:
        """All of them as they are now."""
        return iter((*self._prompt, *self._late))

    def spread(self, batch: Batch, now: float, *, has_waited: bool = False) -> int:
        """Give it to all who can take it; how many bytes went out. `now` in seconds; `has_waited`: it is no use to wait for more."""
        late = tuple(self._late)
        prompt = len(self._prompt)
        if prompt:
            self._held.append(batch.data)
            self._held_size += len(batch.data)
            if has_waited or prompt < MANY:
                self.waited = 0.0
                self.flush()
            elif self._held_size > _MOST_HELD:
                self.flush()
            elif not self._is_timed:
                loop = asyncio.get_running_loop()
                self._is_timed, self._held_at = True, loop.time()
                # uvloop writes at once what callbacks have written, but what timers have only after it has waited for an event
                loop.call_later(GATHER_SECONDS, loop.call_soon, self._due)
        return len(batch.data) * prompt + sum(player.offer(batch, now) for player in late)

    def flush(self) -> None:
        """Write what waits."""
        held, self._held, self._held_size = self._held, [], 0
        if not held:
            return
        data = held[0] if len(held) == 1 else b"".join(held)
        writes = self._writes
        if len(writes) != len(self._prompt):
            writes = self._writes = tuple(self._prompt.values())
        for write in writes:  # whoever is full now is put among the late ones, and not asked again
            write(data)

    def _due(self) -> None:
        self._is_timed = False
        self.waited += (asyncio.get_running_loop().time() - self._held_at - self.waited) * _SHARE
        self.flush()

    def prompt(self, player: "Player", write: Callable[[bytes], None]) -> None:
        """The player gets everything from now on, by this."""
        self.flush()
        self._late.pop(player, None)
        self._prompt[player] = write
        self._writes = ()

    def late(self, player: "Player") -> None:
        """The player is asked each time."""
        self.flush()
        self._prompt.pop(player, None)
        self._late[player] = None
        self._writes = ()

    def leave(self, player: "Player") -> None:
        """The player is gone."""
        self._prompt.pop(player, None)
        self._late.pop(player, None)
        self._writes = ()
