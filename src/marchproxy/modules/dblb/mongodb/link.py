"""Link: one connection to a server, which answers one request after the other."""

import asyncio
import struct
from collections.abc import Mapping
from typing import Protocol, cast

from marchproxy.kit.logs import get_logger
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mongodb import message
from marchproxy.wire.mongodb.bson import Value
from marchproxy.wire.mongodb.framing import Framer

_log = get_logger(__name__)
_NUMBER = struct.Struct("<i")


class Asker(Protocol):
    """Who waits for the answer."""

    def answered(self, link: "Link", answer: bytes, *, more: bool) -> None:
        """An answer; `more`: the server sends another by itself."""
        ...

    def link_lost(self, link: "Link", reason: str) -> None:
        """There will be no answer."""
        ...


class Owner(Protocol):
    """The pool that a link belongs to."""

    def idle_lost(self, link: "Link") -> None:
        """It is gone while nobody asked anything."""
        ...


class Link(asyncio.Protocol):
    """Request numbers pass unchanged: as a link has one asker at a time, they cannot be mistaken, and answers are checked."""

    __slots__ = ("_expected", "_framer", "_numbers", "_reason", "asker", "born", "owner", "transport", "used")

    def __init__(self, longest: int) -> None:
        self._framer = Framer(longest)
        self._expected = 0
        self._numbers = 0
        self._reason = "the server closed the connection"
        self.owner: Owner | None = None
        self.asker: Asker | None = None
        self.born = self.used = 0.0
        self.transport = cast("asyncio.Transport", None)

    def send(self, data: bytes, asker: Asker | None) -> None:
        """Ask; without an asker no answer is due."""
        if asker is not None:
            self.asker, (self._expected,) = asker, _NUMBER.unpack_from(data, 4)
        self.transport.write(data)

    def ask(self, document: Mapping[str, Value], asker: Asker) -> None:
        """Ask something of our own."""
        self._numbers += 1
        self.send(message.build(document, number=self._numbers), asker)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop once."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Called by the loop for every read."""
        try:
            for answer in self._framer.feed(data):
                self._heard(answer)
        except ProtocolFault as fault:
            self._reason = f"the server broke the protocol: {fault}"
            _log.error("link closed", reason=self._reason)
            self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the loop once, last."""
        asker, self.asker = self.asker, None
        if asker is not None:
            asker.link_lost(self, str(error) if error else self._reason)
        elif self.owner is not None:
            self.owner.idle_lost(self)

    def _heard(self, answer: bytes) -> None:
        asker = self.asker
        answers, flags = message.answered_by(answer)
        if asker is None or answers != self._expected:
            raise ProtocolFault("an answer that nobody asked for")
        more = bool(flags & message.MORE_TO_COME)
        if more:
            self._expected = message.request_id(answer)
        else:
            self.asker = None
        try:
            asker.answered(self, answer, more=more)
        except ProtocolFault:
            self.asker = asker  # it is to hear that the link is lost
            raise


class LinkGone(Exception):
    """The server hung up in the middle of a conversation."""


class Conversation:
    """Asks a link in a coroutine."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._answer: asyncio.Future[bytes] | None = None

    async def ask(self, document: Mapping[str, Value]) -> bytes:
        """The answer. Raises LinkGone. The caller sets the deadline."""
        self._answer = asyncio.get_running_loop().create_future()
        if self._link.transport.is_closing():
            raise LinkGone("the server closed the connection")
        self._link.ask(document, self)
        return await self._answer

    def answered(self, _link: Link, answer: bytes, *, more: bool) -> None:
        """Called by the link."""
        if self._answer is not None and not self._answer.done() and not more:
            self._answer.set_result(answer)

    def link_lost(self, _link: Link, reason: str) -> None:
        """Called by the link."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(LinkGone(reason))
