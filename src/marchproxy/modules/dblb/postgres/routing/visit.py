"""Visit: a session that reads on another server than the one it writes to, on a link that is another's afterwards.

What it asks stays pending in the session until it is answered: as long as the client has heard nothing of the answer, it can be
asked again on the primary. A transaction that was begun there stays there, and is asked one request at a time: what comes
behind its end is not a part of it.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from marchproxy.model.module import PoolName
from marchproxy.modules.dblb.postgres.answers import Heard, due, learn
from marchproxy.modules.dblb.postgres.link import Link
from marchproxy.modules.dblb.postgres.pool import Pool
from marchproxy.modules.dblb.postgres.requests import Requests
from marchproxy.modules.dblb.postgres.routing.reads import texts_of
from marchproxy.modules.dblb.postgres.routing.refusals import code_of, is_replicas_own, tells_of_lack
from marchproxy.modules.dblb.postgres.routing.units import Unit, are_notices, first_of, is_whole
from marchproxy.modules.dblb.tally import Tally
from marchproxy.wire.postgres import encode
from marchproxy.wire.postgres.backend import read_error
from marchproxy.wire.postgres.framing import Event
from marchproxy.wire.postgres.frontend import read_parse

_QUERY, _PARSE, _EXECUTE = b"QPE"
_ASKS = frozenset((_QUERY, _EXECUTE))


class Client(Protocol):
    """The session whose visit it is."""

    @property
    def requests(self) -> Requests:
        """Its statements."""
        ...

    @property
    def tally(self) -> Tally:
        """Where it is counted."""
        ...

    def tally_in(self, pool: PoolName) -> Tally:
        """Where is counted what it reads in this pool."""
        ...

    def tell(self, words: bytes) -> None:
        """Send this to the client."""
        ...

    def settle(self, link: Link) -> None:
        """Bring what the client has set to a link."""
        ...

    def leaves(self, link: Link, text: bytes) -> str:
        """What a statement may leave in a server's session; empty: nothing that does not follow the client."""
        ...

    def settled(self, link: Link) -> None:
        """The client has set now what the link has."""
        ...

    def read_elsewhere(self, rest: Unit | None) -> None:
        """What was pending is answered, but for this rest."""
        ...

    def lost(self, reason: str) -> None:
        """The server is gone, after it has said something."""
        ...

    def pause(self) -> None:
        """The server is slow."""
        ...

    def resume(self) -> None:
        """The server has caught up."""
        ...


