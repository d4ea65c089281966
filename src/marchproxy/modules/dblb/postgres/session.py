"""Session: one client, which has a link to a server only as long as it needs one."""

import asyncio
from collections.abc import Sequence
from typing import Protocol, cast

from marchproxy.kit.logs import get_logger
from marchproxy.modules.dblb.postgres.answers import Heard, due
from marchproxy.modules.dblb.postgres.inbox import Inbox
from marchproxy.modules.dblb.postgres.link import Link
from marchproxy.modules.dblb.postgres.pool import Pool
from marchproxy.modules.dblb.postgres.requests import INTERESTS, Requests
from marchproxy.modules.dblb.postgres.settling import Settings, difference
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.postgres import encode
from marchproxy.wire.postgres.flow import Owed
from marchproxy.wire.postgres.framing import Event, Framer
from marchproxy.wire.postgres.startup import Opening, read_opening

_log = get_logger(__name__)
_IDLE, _IN_TRANSACTION = ord("I"), ord("T")
_TERMINATE, _SYNC, _QUERY = b"XSQ"
_ENDS_A_REQUEST = frozenset(b"QSF")
_ROLLBACK = encode.query("ROLLBACK")


class Reception(Protocol):
    """Who lets clients in, and sees them off."""

    def opened(self, session: "Session", opening: Opening) -> None:
        """The first packet, or another one after a request for encryption."""
        ...

    def left(self, session: "Session") -> None:
        """The client is gone."""
        ...


