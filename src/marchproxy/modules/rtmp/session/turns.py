"""Turns: where many connections bring media, they are read one behind the other every few milliseconds.

Woken for each frame of each stream, a worker spends more on waking up, on system calls and on caches gone cold than on the
frames. What has gathered meanwhile is read by one call for each connection, and goes on by one write.
"""

import asyncio
import os
from functools import partial
from typing import Final, Protocol

from marchproxy.kit.logs import get_logger
from marchproxy.modules.rtmp.session.hangups import Hangups

_log = get_logger(__name__)
#: Of so many connections on; and back to the event loop where there are fewer than this.
MANY: Final = 16
FEW: Final = 8
#: The longest that a frame waits for being read.
SECONDS: Final = 0.03
#: Bytes of one call; more would be memory that is fetched from the system and given back for each.
_READ: Final = 64 * 1024
#: Calls in one turn: one connection may bring 70 Mbit/s.
_MOST: Final = 4
#: Turns that are left out where nobody waits for what a connection brings, unless it has just brought so much that the system
#: might not keep what comes meanwhile.
_REST: Final = 3
_MUCH: Final = 16 * 1024


class Taker(Protocol):
    """A connection that may be read in turns. While `in_turns`, the event loop does not read it."""

    in_turns: bool
    is_paused: bool

    @property
    def is_awaited(self) -> bool:
        """Whether somebody is to have at once what it brings."""
        ...

    def read_by_loop(self) -> None:
        """Have the event loop read it, or no more, as `in_turns` and `is_paused` say."""
        ...

    def data_received(self, data: bytes) -> None:
        """What was read."""
        ...

    def abort(self, reason: str) -> None:
        """Its end."""
        ...


class _Seat:
    """Where one has its turn."""

    __slots__ = ("descriptor", "rest")

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.rest = 0


class Turns:
    """Those of one worker. Whoever is added is removed before its descriptor is closed."""

    def __init__(self) -> None:
        self._senders: dict[Taker, _Seat] = {}
        self._echoes: dict[Taker, _Seat] = {}
        self._hangups: Hangups | None = None  # while there are turns

    def __len__(self) -> int:
        return len(self._senders) + len(self._echoes)

    def add(self, taker: Taker, descriptor: int, *, echoes: bool = False) -> None:
        """Read it in turns, as long as there are many. `echoes`: it brings what came here before: such are read between two
        turns of the others, or what is answered to these would wait for nearly a whole turn."""
        seat = (self._echoes if echoes else self._senders)[taker] = _Seat(descriptor)
        if self._hangups is not None:
            self._enter(taker, seat, self._hangups)
        elif len(self) >= MANY:
            self._turn_on()

    def remove(self, taker: Taker) -> None:
        """Read it no more; it need not be there."""
        seat = self._senders.pop(taker, None) or self._echoes.pop(taker, None)
        if seat is not None and taker.in_turns:
            self._leave(taker, seat)

    def _turn_on(self) -> None:
        loop = asyncio.get_running_loop()
        self._hangups = Hangups(loop)
        self._arrange(loop, loop.time() + SECONDS, self._senders, self._echoes)
        for taker, seat in (*self._senders.items(), *self._echoes.items()):
            self._enter(taker, seat, self._hangups)

    def _turn_off(self) -> None:
        for taker, seat in (*self._senders.items(), *self._echoes.items()):
            self._leave(taker, seat)
            taker.read_by_loop()
        if self._hangups is not None:
            self._hangups.close()
            self._hangups = None

    def _enter(self, taker: Taker, seat: _Seat, hangups: Hangups) -> None:
        hangups.watch(seat.descriptor, partial(self._give_back, taker))
        taker.in_turns = True
        taker.read_by_loop()

    def _leave(self, taker: Taker, seat: _Seat) -> None:
        taker.in_turns = False
        if self._hangups is not None:
            self._hangups.forget(seat.descriptor)

    def _give_back(self, taker: Taker) -> None:
        """The event loop knows what to do at an end."""
        self.remove(taker)
        taker.read_by_loop()

    def _arrange(self, loop: asyncio.AbstractEventLoop, due: float, *halves: dict[Taker, _Seat]) -> None:
        # uvloop writes at once what callbacks have written, but what timers have only after it has waited for the next event
        loop.call_at(due, loop.call_soon, partial(self._go_on, loop, due, *halves))

    def _go_on(
        self,
        loop: asyncio.AbstractEventLoop,
        due: float,
        these: dict[Taker, _Seat],
        others: dict[Taker, _Seat],
    ) -> None:
        """Half a turn."""
        if len(self) < FEW:
            self._turn_off()
            return
        due = max(due, loop.time()) + SECONDS / 2  # late ones are not made up for
        self._arrange(loop, due, others, these)
        for taker, seat in tuple(these.items()):
            if taker.is_paused or not taker.in_turns:
                continue
            if seat.rest and not taker.is_awaited:
                seat.rest -= 1
            else:
                seat.rest = _REST if self._read(taker, seat.descriptor) < _MUCH else 0

    def _read(self, taker: Taker, descriptor: int) -> int:
        """Of how many bytes the last call was."""
        for _ in range(_MOST):
            try:
                data = os.read(descriptor, _READ)
            except BlockingIOError:
                return 0
            except OSError:
                taker.abort("reset")
                return 0
            if not data:
                self._give_back(taker)
                return 0
            try:
                taker.data_received(data)
            except Exception:  # noqa: BLE001 - one connection's fault must not end the others' turns; it is logged in full
                _log.exception("what was read could not be taken")
                taker.abort("error")
                return 0
            if len(data) < _READ or taker.is_paused or not taker.in_turns:
                break
        return len(data)
