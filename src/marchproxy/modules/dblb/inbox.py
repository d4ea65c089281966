"""Inbox: the messages of a peer one after the other, while it logs in. Afterwards there is no such thing."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from marchproxy.wire.fault import ProtocolFault

M = TypeVar("M")


class PeerGone(Exception):
    """The peer hung up in the middle of logging in."""


class LoginInbox(Generic[M]):
    """Filled by a protocol, emptied by one coroutine."""

    __slots__ = ("_cut", "_found", "_gone", "_most", "_waiter")

    def __init__(self, cut: Callable[[bytes], Iterable[M]], *, most: int) -> None:
        """`cut` makes messages of what was received (ProtocolFault: it cannot); `most` of them may wait at once."""
        self._cut = cut
        self._most = most
        self._found: deque[M] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._gone: Exception | None = None

    def feed(self, data: bytes) -> None:
        """Take what was received. What breaks the protocol is raised where the next message is waited for."""
        if self._gone is not None:
            return
        try:
            self._found.extend(self._cut(data))
            if len(self._found) > self._most:
                raise ProtocolFault(f"more than {self._most} messages at once while logging in")
        except ProtocolFault as fault:
            self._gone = fault
        self._wake()

    def close(self) -> None:
        """Nothing comes any more."""
        self._gone = self._gone or PeerGone("it hung up while logging in")
        self._wake()

    async def next(self) -> M:
        """The next message. Raises ProtocolFault, PeerGone."""
        while not self._found:
            if self._gone is not None:
                raise self._gone
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._found.popleft()

    @property
    def empty(self) -> bool:
        """Whether no message waits."""
        return not self._found

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
