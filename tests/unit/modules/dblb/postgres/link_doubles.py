"""What stands on both sides of a link without a server: a connection that goes nowhere, and a client that waits."""

import asyncio

from marchproxy.modules.dblb.postgres.link import Link


class Wire(asyncio.Transport):
    """A connection that keeps what it is given."""

    def __init__(self) -> None:
        self.sent = b""
        self.ended = False

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self.sent += data

    def is_closing(self) -> bool:
        return self.ended

    def close(self) -> None:
        self.ended = True

    abort = close

    def take(self) -> bytes:
        sent, self.sent = self.sent, b""
        return sent


class Waiter:
    """A client that wants a link, and notes what it is told."""

    def __init__(self) -> None:
        self.link: Link | None = None
        self.reason = ""

    def got(self, link: Link) -> None:
        self.link = link

    def got_none(self, reason: str) -> None:
        self.reason = reason
