"""Tap: whoever gets all messages of a stream beside its players: packagers, pushers."""

from collections.abc import Sequence
from typing import Protocol

from marchproxy.wire.rtmp.message import Message


class Tap(Protocol):
    """Nothing here may take long, or raise."""

    def messages(self, messages: Sequence[Message]) -> None:
        """Those of one read, in order, of stream 1, their times as players see them; first of all, what a player that joins now
        would be given."""
        ...

    def paused(self) -> None:
        """The publisher is gone; the stream waits for another one."""
        ...

    def ended(self) -> None:
        """The stream has ended; nothing follows."""
        ...
