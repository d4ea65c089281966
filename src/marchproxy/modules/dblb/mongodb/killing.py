"""Killing: closes a cursor on a server; the server closes it by itself some day when this fails."""

from marchproxy.modules.dblb.mongodb.link import Link
from marchproxy.modules.dblb.mongodb.pins import Cursor
from marchproxy.modules.dblb.mongodb.pool import Pool
from marchproxy.wire.mongodb.bson import Int64


class Killing:
    """Over a link of the user whose cursor it is."""

    def __init__(self, pool: Pool, cursor: Cursor) -> None:
        self._pool = pool
        self._cursor = cursor

    def start(self) -> None:
        """Begin."""
        link = self._pool.acquire(self)
        if link is not None:
            self.got(link)

    def got(self, link: Link) -> None:
        """See Waiter."""
        cursor = self._cursor
        numbers = (Int64(cursor.number),)
        link.ask({"killCursors": cursor.collection, "cursors": numbers, "$db": cursor.database}, self)

    def got_none(self, reason: str, *, final: bool) -> None:
        """See Waiter."""

    def answered(self, link: Link, _answer: bytes, *, more: bool) -> None:
        """See Asker."""
        if not more:
            self._pool.release(link)

    def link_lost(self, link: Link, _reason: str) -> None:
        """See Asker."""
        self._pool.lost(link)
