"""Link: one connection to a server, which one client after the other has."""

import asyncio
from typing import Protocol, cast

from marchproxy.kit.logs import get_logger
from marchproxy.modules.dblb.postgres.answers import INTERESTS, Heard, hear, is_whole
from marchproxy.modules.dblb.postgres.inbox import Inbox
from marchproxy.modules.dblb.postgres.login import KINDS, Target, Welcome
from marchproxy.modules.dblb.postgres.requests import ServerState
from marchproxy.modules.dblb.postgres.settling import Settings
from marchproxy.modules.dblb.postgres.statements import Prepared
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.postgres.backend import read_error
from marchproxy.wire.postgres.encode import TERMINATE
from marchproxy.wire.postgres.flow import Desynchronised, Owed
from marchproxy.wire.postgres.framing import Framer

_log = get_logger(__name__)
#: Of messages that are held back: an error, a parameter, the end of a command.
_LONGEST = 1 << 20


class Holder(Protocol):
    """The client that has a link."""

    def answered(self, link: "Link", data: bytes) -> None:
        """The whole answer to its one query; the server is free."""
        ...

    def heard(self, link: "Link", heard: Heard) -> None:
        """The server said something else."""
        ...

    def link_lost(self, link: "Link", reason: str) -> None:
        """The server is gone, in the middle of what it was asked; `reason` empty: it has said why itself."""
        ...

    def pause(self) -> None:
        """The server is slow: ask for no more."""
        ...

    def resume(self) -> None:
        """The server has caught up."""
        ...


class Owner(Protocol):
    """The pool that a link belongs to."""

    def release(self, link: "Link") -> None:
        """Its client is done with it, and the server is free."""
        ...

    def recycle(self, link: "Link", *, reset: bool) -> None:
        """As `release`, after a client that left in the middle; `reset`: it may have left something in the session."""
        ...

    def discard(self, link: "Link", *, politely: bool = False) -> None:
        """Nobody may have it any more."""
        ...

    def lost(self, link: "Link") -> None:
        """It is gone while somebody had it."""
        ...

    def idle_link_spoke(self, link: "Link", heard: Heard) -> None:
        """A link that nobody has got something: a notice, the end of a query of ours, or the server's goodbye."""
        ...

    def idle_link_lost(self, link: "Link") -> None:
        """A link that nobody has is gone."""
        ...

    def cancel_heard(self, link: "Link") -> None:
        """No request to interrupt it is under way any more."""
        ...


class Link(asyncio.Protocol):
    """A session on a server. Until `begin`, what is received goes into `inbox`."""

    __slots__ = (
        "_framer",
        "_reason",
        "born",
        "cancelling",
        "holder",
        "inbox",
        "owner",
        "recycling",
        "retiring",
        "settings",
        "state",
        "target",
        "transport",
        "used",
        "welcome",
    )

    def __init__(self, owner: Owner, *, statement_bytes: int, now: float) -> None:
        self.owner = owner
        self._framer = Framer(INTERESTS, longest=_LONGEST)
        self._reason = "the server closed the connection"
        self.inbox: Inbox | None = Inbox(KINDS)
        self.state = ServerState(Prepared(most_bytes=statement_bytes))
        self.welcome = Welcome({})
        self.target: Target | None = None
        """Where it was opened, and as whom."""
        self.settings = Settings()
        self.holder: Holder | None = None
        self.born = self.used = now
        self.retiring = False
        """Whether it is too old to be given to another client."""
        self.recycling: bytes | None = None
        """A query that is yet to be sent while what somebody left behind is being cleared away, or nothing; None: it is not."""
        self.cancelling = 0
        """How many requests to interrupt it are under way."""
        self.transport = cast("asyncio.Transport", None)

    @property
    def parameters(self) -> dict[str, str]:
        """What the server reported last."""
        return self.welcome.parameters

    @property
    def between(self) -> bool:
        """Whether the server is at the end of a message."""
        return self._framer.between

    def begin(self, welcome: Welcome) -> None:
        """It is logged in."""
        self.welcome, self.inbox = welcome, None
        self.settings = Settings().as_reported(welcome.parameters)

    def ask_silently(self, query: bytes) -> None:
        """Send a query of our own; nobody hears what comes of it but the log."""
        self.state.prepared.unnamed = None
        self.state.flow.sent(Owed.SILENT_QUERY)
        self.transport.write(query)

    def cancel_heard(self) -> None:
        """A request to interrupt it has arrived."""
        self.cancelling -= 1
        if not self.cancelling:
            self.owner.cancel_heard(self)

    def end(self, *, politely: bool = True) -> None:
        """Close the connection."""
        if politely and not self.transport.is_closing():
            self.transport.write(TERMINATE)
            self.transport.close()
        else:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop once; once more when TLS has begun."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Called by the loop for every read."""
        if self.inbox is not None:
            self.inbox.feed(data)
            return
        flow, holder = self.state.flow, self.holder
        if holder is not None and self._framer.between and is_whole(data, flow.whole or flow.batch):
            flow.answered()
            holder.answered(self, data)
            return
        try:
            data, events = self._framer.feed(data)
            heard = hear(data, events, self.state, self.parameters)
        except (ProtocolFault, Desynchronised) as fault:
            self._reason = f"the server broke the protocol: {fault}"
            _log.error("link closed", reason=self._reason)
            self.transport.abort()
            return
        for message in heard.own_errors:
            _log.warning("a query of our own was refused", reason=read_error(message).message)
        if heard.fatal:
            self._reason = ""
        if heard.reported:
            self.settings = self.settings.as_reported(self.parameters)
        if holder is not None:
            holder.heard(self, heard)
        else:
            self.owner.idle_link_spoke(self, heard)

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the loop once, last."""
        if self.inbox is not None:
            self.inbox.close()
            return
        holder, self.holder = self.holder, None
        if holder is not None:
            holder.link_lost(self, str(error) if error and self._reason else self._reason)
        else:
            self.owner.idle_link_lost(self)

    def pause_writing(self) -> None:
        """Called by the loop when more than the high-water mark waits for the server."""
        if self.holder is not None:
            self.holder.pause()

    def resume_writing(self) -> None:
        """Called by the loop when less than the low-water mark is left."""
        if self.holder is not None:
            self.holder.resume()
