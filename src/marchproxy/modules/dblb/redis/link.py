"""Link: one connection to a server. What many clients ask goes over it, and each hears its own answers, in order."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol, cast

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.redis.ordinary import end_of_replies
from marchproxy.wire.redis.replies import Odd, Replies

_PUSH = ord(">")
#: Errors that say that a server is not what it was taken for.
_CHANGED = (b"-READONLY", b"-LOADING", b"-MASTERDOWN", b"-MOVED")


class Asker(Protocol):
    """Who is owed replies."""

    def answered(self, data: bytes, replies: int) -> None:
        """Bytes of replies, and how many of these end in them."""
        ...

    def erred(self, replies: int) -> None:
        """So many of the replies that come are errors."""
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
        "_loop",
        "_owed",
        "_owner",
        "_relay",
        "_replies",
        "_unsent",
        "born",
        "congested",
        "lost",
        "replica",
        "stale",
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
        self._unsent: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        self.congested = False
        """Whether the server is behind with reading."""
        self.stalled: set[Asker] = set()
        """Who is to be told when it is not any more."""
        self.lost = False
        self.stale = False
        """Whether nothing new may be asked: it closes when it owes nothing any more."""
        self.replica = False
        """Whether it is used for reads elsewhere than on the primary."""
        self.born = 0.0
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
        if (
            not self._unsent
        ):  # what others ask in the same turn of the loop goes with it: one call of the system for all
            self._loop.call_soon(self._flush)
        self._unsent.append(data)

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if not self.transport.is_closing():
            self.transport.write(unsent[0] if len(unsent) == 1 else b"".join(unsent))

    def leave(self) -> None:
        """Close as soon as nothing is owed; until then ask nothing new."""
        self.stale = True
        if self.free:
            self.transport.close()

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
        if self._replies.between:
            done = self._deal_ordinary(data)
            if done == len(data):
                if self.stale and self.free:
                    self.transport.close()
                return
            data = data[done:]
        self._deal_any(data)

    def _deal_ordinary(self, data: bytes) -> int:
        """Deal out replies as long as all of an asker's are ordinary; where the rest begins."""
        owed, done, size = self._owed, 0, len(data)
        while owed and done < size:
            asker, count = owed[0]
            end = end_of_replies(data, done, count)
            if end < 0:
                break
            owed.popleft()
            asker.answered(data[done:end], count)
            done = end
        return done

    def _deal_any(self, data: bytes) -> None:
        data, ends = self._replies.feed(data)
        owed, done, at, most = self._owed, 0, 0, len(ends)
        odd = self._replies.odd
        if odd:
            self._look(data, odd)
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
            end = ends[at - 1]
            if odd and (errors := sum(at - taken <= number < at for _, _, number in odd)):
                asker.erred(errors)
            asker.answered(data[done:end], taken)
            done = end
        self._cut = not self._replies.between
        if not owed and (self._cut or done < len(data)):
            raise ProtocolFault("a server answers more than it was asked")
        if done < len(data):
            owed[0][0].answered(data[done:], 0)
        elif self.stale and self.free:
            self.transport.close()

    def _look(self, data: bytes, odd: Sequence[Odd]) -> None:
        """Errors may say that the server is another. Raises ProtocolFault."""
        for first, start, _ in odd:
            if first == _PUSH:
                raise ProtocolFault("a server speaks unasked")
            if data.startswith(_CHANGED, start):
                self._owner.doubted(self, data[start + 1 : start + 128])

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
