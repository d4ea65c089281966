"""Link: a connection to an engine, or to the egress, and those that wait to be asked again.

What comes on all of them in a turn of the loop is read before any of it is looked at. A read takes the kernel through more code than
a processor's cache holds, and so does what becomes of a piece of a stream: done in turn, each finds the cache full of the other.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol, cast

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger

_log = get_logger(__name__)
#: Engines drop connections that nobody uses after 5 s, many of them; who asks at that moment is not heard.
_IDLE_SECONDS = 4.0
_MOST_IDLE = 64
#: Bytes of a read: more than pieces of streams have.
_MUCH = 16 * 1024


class Taker(Protocol):
    """Who has asked."""

    def receive(self, data: bytes) -> None:
        """Bytes have come."""

    def lost(self) -> None:
        """The connection is no more."""


class Link(asyncio.Protocol):
    """One connection. `place`: to where, empty: to the egress; `used`: it was asked before; `taker`: who has asked."""

    def __init__(self, links: "Links", place: str) -> None:
        self.place = place
        self.used = False
        self.since = 0.0
        """When it was given back."""
        self._links = links
        self._arrived = links.arrived
        self.taker: Taker | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Have it looked at soon, in order; at once where it is much, as more of that is not to be held."""
        arrived = self._arrived
        arrived.append((self, self.taker, data))
        if len(data) > _MUCH:
            self._links.look()
        elif len(arrived) == 1:
            self._links.soon()

    def eof_received(self) -> bool:
        """Close this side too."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        del exc
        self._transport = None
        self._links.forget(self)
        taker, self.taker = self.taker, None
        if taker is not None:
            taker.lost()

    def ask(self, taker: Taker, data: bytes) -> None:
        """Send a request; the answer goes to `taker`."""
        self.taker = taker
        if self._transport is None:
            taker.lost()
        else:
            self._transport.write(data)

    def pause(self) -> None:
        """Read nothing until `resume`: who takes it cannot get rid of it."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def hang_up(self) -> None:
        """Tell the engine that nobody listens any more, and still hear what it has said until it knows."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write_eof()

    def release(self) -> None:
        """Nobody listens, and it can be asked again."""
        self.taker = None
        if self._transport is None or self._transport.is_closing():
            return
        self.used = True
        self._links.give(self)

    def abort(self) -> None:
        """Close it at once; nobody is told."""
        self.taker = None
        self.fail()

    def fail(self) -> None:
        """Close it at once; who has asked is told, soon."""
        if self._transport is not None:
            self._transport.abort()


class Links:
    """All connections. `egress`: where an Envoy reaches what has no place; `call_soon`: the loop's.

    `arrived`: what was read in this turn, by whom, and who had asked.
    """

    def __init__(self, egress: Path, clock: Clock, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self.arrived: list[tuple[Link, Taker | None, bytes]] = []
        self._egress = egress
        self._clock = clock
        self._call_soon = call_soon
        self._idle: dict[str, deque[Link]] = {}
        self._open: set[Link] = set()

    def __len__(self) -> int:
        return len(self._open)

    def take(self, place: str) -> Link | None:
        """One that is open; the one that was used last is the least likely to be closed any moment."""
        idle = self._idle.get(place)
        return idle.pop() if idle else None

    async def dial(self, place: str, seconds: float) -> Link:
        """A new one. Raises OSError; TimeoutError, which is one, after so long."""
        loop = asyncio.get_running_loop()
        link = Link(self, place)
        async with asyncio.timeout(seconds or None):
            if place:
                host, _, port = place.rpartition(":")
                await loop.create_connection(lambda: link, host.strip("[]"), int(port))
            else:
                await loop.create_unix_connection(lambda: link, str(self._egress))
        self._open.add(link)
        return link

    def soon(self) -> None:
        """Something has arrived."""
        self._call_soon(self.look)

    def look(self) -> None:
        """Pass on what has arrived."""
        arrived = self.arrived.copy()
        self.arrived.clear()
        for link, taker, data in arrived:
            if taker is None or taker is not link.taker:
                link.fail()  # what nobody has asked for is the end, also for who has asked since
                continue
            try:
                taker.receive(data)
            except Exception:  # noqa: BLE001 - what one answer meets is not to end the others; it is logged in full
                _log.exception("an answer could not be passed on")
                link.fail()

    def give(self, link: Link) -> None:
        """Keep one for the next request."""
        idle = self._idle.setdefault(link.place, deque())
        if len(idle) >= _MOST_IDLE:
            idle.popleft().abort()
        link.since = self._clock.monotonic()
        idle.append(link)

    def forget(self, link: Link) -> None:
        """One is closed."""
        self._open.discard(link)
        idle = self._idle.get(link.place)
        if idle:
            with suppress(ValueError):
                idle.remove(link)

    def sweep(self) -> None:
        """Now and then: close what was not asked for long."""
        late = self._clock.monotonic() - _IDLE_SECONDS
        for place, idle in list(self._idle.items()):
            while idle and idle[0].since < late:
                idle.popleft().abort()
            if not idle:
                del self._idle[place]

    def close(self) -> None:
        """Close all."""
        for link in list(self._open):
            link.abort()
