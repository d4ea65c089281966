"""Link: one connection to a server. What many clients ask goes over it, and each hears its own answers, in order."""

import asyncio
from collections import deque
from typing import Protocol, cast

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.redis.replies import Replies

_ERROR, _PUSH = b"->"
#: Errors that say that a server is not what it was taken for.
_CHANGED = (b"-READONLY", b"-LOADING", b"-MASTERDOWN", b"-MOVED")


class Asker(Protocol):
    """Who is owed replies."""

    def answered(self, data: bytes, replies: int) -> None:
        """Bytes of replies, and how many of these end in them."""
        ...

    def relayed(self, data: bytes) -> None:
        """Bytes that nobody counts."""
        ...

    def link_lost(self, link: "Link", *, owed: int, cut: bool) -> None:
        """The connection is gone, with so many replies owed; `cut`: in the middle of one."""
        ...

    def link_relieved(self) -> None:
        """The server reads again."""
        ...


class Owner(Protocol):
    """The pool that a link belongs to."""

    def link_closed(self, link: "Link") -> None:
        """It is gone."""
        ...

    def doubted(self, link: "Link", words: bytes) -> None:
        """The server answered that it is not what it was taken for."""
        ...


class Link(asyncio.Protocol):
    """Counts the replies that are owed, and to whom."""

    __slots__ = (
        "_cut",
        "_owed",
        "_owner",
        "_relay",
        "_replies",
        "congested",
        "lost",
        "stalled",
        "transport",
        "used",
    )

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._replies = Replies()
        self._owed: deque[tuple[Asker, int]] = deque()
        self._relay: Asker | None = None
        self._cut = False
        self.congested = False
        """Whether the server is behind with reading."""
        self.stalled: set[Asker] = set()
        """Who is to be told when it is not any more."""
        self.lost = False
        self.used = 0.0
        self.transport = cast("asyncio.Transport", None)

    @property
    def free(self) -> bool:
        """Whether nothing is owed."""
        return not self._owed and self._replies.between

    def send(self, asker: Asker, data: bytes, replies: int) -> None:
        """Ask; so many replies will come for it. 0: a part of a command whose last part counts."""
        if replies:
            self._owed.append((asker, replies))
        self.transport.write(data)

    def relay(self, asker: Asker) -> None:
        """From now on count nothing: whatever comes is for this one."""
        self._relay = asker

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Called for every read."""
        if self._relay is not None:
            self._relay.relayed(data)
            return
        try:
            self._deal(data)
        except ProtocolFault:
            self.transport.abort()

    def _deal(self, data: bytes) -> None:
        data, replies = self._replies.feed(data)
        owed, done, at, most = self._owed, 0, 0, len(replies)
        for first, start, _ in replies:
            if first == _ERROR and data.startswith(_CHANGED, start):
                self._owner.doubted(self, data[start + 1 : start + 128])
            elif first == _PUSH:
                raise ProtocolFault("a server speaks unasked")
        while at < most:
            if not owed:
                raise ProtocolFault("a server answers more than it was asked")
            asker, count = owed[0]
            taken = min(count, most - at)
            if taken == count:
                owed.popleft()
            else:
                owed[0] = (asker, count - taken)
            at += taken
            end = replies[at - 1][2]
            asker.answered(data[done:end], taken)
            done = end
        self._cut = not self._replies.between
        if done < len(data):
            if not owed:
                raise ProtocolFault("a server answers more than it was asked")
            owed[0][0].answered(data[done:], 0)

    def connection_lost(self, _error: Exception | None) -> None:
        """Called once, last."""
        self.lost = True
        self._owner.link_closed(self)
        owed: dict[Asker, int] = {}
        cut = self._owed[0][0] if self._cut and self._owed else None
        for asker, count in self._owed:
            owed[asker] = owed.get(asker, 0) + count
        self._owed.clear()
        if self._relay is not None:
            owed, cut = {self._relay: 0}, self._relay
        for asker, count in owed.items():
            asker.link_lost(self, owed=count, cut=asker is cut)
        self.resume_writing()

    def pause_writing(self) -> None:
        """The server is behind."""
        self.congested = True

    def resume_writing(self) -> None:
        """It has caught up."""
        self.congested = False
        stalled, self.stalled = self.stalled, set()
        for asker in stalled:
            asker.link_relieved()


class Question:
    """Replies to a coroutine: of a login, or of a look at a server."""

    def __init__(self, replies: int) -> None:
        self._left = replies
        self._data = b""
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def answered(self, data: bytes, replies: int) -> None:
        """See Asker."""
        self._data += data
        self._left -= replies
        if not self._left and not self.answer.done():
            self.answer.set_result(self._data)

    def relayed(self, data: bytes) -> None:
        """See Asker."""

    def link_lost(self, link: Link, *, owed: int, cut: bool) -> None:  # noqa: ARG002 - as an Asker has it
        """See Asker."""
        if not self.answer.done():
            self.answer.set_exception(ConnectionError("the server closed the connection"))

    def link_relieved(self) -> None:
        """See Asker."""


async def ask(link: Link, commands: bytes, replies: int) -> bytes:
    """The bytes of so many replies. Raises ConnectionError; the caller sets the deadline."""
    if link.lost:
        raise ConnectionError("the server closed the connection")
    question = Question(replies)
    link.send(question, commands, replies)
    return await question.answer


class Nobody:
    """Replies that nobody wants."""

    def answered(self, data: bytes, replies: int) -> None:
        """See Asker."""

    def relayed(self, data: bytes) -> None:
        """See Asker."""

    def link_lost(self, link: Link, *, owed: int, cut: bool) -> None:
        """See Asker."""

    def link_relieved(self) -> None:
        """See Asker."""


NOBODY = Nobody()
