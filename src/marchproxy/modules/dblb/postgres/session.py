"""Session: one client, which has a link to a server only as long as it needs one, or as long as it must keep it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

from marchproxy.modules.dblb.postgres.answers import Heard, due, learn
from marchproxy.modules.dblb.postgres.keeping import Keeping
from marchproxy.modules.dblb.postgres.link import Link
from marchproxy.modules.dblb.postgres.pinning import may_leave
from marchproxy.modules.dblb.postgres.queue import Queue
from marchproxy.modules.dblb.postgres.refusing import fail, own_answer, sift
from marchproxy.modules.dblb.postgres.requests import INTERESTS, Requests
from marchproxy.modules.dblb.postgres.roles import Beginning, Porter, Read, Source
from marchproxy.modules.dblb.postgres.routing.splitter import Reads
from marchproxy.modules.dblb.postgres.routing.units import Unit
from marchproxy.modules.dblb.postgres.settling import Settings, difference
from marchproxy.modules.dblb.postgres.stay import Stay
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.postgres import encode
from marchproxy.wire.postgres.backend import read_error
from marchproxy.wire.postgres.batch import Batch, read_batch
from marchproxy.wire.postgres.framing import Event, Framer

_TERMINATE, _QUERY = b"XQ"
_HEAD = 5


class Session(asyncio.Protocol):
    """A client's connection, once it is let in."""

    __slots__ = (
        "_asked", "_began", "_discarding", "_framer", "_keeping", "_link", "_looks", "_now", "_plainly",
        "_porter", "_queue", "requests", "settings", "stay", "transport",
    )  # fmt: skip

    def __init__(
        self, porter: Porter, requests: Requests, stay: Stay, read: Read, now: Callable[[], float]
    ) -> None:
        """`read` tells what a text leaves in a server's session; `now` is in seconds."""
        self._porter = porter
        self.requests = requests
        self._now = now
        self._framer = cast("Framer", None)
        self._queue = cast("Queue", None)
        self._link: Link | None = None
        self._looks = stay.gate.looks
        self._plainly = not self._looks  # a whole query needs no second look
        self._discarding = False  # until the next Sync
        self._keeping = Keeping(stay, read)
        self._asked = 0
        self._began = 0.0
        self.settings = Settings()
        self.stay = stay
        self.transport = cast("asyncio.Transport", None)

    @property
    def link(self) -> Link | None:
        """The link that it has now."""
        return self._link or self._queue.link

    def begin(self, transport: asyncio.Transport, source: Source, beginning: Beginning) -> None:
        """The client is logged in; what it sends comes here from now on."""
        self.transport, self.settings = transport, beginning.settings
        self._queue = Queue(self, source, self._now)
        self._framer = Framer(INTERESTS, longest=beginning.longest)
        self._keeping.begin(beginning.extras)

    def end(self, words: str = "", code: str = "57P01") -> None:
        """Close the connection, with an error where there are words."""
        if words and not self.transport.is_closing():
            self.transport.write(encode.error(code, words, severity="FATAL"))
        self.transport.close()

    def dismiss(self, words: str) -> None:
        """Close the connection as soon as that interrupts nothing."""
        self._keeping.dismiss(words)
        link = self.link
        if link.state.flow.free if link is not None else not self._queue:
            self.end(words)

    def move(self, source: Source, reads: Reads | None = None) -> None:
        """Get links from there, and read as `reads` has it, from now on; whoever waits, waits there."""
        self._queue.split(None if self._keeping.matters else reads)
        self._queue.move(source)
        self._looks = self.stay.gate.looks
        self._plainly = not (self._looks or self._discarding)

    def data_received(self, data: bytes) -> None:
        """Called for every read."""
        try:
            if not (self._plainly and self._framer.between and self._whole(data)):
                self._requested(*self._framer.feed(data))
        except ProtocolFault as fault:
            self.end(str(fault), "08P01")

    def connection_lost(self, _error: Exception | None) -> None:
        """Called once, last: its transaction is rolled back, what runs for it is ended with the link."""
        elsewhere, spoilt = self._queue.leave()
        link, self._link = self._link or elsewhere, None
        self._keeping.pinned |= spoilt
        if link is not None:
            owed = link.state.flow.owed
            self._keeping.leave(link)
            if owed:
                self._porter.abandoned(link)
        self.requests.forget_all()
        self.stay.gate.leave()
        self._porter.left(self)

    def pause_writing(self) -> None:
        """Called when more than the high-water mark waits for the client."""
        if (link := self.link) is not None:
            link.transport.pause_reading()

    def resume_writing(self) -> None:
        """Called when less than the low-water mark is left."""
        if (link := self.link) is not None:
            link.transport.resume_reading()

    def answered(self, link: Link, data: bytes) -> None:
        """The whole answer to the one query that was asked; the server is free."""
        self.transport.write(data)
        self.stay.tally.transactions += 1
        self._count()
        self._let_go(link)

    def heard(self, link: Link, heard: Heard) -> None:
        """The server said something."""
        if heard.own_errors:
            # what the client has set is not set there, and its statements were sent behind that
            self.end(read_error(heard.own_errors[0]).message, "08006")
            return
        if heard.for_client:
            self.transport.write(heard.for_client)
        learn(heard, self.requests, link.state)
        self._keeping.discarded |= heard.discarded
        tally = self.stay.tally
        tally.transactions += heard.transactions
        tally.errors += len(heard.errors)
        if heard.errors and not self._asked:
            tally.queries += 1  # who only prepares a statement asks for something, too
        if self._asked and not link.state.flow.owed:
            self._count()
        if heard.free:
            self._let_go(link)

    def link_lost(self, link: Link, reason: str) -> None:
        """The server is gone, in the middle of what it was asked: nobody knows what became of that."""
        self._link = None
        link.owner.lost(link)
        self.stay.tally.unanswered(self._asked or 1, told=not reason)
        self.end(f"the server is gone: {reason}" if reason else "", "08006")

    def pause(self) -> None:
        """The server is slow."""
        self.transport.pause_reading()

    def resume(self) -> None:
        """The server has caught up."""
        self.transport.resume_reading()

    def ask(self, link: Link, units: Sequence[Unit]) -> None:
        """Here is the link that was waited for."""
        self._take(link)
        self._carry_all(units)

    def ask_again(self, units: Sequence[Unit]) -> None:
        """What was asked first was answered by another server."""
        if self._keeping.dismissal and self.link is None:
            self.end(self._keeping.dismissal)
            return
        self._carry_all(units)

    def unanswered(self, units: Sequence[Unit], reason: str) -> None:
        """No link in time: what was asked fails, and the client may ask again."""
        kinds = [kind for _, events in units for kind, _, _ in events]
        words, self._discarding = fail(kinds, encode.error("53300", reason))
        self._plainly = not (self._looks or self._discarding)
        self.stay.tally.unanswered()
        self.transport.write(words)
        if self._keeping.dismissal:
            self.end(self._keeping.dismissal)

    def leaves(self, link: Link, text: bytes) -> str:
        """What a statement may leave in a server's session."""
        left = self._keeping.read(text)
        return "" if left is None else left.reason(link.parameters)

    def settle(self, link: Link) -> None:
        """Bring what the client has set to a link."""
        if link.settings is not self.settings and (query := difference(self.settings, link.parameters)):
            link.ask_silently(query)

    def _whole(self, data: bytes) -> bool:
        """One query or batch and nothing else, which is what most clients send most of the time; False: it is not, or it has
        to be taken apart, or there is no link at once."""
        batch = None
        if not self._framer.is_one(data, _QUERY) and (batch := read_batch(data)) is None:
            return False
        link = self._link
        if link is None:
            link = self._queue.at_once()
            if link is None:
                return False
            self._take(link)
        return self._send(link, data, batch)

    def _send(self, link: Link, data: bytes, batch: Batch | None) -> bool:
        if batch is None:
            if may_leave(data, _HEAD):
                self._keeping.look(link, data[_HEAD:-1])
            link.state.query()
        elif (words := self.requests.whole(data, batch, link.state)) is not None:
            data = words
        else:
            return False
        if not self._asked:
            self._began = self._now()
        self._asked += 1
        link.transport.write(data)
        return True

    def _requested(self, data: bytes, events: Sequence[Event]) -> None:
        if events and events[-1][0] == _TERMINATE:
            self.transport.close()
            return
        if not self._plainly:
            gate = self.stay.gate if self._looks else None
            sifted = sift(data, events, gate, discarding=self._discarding)
            data, events, self._discarding = sifted.data, sifted.events, sifted.discarding
            self._plainly = not (self._looks or self._discarding)
            if self.link is None and not self._queue and (words := own_answer(data, events)) is not None:
                self.transport.write(words)
                return
        self._carry(data, events)

    def _carry_all(self, units: Sequence[Unit]) -> None:
        try:
            for data, events in units:
                # that begins with a message, and not with the rest of one
                if not (self._plainly and events and not events[0][1] and self._whole(data)):
                    self._carry(data, events)
        except ProtocolFault as fault:
            self.end(str(fault), "08P01")

    def _carry(self, data: bytes, events: Sequence[Event]) -> None:
        link = self._link
        if link is None:
            if not events and not self._queue and self.link is None:
                return  # a Flush, of nothing
            link = self._queue.acquire(data, events)
            if link is None:
                return
            self._take(link)
        self._forward(link, data, events)

    def _take(self, link: Link) -> None:
        self._link, link.holder = link, self
        if self._keeping.matters:
            self._keeping.taken(link)
        if link.settings is not self.settings:
            self.settle(link)

    def _forward(self, link: Link, data: bytes, events: Sequence[Event]) -> None:
        state, requests = link.state, self.requests
        asked = self._keeping.look_at(link, data, events)
        if asked and not self._asked:
            self._began = self._now()
        self._asked += asked
        words = requests.forward(data, events, state)
        for left, text in requests.left:
            self._keeping.note(link, left, text)
        requests.left.clear()
        if words:
            link.transport.write(words)
        flow = state.flow
        if flow.skipped:
            requests.refused(state)
        if flow.to_give:
            self.transport.write(due(state))
        if flow.free:
            self._count()
            self._let_go(link)

    def _count(self) -> None:
        """All that was asked is answered."""
        tally = self.stay.tally
        tally.queries += self._asked
        tally.query_seconds.add(self._now() - self._began)
        self._asked = 0

    def _let_go(self, link: Link) -> None:
        self.settings = link.settings
        if self._keeping.matters:
            kept = self._keeping.keeps(link)
            if self._keeping.dismissal:
                self.end(self._keeping.dismissal)
            if kept:
                return
        self._link = None
        link.owner.release(link)
