"""Queue: what a client asked while it has no link, and where it gets one, or is answered without."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from marchproxy.model.module import PoolName
from marchproxy.modules.dblb.postgres.link import Link
from marchproxy.modules.dblb.postgres.requests import Requests
from marchproxy.modules.dblb.postgres.roles import Source
from marchproxy.modules.dblb.postgres.routing.splitter import Reads, Splitter
from marchproxy.modules.dblb.postgres.routing.units import Unit
from marchproxy.modules.dblb.postgres.settling import Settings
from marchproxy.modules.dblb.postgres.stay import Stay
from marchproxy.modules.dblb.tally import Tally
from marchproxy.wire.postgres.framing import Event


class Asker(Protocol):
    """The session whose requests wait."""

    transport: asyncio.Transport
    settings: Settings
    stay: Stay

    @property
    def requests(self) -> Requests:
        """The statements that it has prepared."""
        ...

    def ask(self, link: Link, units: Sequence[Unit]) -> None:
        """Here is the link, for what waited."""
        ...

    def ask_again(self, units: Sequence[Unit]) -> None:
        """What waited first is answered; this is left."""
        ...

    def unanswered(self, units: Sequence[Unit], reason: str) -> None:
        """There is no link for what waited."""
        ...

    def settle(self, link: Link) -> None:
        """Bring what the client has set to a link."""
        ...

    def leaves(self, link: Link, text: bytes) -> str:
        """What a statement may leave in a server's session; empty: nothing that does not follow the client."""
        ...

    def end(self, words: str = "", code: str = "57P01") -> None:
        """Close the client's connection."""
        ...


class Queue:
    """Of one session. It stands in line for it, and sends away what is read elsewhere."""

    __slots__ = ("_away", "_now", "_paused", "_since", "_source", "_splitter", "_units", "asker")

    def __init__(self, asker: Asker, source: Source, now: Callable[[], float]) -> None:
        self.asker = asker
        self._source = source
        self._now = now
        self._since = 0.0
        self._units: list[Unit] = []
        self._splitter: Splitter | None = None
        self._away = False  # what waits first is the splitter's
        self._paused = False

    def __bool__(self) -> bool:
        return bool(self._units)

    @property
    def link(self) -> Link | None:
        """The link of what is read elsewhere."""
        return None if self._splitter is None else self._splitter.link

    def at_once(self) -> Link | None:
        """A link for what comes now; None: there is none, or it might be read elsewhere."""
        return None if self._units or self._splitter is not None else self._source.at_once()

    def acquire(self, data: bytes, events: Sequence[Event]) -> Link | None:
        """A link for these; None: they wait for one, or are read elsewhere. Raises ProtocolFault."""
        unit = data, events
        splitter, first = self._splitter, not self._units
        if first:
            self._away = splitter is not None and splitter.takes(unit, self.asker.settings)
            link = None if self._away else self._source.acquire(self)
            if link is not None:
                return link
            self._since = self._now()
        self._units.append(unit)
        if first and self._away and splitter is not None:
            splitter.go(unit)  # what comes meanwhile is seldom, and makes it wait
        elif not self._paused:
            self._paused = True
            self.asker.transport.pause_reading()
        return None

    def move(self, source: Source) -> None:
        """Get links from there from now on; who waits, waits there."""
        if source is self._source:
            return
        before, self._source = self._source, source
        if self._units and not self._away:
            before.give_up(self)
            self.read_here()

    def split(self, reads: Reads | None) -> None:
        """Read like this from now on."""
        if self._splitter is not None:
            self._splitter.change(reads)
        elif reads is not None:
            self._splitter = Splitter(self, reads, self._now)

    def leave(self) -> tuple[Link | None, bool]:
        """The client is gone. The link of what is read elsewhere, and whether something may be left in its session."""
        if self._units:
            self._units.clear()
            self._source.give_up(self)
        splitter = self._splitter
        return (None, False) if splitter is None else (splitter.leave(), splitter.spoils)

    # what a source calls

    def got(self, link: Link) -> None:
        """A link, which was waited for."""
        self.tally.wait_seconds.add(self._now() - self._since)
        self.asker.ask(link, self._all())

    def got_none(self, reason: str) -> None:
        """No link in time."""
        self.tally.wait_seconds.add(self._now() - self._since)
        self.asker.unanswered(self._all(), reason)

    # what a splitter calls: see visit.Client

    @property
    def requests(self) -> Requests:
        """Its statements."""
        return self.asker.requests

    @property
    def tally(self) -> Tally:
        """Where it is counted."""
        return self.asker.stay.tally

    def tally_in(self, pool: PoolName) -> Tally:
        """Where is counted what it reads in this pool."""
        return self.asker.stay.tally_in(pool)

    def tell(self, words: bytes) -> None:
        """To the client."""
        self.asker.transport.write(words)

    def settle(self, link: Link) -> None:
        """Bring what the client has set to a link."""
        self.asker.settle(link)

    def leaves(self, link: Link, text: bytes) -> str:
        """What a statement may leave in a server's session."""
        return self.asker.leaves(link, text)

    def settled(self, link: Link) -> None:
        """The client has set now what the link has."""
        self.asker.settings = link.settings

    def read_elsewhere(self, rest: Unit | None) -> None:
        """What waited first is answered, but for this rest of it."""
        self._away = False
        _, *units = self._all()
        self.asker.ask_again([rest, *units] if rest is not None else units)

    def read_here(self) -> None:
        """What waits is for the usual source of links."""
        self._away = False
        link = self._source.acquire(self)
        if link is not None:
            self.got(link)

    def lost(self, reason: str) -> None:
        """The server is gone, after it has said something; no reason: it has said that, too."""
        self.asker.end(f"the server is gone: {reason}" if reason else "", "08006")

    def _all(self) -> list[Unit]:
        """What waits, which waits no more."""
        if self._paused:
            self._paused = False
            self.asker.transport.resume_reading()
        units, self._units = self._units, []
        return units

    def pause(self) -> None:
        """The server is slow, but then the client waits already."""

    def resume(self) -> None:
        """The server has caught up."""
