"""Inbox: the messages of a peer one after the other, while it logs in. Afterwards there is no such thing."""

import asyncio
from collections import deque

from marchproxy.wire.postgres.fault import ProtocolFault
from marchproxy.wire.postgres.framing import Framer, Interest

#: The most bytes of a message while somebody logs in (PQ_SMALL_MESSAGE_LIMIT).
LONGEST = 10_000
_MOST_MESSAGES = 256


class PeerGone(Exception):
    """The peer hung up in the middle of logging in."""


class Inbox:
    """Filled by a protocol, emptied by one coroutine."""

    __slots__ = ("_framer", "_gone", "_messages", "_waiter")

    def __init__(self, kinds: bytes) -> None:
        """`kinds`: the types of message that may come."""
        self._framer = Framer(dict.fromkeys(kinds, Interest.WHOLE), longest=LONGEST)
        self._messages: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._gone: Exception | None = None

    def feed(self, data: bytes) -> None:
        """Take what was received. What breaks the protocol is raised where the next message is waited for."""
        try:
            data, events = self._framer.feed(data)
            self._messages.extend(data[start:end] for _, start, end in events)
            if len(self._messages) > _MOST_MESSAGES:
                raise ProtocolFault(f"more than {_MOST_MESSAGES} messages at once while logging in")
        except ProtocolFault as fault:
            self._gone = fault
        self._wake()

    def close(self) -> None:
        """Nothing comes any more."""
        self._gone = self._gone or PeerGone("it hung up while logging in")
        self._wake()

    async def next(self) -> bytes:
        """The next message, header included. Raises ProtocolFault, PeerGone."""
        while not self._messages:
            if self._gone is not None:
                raise self._gone
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._messages.popleft()

    @property
    def clean(self) -> bool:
        """Whether nothing is left, not even a part of a message."""
        return not self._messages and self._framer.between

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