class Session(asyncio.Protocol):
    """A client's connection. First `opening` packets, then messages into `inbox`, then requests."""

    __slots__ = (
        "_buffer",
        "_discarding",
        "_framer",
        "_link",
        "_longest",
        "_pending",
        "_pool",
        "_reception",
        "_requests",
        "inbox",
        "settings",
        "transactions",
        "transport",
    )

    def __init__(self, reception: Reception, requests: Requests, *, longest: int) -> None:
        """`longest`: the most bytes of a statement to prepare, or of parameters that are bound to one."""
        self._reception = reception
        self._requests = requests
        self._longest = longest
        self._buffer = b""
        self._framer: Framer | None = None
        self._pool: Pool | None = None
        self._link: Link | None = None
        self._pending: list[tuple[bytes, Sequence[Event]]] = []
        self._discarding = False  # until the next Sync
        self.inbox: Inbox | None = None
        self.settings = Settings()
        self.transactions = 0
        self.transport = cast("asyncio.Transport", None)

    @property
    def link(self) -> Link | None:
        """The link that it has now."""
        return self._link

    def begin(self, pool: Pool, settings: Settings) -> None:
        """The client is logged in."""
        self._pool, self.settings, self.inbox = pool, settings, None
        self._framer = Framer(INTERESTS, longest=self._longest)

    def end(self, words: str = "", code: str = "57P01") -> None:
        """Close the connection, with an error where there are words."""
        if words and not self.transport.is_closing():
            self.transport.write(encode.error(code, words, severity="FATAL"))
        self.transport.close()

    # what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once; once more when TLS has begun."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Called for every read."""
        framer = self._framer
        if framer is not None and not self._discarding and framer.is_one(data, _QUERY):
            self._queried(data)
            return
        try:
            if framer is not None:
                self._requested(*framer.feed(data))
            elif self.inbox is not None:
                self.inbox.feed(data)
            else:
                self._open(data)
        except ProtocolFault as fault:
            self.end(str(fault), "08P01")

    def connection_lost(self, _error: Exception | None) -> None:
        """Called once, last."""
        if self.inbox is not None:
            self.inbox.close()
        self._leave()
        self._requests.forget_all()
        self._reception.left(self)

    def pause_writing(self) -> None:
        """Called when more than the high-water mark waits for the client."""
        if self._link is not None:
            self._link.transport.pause_reading()

    def resume_writing(self) -> None:
        """Called when less than the low-water mark is left."""
        if self._link is not None:
            self._link.transport.resume_reading()

    # what a link calls

    def answered(self, link: Link, data: bytes) -> None:
        """The whole answer to the one query that was asked; the server is free."""
        self.transport.write(data)
        self.transactions += 1
        self._let_go(link)

    def heard(self, link: Link, heard: Heard) -> None:
        """The server said something."""
        if heard.for_client:
            self.transport.write(heard.for_client)
        if link.state.flow.skipped:
            self._requests.refused(link.state)
        if heard.forgotten:
            self._requests.forget_all()
        self.transactions += heard.transactions
        if heard.free:
            self._let_go(link)

    def link_lost(self, link: Link, reason: str) -> None:
        """The server is gone, in the middle of what it was asked: nobody knows what became of that."""
        self._link = None
        if self._pool is not None:
            self._pool.lost(link)
        self.end(f"the server is gone: {reason}", "08006")

    def pause(self) -> None:
        """The server is slow."""
        self.transport.pause_reading()

    def resume(self) -> None:
        """The server has caught up."""
        self.transport.resume_reading()

    # what a pool calls

    def got(self, link: Link) -> None:
        """A link, which was waited for."""
        self._take(link)
        pending, self._pending = self._pending, []
        for data, events in pending:
            if self._link is None:
                self._requested(data, events)  # what was sent first ended by itself
            else:
                self._forward(self._link, data, events)
        self.transport.resume_reading()

    def got_none(self, reason: str) -> None:
        """No link in time: what was asked fails, and the client may ask again."""
        pending, self._pending = self._pending, []
        kinds = [kind for _, events in pending for kind, _, _ in events]
        self.transport.write(encode.error("53300", reason))
        for kind in kinds:
            if kind in _ENDS_A_REQUEST:
                self.transport.write(encode.ready(_IDLE))
        self._discarding = bool(kinds) and kinds[-1] not in _ENDS_A_REQUEST
        self.transport.resume_reading()

    # the rest is ours

    def _open(self, data: bytes) -> None:
        self._buffer += data
        opening = read_opening(self._buffer)
        if opening is None:
            return
        what, length = opening
        if len(self._buffer) > length:
            # nobody may put words in front of what will be encrypted (CVE-2021-23222)
            raise ProtocolFault("bytes came before the answer to the first packet")
        self._buffer = b""
        self._reception.opened(self, what)

    def _queried(self, data: bytes) -> None:
        """One whole query and nothing else, which is what most clients send most of the time."""
        link = self._link
        if link is None:
            link = None if self._pending else cast("Pool", self._pool).acquire(self)
            if link is None:
                self._wait(data, ((_QUERY, 0, len(data)),))
                return
            self._take(link)
        link.state.flow.sent(Owed.QUERY)
        link.transport.write(data)

    def _wait(self, data: bytes, events: Sequence[Event]) -> None:
        self._pending.append((data, events))
        self.transport.pause_reading()

    def _requested(self, data: bytes, events: Sequence[Event]) -> None:
        if events and events[-1][0] == _TERMINATE:
            self.transport.close()
            return
        if self._discarding:
            self._discard(events)
            return
        link = self._link
        if link is None:
            if not events and not self._pending:
                return  # a Flush, of nothing
            link = None if self._pending else cast("Pool", self._pool).acquire(self)
            if link is None:
                self._wait(data, events)
                return
            self._take(link)
        self._forward(link, data, events)

    def _discard(self, events: Sequence[Event]) -> None:
        for kind, _, _ in events:
            if kind == _SYNC:
                self._discarding = False
                self.transport.write(encode.ready(_IDLE))

    def _take(self, link: Link) -> None:
        self._link, link.holder = link, self
        if link.settings is not self.settings and (query := difference(self.settings, link.parameters)):
            link.ask_silently(query)

    def _forward(self, link: Link, data: bytes, events: Sequence[Event]) -> None:
        state = link.state
        words = self._requests.forward(data, events, state)
        if words:
            link.transport.write(words)
        flow = state.flow
        if flow.skipped:
            self._requests.refused(state)
        if flow.to_give:
            self.transport.write(due(state))
        if flow.free:
            self._let_go(link)

    def _let_go(self, link: Link) -> None:
        self.settings = link.settings
        self._link = None
        cast("Pool", self._pool).release(link)

    def _leave(self) -> None:
        """The client is gone: its transaction is rolled back, what runs for it is ended with the link."""
        if self._pool is None:
            return
        if self._pending:
            self._pool.give_up(self)
        link, self._link = self._link, None
        if link is None:
            return
        flow = link.state.flow
        if not flow.owed and not flow.copying_in and flow.status != _IDLE and link.between:
            link.holder = None
            link.ask_silently(_ROLLBACK)
        else:
            self._pool.discard(link)
