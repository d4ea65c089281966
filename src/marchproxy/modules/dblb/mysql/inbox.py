"""Inbox: the packets of a peer one after the other, while it logs in."""

import asyncio
from collections import deque

from marchproxy.wire.mysql.fault import ProtocolFault
from marchproxy.wire.mysql.packets import Packets

#: The most bytes of a packet while somebody logs in: names, a proof, and 64 KiB of attributes of a client.
LONGEST = 70_000
_MOST_PACKETS = 16


class PeerGone(Exception):
    """The peer hung up in the middle of logging in."""


class Inbox:
    """Filled by a protocol, emptied by one coroutine."""

    __slots__ = ("_found", "_gone", "_packets", "_waiter")

    def __init__(self) -> None:
        self._packets = Packets(longest=LONGEST)
        self._found: deque[tuple[int, bytes]] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._gone: Exception | None = None

    def feed(self, data: bytes) -> None:
        """Take what was received. What breaks the protocol is raised where the next packet is waited for."""
        if self._gone is not None:
            return
        try:
            self._found.extend(self._packets.feed(data))
            if len(self._found) > _MOST_PACKETS:
                raise ProtocolFault(f"more than {_MOST_PACKETS} packets at once while logging in")
        except ProtocolFault as fault:
            self._gone = fault
        self._wake()

    def close(self) -> None:
        """Nothing comes any more."""
        self._gone = self._gone or PeerGone("it hung up while logging in")
        self._wake()

    async def next(self) -> tuple[int, bytes]:
        """Sequence number and payload of the next packet, not empty. Raises ProtocolFault, PeerGone."""
        while not self._found:
            if self._gone is not None:
                raise self._gone
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        sequence, payload = self._found.popleft()
        return sequence, payload

    @property
    def clean(self) -> bool:
        """Whether nothing is left, not even a part of a packet."""
        return not self._found and self._packets.between

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
