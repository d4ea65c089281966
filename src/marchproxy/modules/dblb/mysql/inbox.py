"""Inbox: MySQL's packets, sequence number and payload, while somebody logs in."""

from marchproxy.modules.dblb.inbox import LoginInbox
from marchproxy.wire.mysql.packets import Packets

# The most bytes of a packet while somebody logs in: names, a proof, and 64 KiB of attributes of a client.
_LONGEST = 70_000
_MOST_PACKETS = 16


class Inbox(LoginInbox[tuple[int, bytes]]):
    """Whole packets; a payload is not empty."""

    __slots__ = ("_packets",)

    def __init__(self) -> None:
        self._packets = Packets(longest=_LONGEST)
        super().__init__(self._packets.feed, most=_MOST_PACKETS)

    @property
    def clean(self) -> bool:
        """Whether nothing is left, not even a part of a packet."""
        return self.empty and self._packets.between
