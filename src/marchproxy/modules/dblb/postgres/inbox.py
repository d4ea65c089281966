"""Inbox: PostgreSQL's messages, header included, while somebody logs in."""

from marchproxy.modules.dblb.inbox import LoginInbox
from marchproxy.wire.postgres.framing import Framer, Interest

# The most bytes of a message while somebody logs in (PQ_SMALL_MESSAGE_LIMIT).
_LONGEST = 10_000
_MOST_MESSAGES = 256


class Inbox(LoginInbox[bytes]):
    """Whole messages."""

    __slots__ = ("_framer",)

    def __init__(self, kinds: bytes) -> None:
        """`kinds`: the types of message that may come."""
        super().__init__(self._messages, most=_MOST_MESSAGES)
        self._framer = Framer(dict.fromkeys(kinds, Interest.WHOLE), longest=_LONGEST)

    @property
    def clean(self) -> bool:
        """Whether nothing is left, not even a part of a message."""
        return self.empty and self._framer.between

    def _messages(self, data: bytes) -> list[bytes]:
        data, events = self._framer.feed(data)
        return [data[start:end] for _, start, end in events]