class Visit:
    """Holds the link, and waits for it, in the session's place."""

    def __init__(self, client: Client, fail: Callable[[], None], now: Callable[[], float]) -> None:
        """`fail` is called when it is of no use: then what is pending is for the primary."""
        self._client = client
        self._fail = fail
        self._now = now
        self._pool: Pool | None = None  # in whose line it waits
        self._tally = client.tally
        self._unit: Unit = (b"", ())
        self._rest: Unit | None = None
        self._told = self._failed = False
        self._held = b""
        self._named: list[bytes] = []  # what the client prepares with it
        self._asked = 0
        self._began = 0.0
        self.spoils = False
        """Whether what was asked may have left something in the link's session."""
        self.link: Link | None = None
        """While there is something on it."""

    def begin(self, pool: Pool, unit: Unit, name: PoolName) -> None:
        """Ask this on a link of the pool, a server's in the pool of this name."""
        self._tally = self._client.tally_in(name)
        self._unit, self._rest = unit, None
        self._told = self._failed = self.spoils = False
        self._held = b""
        link = pool.acquire(self)
        if link is None:
            self._pool = pool
        else:
            self._go(link)

    def go_on(self, unit: Unit) -> None:
        """Ask this in the transaction that is open there."""
        link = self.link
        assert link is not None
        self._unit, self._rest = first_of(unit)
        left = self._left(link)
        if not left:
            self._send(link)
            return
        # the next client would have it, and this one not: it will be on another server
        words = f"a transaction that only reads is on a replica, where this cannot be kept: {left}"
        error = encode.error("25006", words, hint="Begin it with /* marchproxy: primary */.")
        self._tally.errors += 1
        self._client.tell(error + encode.ready(link.state.flow.status))
        self._client.read_elsewhere(self._rest)

    def leave(self) -> Link | None:
        """The client is gone; the link that it had, on which something may be under way."""
        if self._pool is not None:
            self._pool.give_up(self)
            self._pool = None
        link, self.link = self.link, None
        return link

    # what a pool calls

    def got(self, link: Link) -> None:
        """A link, which was waited for."""
        self._pool = None
        self._go(link)

    def got_none(self, reason: str) -> None:  # noqa: ARG002 - the primary may have one
        """No link in time."""
        self._pool = None
        self._missed(answered=False)
        self._fail()

    # what a link calls

    def answered(self, link: Link, data: bytes) -> None:
        """The whole answer to the one query that was asked, or what was left of it; the server is free."""
        if self._failed:
            self._again(link)
            return
        self._tell(data)
        self._tally.transactions += 1
        self._end(link)

    def heard(self, link: Link, heard: Heard) -> None:
        """The server said something."""
        client, flow = self._client, link.state.flow
        learn(heard, client.requests, link.state)
        if not self._failed and not self._told and is_replicas_own(code := code_of(heard)):
            self._failed = True
            if tells_of_lack(code):
                self._missed(answered=True)
        if self._failed:
            if heard.free:
                self._again(link)
            return
        if heard.own_errors:
            self.link_lost(link, read_error(heard.own_errors[0]).message)
            link.end()
            return
        self._tell(heard.for_client)
        self._tally.transactions += heard.transactions
        self._tally.errors += len(heard.errors)
        if heard.free:
            self._end(link)
        elif not flow.owed:
            self._count()
            client.read_elsewhere(self._rest)

    def link_lost(self, link: Link, reason: str) -> None:
        """The server is gone, in the middle of what it was asked."""
        self.link = link.holder = None
        link.owner.lost(link)
        if self._told:
            self._tally.unanswered(self._asked or 1, told=not reason)
            self._client.lost(reason)
        else:
            if not self._failed:
                self._missed(answered=False)
            self._retry()

    def pause(self) -> None:
        """The server is slow."""
        self._client.pause()

    def resume(self) -> None:
        """The server has caught up."""
        self._client.resume()

    # the rest is ours

    def _tell(self, words: bytes) -> None:
        if not self._told and are_notices(words):
            self._held += words  # what a server says before it ends, too
        elif words:
            self._told = True
            self._client.tell(self._held + words)
            self._held = b""

    def _go(self, link: Link) -> None:
        self.link, link.holder = link, self
        self._client.settle(link)
        self._send(link)

    def _send(self, link: Link) -> None:
        data, events = self._unit
        self._began = self._now()
        state, requests = link.state, self._client.requests
        self._look(data, events)
        words = requests.forward(data, events, state)
        if requests.left:
            self.spoils = True
            requests.left.clear()
        if words:
            link.transport.write(words)
        if state.flow.skipped:
            requests.refused(state)
        if state.flow.to_give and (given := due(state)):
            self._tell(given)
        if not state.flow.owed:
            self._client.read_elsewhere(self._rest)

    def _left(self, link: Link) -> str:
        data, events = self._unit
        if not is_whole(self._unit):
            return ""  # it is sent in parts, and what it leaves is cleared away later
        found = (
            self._client.leaves(link, text) for text in texts_of(data, events, self._client.requests.text)
        )
        return next(filter(None, found), "")

    def _look(self, data: bytes, events: Sequence[Event]) -> None:
        self._asked, self._named = 0, []
        for kind, start, end in events:
            if kind in _ASKS:
                self._asked += 1
            elif kind == _PARSE:
                name = read_parse(data[start:end]).name
                if self._client.requests.text(name) is None:
                    self._named.append(name)

    def _again(self, link: Link) -> None:
        self._release(link)
        self._retry()

    def _retry(self) -> None:
        self._client.requests.undo(self._named)
        self._tally.retried += 1
        self._fail()

    def _missed(self, *, answered: bool) -> None:
        """The session's own pool is asked instead. Of a pool that is to be judged beside it, that is a failure."""
        tally = self._tally
        if tally is not self._client.tally:
            tally.queries += 1
            tally.errors += 1
            tally.unserved += not answered

    def _end(self, link: Link) -> None:
        self._count()
        self._release(link)
        self._client.read_elsewhere(self._rest)

    def _release(self, link: Link) -> None:
        self.link = None
        self._client.settled(link)
        if self.spoils:
            link.owner.recycle(link, reset=True)
        else:
            link.owner.release(link)

    def _count(self) -> None:
        tally = self._tally
        tally.queries += self._asked
        tally.to_replicas += self._asked
        if self._asked:
            tally.query_seconds.add(self._now() - self._began)
