"""Session: one client, which has a link to a server only as long as it needs one, or as long as it must keep it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

from marchproxy.modules.dblb.postgres.answers import Heard, due
from marchproxy.modules.dblb.postgres.keeping import Keeping
from marchproxy.modules.dblb.postgres.link import Link
from marchproxy.modules.dblb.postgres.pinning import may_leave
from marchproxy.modules.dblb.postgres.refusing import fail, own_answer, sift
from marchproxy.modules.dblb.postgres.requests import INTERESTS, Requests
from marchproxy.modules.dblb.postgres.roles import Beginning, Porter, Read, Source
from marchproxy.modules.dblb.postgres.routing.splitter import Reads, Splitter
from marchproxy.modules.dblb.postgres.routing.visit import Unit
from marchproxy.modules.dblb.postgres.settling import Settings, difference
from marchproxy.modules.dblb.postgres.stay import Stay
from marchproxy.modules.dblb.tally import Tally
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.postgres import encode
from marchproxy.wire.postgres.backend import read_error
from marchproxy.wire.postgres.flow import Owed
from marchproxy.wire.postgres.framing import Event, Framer

_TERMINATE, _QUERY = b"XQ"
_HEAD = 5
_ASKS = frozenset(b"QFE")


class Session(asyncio.Protocol):
    """A client's connection, once it is let in."""

    __slots__ = (
        "_asked",
        "_away",
        "_began",
        "_discarding",
        "_framer",
        "_keeping",
        "_link",
        "_looks",
        "_now",
        "_pending",
        "_plainly",
        "_porter",
        "_read",
        "_requests",
        "_source",
        "_splitter",
        "_waits_since",
        "settings",
        "stay",
        "transport",
    )

    def __init__(
        self, porter: Porter, requests: Requests, stay: Stay, read: Read, now: Callable[[], float]
    ) -> None:
        """`read` tells what a text leaves in a server's session; `now` is in seconds."""
        self._porter = porter
        self._requests = requests
        self._read = read
        self._now = now
        self._framer = cast("Framer", None)
        self._source = cast("Source", None)
        self._link: Link | None = None
        self._splitter: Splitter | None = None
        self._away = False  # what is pending is read by the splitter
        self._pending: list[tuple[bytes, Sequence[Event]]] = []
        self._looks = stay.gate.looks
        self._plainly = not self._looks  # a whole query needs no second look
        self._discarding = False  # until the next Sync
        self._keeping = Keeping(stay)
        self._asked = 0
        self._began = self._waits_since = 0.0
        self.settings = Settings()
        self.stay = stay
        self.transport = cast("asyncio.Transport", None)

    @property
    def link(self) -> Link | None:
        """The link that it has now."""
        if self._link is None and self._splitter is not None:
            return self._splitter.link
        return self._link

    @property
    def requests(self) -> Requests:
        """The statements that it has prepared."""
        return self._requests

    @property
    def tally(self) -> Tally:
        """Where it is counted."""
        return self.stay.tally

    def begin(self, transport: asyncio.Transport, source: Source, beginning: Beginning) -> None:
        """The client is logged in; what it sends comes here from now on."""
        self.transport, self._source, self.settings = transport, source, beginning.settings
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
        if link.state.flow.free if link is not None else not self._pending:
            self.end(words)

    def move(self, source: Source, reads: Reads | None = None) -> None:
        """Get links from there, and read as `reads` has it, from now on; whoever waits, waits there."""
        if self._splitter is not None:
            self._splitter.change(reads)
        elif reads is not None and not self._keeping.matters:
            self._splitter = Splitter(self, reads, self._now)
        if source is self._source:
            return
        before, self._source = self._source, source
        if self._pending and not self._away:
            before.give_up(self)
            link = source.acquire(self)
            if link is not None:
                self.got(link)

    # what the loop calls

    def data_received(self, data: bytes) -> None:
        """Called for every read."""
        framer = self._framer
        try:
            if self._plainly and framer.is_one(data, _QUERY):
                self._queried(data)
            else:
                self._requested(*framer.feed(data))
        except ProtocolFault as fault:
            self.end(str(fault), "08P01")

    def connection_lost(self, _error: Exception | None) -> None:
        """Called once, last."""
        self._leave()
        self._requests.forget_all()
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

    # what a link calls

    def answered(self, link: Link, data: bytes) -> None:
        """The whole answer to the one query that was asked; the server is free."""
        self.transport.write(data)
        self.stay.tally.transactions += 1
        self._count()
        self._let_go(link)

    def heard(self, link: Link, heard: Heard) -> None:
        """The server said something."""
        if heard.for_client:
            self.transport.write(heard.for_client)
        if heard.own_errors:
            # what the client has set is not set there, and its statements were sent behind that
            self.end(read_error(heard.own_errors[0]).message, "08006")
            return
        if link.state.flow.skipped:
            self._requests.refused(link.state)
        if heard.forgotten:
            self._requests.forget_all()
            self._keeping.discarded |= heard.discarded
        if heard.outdated:
            self._requests.outdate()
        tally = self.stay.tally
        tally.transactions += heard.transactions
        tally.errors += len(heard.errors)
        if self._asked and not link.state.flow.owed:
            self._count()
        if heard.free:
            self._let_go(link)

    def link_lost(self, link: Link, reason: str) -> None:
        """The server is gone, in the middle of what it was asked: nobody knows what became of that."""
        self._link = None
        link.owner.lost(link)
        self.end(f"the server is gone: {reason}", "08006")

    def pause(self) -> None:
        """The server is slow."""
        self.transport.pause_reading()

    def resume(self) -> None:
        """The server has caught up."""
        self.transport.resume_reading()

    # what a splitter calls

    def tell(self, words: bytes) -> None:
        """Send this to the client."""
        self.transport.write(words)

    def settle(self, link: Link) -> None:
        """Bring what the client has set to a link."""
        if link.settings is not self.settings and (query := difference(self.settings, link.parameters)):
            link.ask_silently(query)

    def read_elsewhere(self, rest: Unit | None) -> None:
        """What was pending first is answered, but for this rest of it."""
        self._away = False
        (_, *waiting), self._pending = self._pending, []
        self.transport.resume_reading()
        if self._keeping.dismissal and self.link is None:
            self.end(self._keeping.dismissal)
            return
        try:
            for data, events in [rest, *waiting] if rest is not None else waiting:
                self._carry(data, events)
        except ProtocolFault as fault:
            self.end(str(fault), "08P01")

    def read_here(self) -> None:
        """What is pending is for the usual source of links."""
        self._away = False
        link = self._source.acquire(self)
        if link is not None:
            self.got(link)

    def lost(self, reason: str) -> None:
        """The server that it read on is gone, after it has said something."""
        self.end(f"the server is gone: {reason}", "08006")

    # what a pool calls

    def got(self, link: Link) -> None:
        """A link, which was waited for."""
        self.stay.tally.wait_seconds.add(self._now() - self._waits_since)
        self._take(link)
        pending, self._pending = self._pending, []
        for data, events in pending:
            if self._link is None:
                self._carry(data, events)  # what was sent first ended by itself
            else:
                self._forward(self._link, data, events)
        self.transport.resume_reading()

    def got_none(self, reason: str) -> None:
        """No link in time: what was asked fails, and the client may ask again."""
        self.stay.tally.wait_seconds.add(self._now() - self._waits_since)
        pending, self._pending = self._pending, []
        kinds = [kind for _, events in pending for kind, _, _ in events]
        words, self._discarding = fail(kinds, encode.error("53300", reason))
        self._plainly = not (self._looks or self._discarding)
        self.stay.tally.errors += 1
        self.transport.write(words)
        self.transport.resume_reading()
        if self._keeping.dismissal:
            self.end(self._keeping.dismissal)

    # the rest is ours

    def _queried(self, data: bytes) -> None:
        """One whole query and nothing else, which is what most clients send most of the time."""
        link = self._link
        if link is None:
            link = self._acquire(data, ((_QUERY, 0, len(data)),))
            if link is None:
                return
            self._take(link)
        if may_leave(data, _HEAD):
            self._keeping.note(link, self._read(data[_HEAD:-1]), data[_HEAD:-1])
        if not self._asked:
            self._began = self._now()
        self._asked += 1
        link.state.flow.sent(Owed.QUERY)
        link.transport.write(data)

    def _requested(self, data: bytes, events: Sequence[Event]) -> None:
        if events and events[-1][0] == _TERMINATE:
            self.transport.close()
            return
        if not self._plainly:
            gate = self.stay.gate if self._looks else None
            sifted = sift(data, events, gate, discarding=self._discarding)
            data, events, self._discarding = sifted.data, sifted.events, sifted.discarding
            self._plainly = not (self._looks or self._discarding)
            if self.link is None and not self._pending and (words := own_answer(data, events)) is not None:
                self.transport.write(words)
                return
        self._carry(data, events)

    def _carry(self, data: bytes, events: Sequence[Event]) -> None:
        link = self._link
        if link is None:
            if not events and not self._pending and self.link is None:
                return  # a Flush, of nothing
            link = self._acquire(data, events)
            if link is None:
                return
            self._take(link)
        self._forward(link, data, events)

    def _acquire(self, data: bytes, events: Sequence[Event]) -> Link | None:
        """A link for these; None: they wait for one."""
        first = not self._pending
        self._away |= (
            first and self._splitter is not None and self._splitter.takes((data, events), self.settings)
        )
        if first and not self._away:
            link = self._source.acquire(self)
            if link is not None:
                return link
        if first:
            self._waits_since = self._now()
        self._pending.append((data, events))
        self.transport.pause_reading()
        if first and self._away and self._splitter is not None:
            self._splitter.go((data, events))
        return None

    def _take(self, link: Link) -> None:
        self._link, link.holder = link, self
        if self._keeping.matters:
            self._keeping.taken(link)
        self.settle(link)

    def _forward(self, link: Link, data: bytes, events: Sequence[Event]) -> None:
        state, requests = link.state, self._requests
        self._look(link, data, events)
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

    def _look(self, link: Link, data: bytes, events: Sequence[Event]) -> None:
        """Count what is asked, and note what queries may leave behind."""
        asked = 0
        for kind, start, end in events:
            if kind in _ASKS:
                asked += 1
                if kind == _QUERY and may_leave(data, start + _HEAD):
                    text = data[start + _HEAD : end - 1]
                    self._keeping.note(link, self._read(text), text)
        if asked:
            if not self._asked:
                self._began = self._now()
            self._asked += asked

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

    def _leave(self) -> None:
        """The client is gone: its transaction is rolled back, what runs for it is ended with the link."""
        if self._pending:
            self._pending.clear()
            self._source.give_up(self)
        link, self._link = self._link, None
        if link is None and self._splitter is not None:
            link = self._splitter.leave()
            self._keeping.pinned |= self._splitter.spoils
        if link is None:
            return
        owed = link.state.flow.owed
        self._keeping.leave(link)
        if owed:
            self._porter.abandoned(link)
