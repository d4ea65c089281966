"""Tracking: what a client's commands and their answers say of cursors and transactions."""

from dataclasses import dataclass

from marchproxy.modules.dblb.mongodb.pins import Cursor
from marchproxy.modules.dblb.mongodb.registry import Registry
from marchproxy.wire.mongodb.command import Command, cursor_of
from marchproxy.wire.mongodb.message import with_number

#: Commands whose answers have no cursor.
WITHOUT_CURSOR = frozenset(
    {
        "insert",
        "update",
        "delete",
        "findAndModify",
        "findandmodify",
        "count",
        "distinct",
        "ping",
        "endSessions",
    }
)
_ENDINGS = frozenset({"commitTransaction", "abortTransaction"})
_NO_CURSOR = 43


@dataclass(frozen=True, slots=True)
class Server:
    """The server that a command went to, and the pool that it is in."""

    name: str
    pool: str


class Tracking:
    """For one command of a user on a connection; `number` is ours of the cursor that a getMore goes on with."""

    __slots__ = ("_cursor", "_holder", "_number", "_registry", "user")

    def __init__(
        self, registry: Registry, user: str, holder: int, *, number: int = 0, cursor: Cursor | None = None
    ) -> None:
        self._registry = registry
        self._holder = holder
        self._number = number
        self._cursor = cursor
        self.user = user

    @property
    def pool(self) -> str:
        """The pool that has the cursor; empty: that of the route."""
        return self._cursor.pool if self._cursor is not None else ""

    def pins(self, command: Command) -> bool:
        """Whether the command belongs to a cursor or a transaction; of others there is nothing to know before their answer."""
        return self._cursor is not None or b"autocommit" in command.places

    def server(self, command: Command) -> str | None:
        """The one that the command must go to; None when it may be chosen."""
        if self._cursor is not None:
            return self._cursor.server
        transaction = command.transaction
        if transaction is None or command.number(b"startTransaction"):
            return None
        return self._registry.transactions.server(self.user, command.session, transaction)

    def sent(self, command: Command, server: str) -> None:
        """It goes to a server."""
        transaction = command.transaction
        if transaction is not None and command.number(b"startTransaction"):
            self._registry.transactions.begin(self.user, command.session, transaction, server)

    def answered(self, command: Command, data: bytes, server: Server, *, kept: bool) -> bytes:
        """The answer as the client is to have it; `kept`: there is still a client."""
        transaction = command.transaction
        if transaction is not None and command.name in _ENDINGS:
            self._registry.transactions.end(self.user, command.session, transaction)
        if command.name in WITHOUT_CURSOR:
            return data
        found = cursor_of(data)
        if found is None:
            return data
        if not found.number:
            if self._number:
                self._registry.drop(self._number, self.user)
            return data
        if not self._number:
            database, _, collection = found.namespace.partition(".")
            names = database or command.database, collection, server.pool
            cursor = Cursor(server.name, self.user, found.number, *names)
            self._number = self._registry.opened(cursor, self._holder)
            if not kept:
                self._registry.kill(self._number, self.user)
        return with_number(data, found.at, self._number)

    def refused(self, command: Command, code: int) -> None:
        """The server did not carry it out."""
        if self._number and code == _NO_CURSOR:
            self._registry.drop(self._number, self.user)
        if command.name == "abortTransaction":
            self.lost(command)

    def lost(self, command: Command) -> None:
        """The server is gone. A commit may be asked for again, and goes to whoever is primary then."""
        transaction = command.transaction
        if transaction is not None:
            self._registry.transactions.end(self.user, command.session, transaction)
