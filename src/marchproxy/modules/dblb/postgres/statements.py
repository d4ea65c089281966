"""Prepared statements over connections that are shared: one name of ours for each text, whatever clients call it. Pure.

A client's statement is known by its text and parameter types. The first who prepares a text gives it a name of ours, which
every server is told when it needs the statement, and forgets when it has too many.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

from marchproxy.modules.dblb.postgres.pinning import Residue, may_leave
from marchproxy.wire.postgres.frontend import Parse

#: What a statement takes beside its text, here and on the server: an estimate that keeps many short ones in bounds.
_OVERHEAD = 512


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """A text with its parameter types (`tail`, as in a Parse), under a name of ours; the unnamed one has none."""

    name: bytes
    tail: bytes = field(repr=False)
    residue: Residue | None = None
    """What it may leave in a server's session."""
    age: int = 0
    """The catalogue's, when it was made."""

    @property
    def text(self) -> bytes:
        """The SQL text."""
        return self.tail[: self.tail.index(0)]

    @property
    def cost(self) -> int:
        """About how many bytes it takes."""
        return len(self.tail) + _OVERHEAD


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """A server was told of a statement; by which name of its own the client asked for that, if it did."""

    statement: Statement
    name: bytes | None


@dataclass(frozen=True, slots=True, eq=False)
class Forgotten:
    """A server was told to forget a statement."""

    statement: Statement


def _nothing(_text: bytes) -> None:
    return None


class Catalogue:
    """All statements that clients have prepared, each once. What no client has any more goes when there is no room."""

    def __init__(self, *, most_bytes: int, read: Callable[[bytes], Residue | None] = _nothing) -> None:
        """`read` tells what a text may leave in a session."""
        self._most = most_bytes
        self._read = read
        self._used = 0
        self._age = 0
        # by tail, with how many clients have it
        self._known: OrderedDict[bytes, tuple[Statement, int]] = OrderedDict()
        self._numbers = count(1)

    def __len__(self) -> int:
        return len(self._known)

    @property
    def used(self) -> int:
        """About how many bytes they take."""
        return self._used

    def take(self, parse: Parse) -> Statement:
        """The statement of a text, for one more client."""
        known = self._known.get(parse.tail)
        if known is not None and known[0].age != self._age:
            self.outdate(known[0])
            known = None
        if known is None:
            name = b"mp%d" % next(self._numbers)
            statement, clients = Statement(name, parse.tail, self._residue(parse), self._age), 0
            self._used += statement.cost
        else:
            statement, clients = known
        self._known[parse.tail] = (statement, clients + 1)
        self._known.move_to_end(parse.tail)
        self._make_room()
        return statement

    def unnamed(self, parse: Parse) -> Statement:
        """A statement that the client will soon replace by another."""
        return Statement(b"", parse.tail, self._residue(parse))

    def grow_old(self) -> None:
        """Data was defined: what clients prepare from now on is read by servers anew, as each of them expects."""
        self._age += 1

    def outdate(self, statement: Statement) -> None:
        """Who prepares its text from now on gets another statement, under another name."""
        known = self._known.get(statement.tail)
        if known is not None and known[0] is statement:
            self._used -= self._known.pop(statement.tail)[0].cost

    def give_back(self, statement: Statement) -> None:
        """One client less has it."""
        known = self._known.get(statement.tail)
        if known is not None and known[0] is statement:
            self._known[statement.tail] = (statement, known[1] - 1)
            self._make_room()

    def _residue(self, parse: Parse) -> Residue | None:
        return self._read(parse.text) if may_leave(parse.tail, 0) else None

    def _make_room(self) -> None:
        if self._used <= self._most:
            return
        for tail in [tail for tail, (_, clients) in self._known.items() if clients == 0]:
            self._used -= self._known.pop(tail)[0].cost
            if self._used <= self._most:
                return


class Prepared:
    """The statements that one server has, the one that was used last at the end; bounded in bytes."""

    __slots__ = ("_known", "_most", "_used", "unnamed")

    def __init__(self, *, most_bytes: int) -> None:
        self._most = most_bytes
        self._used = 0
        self._known: OrderedDict[bytes, Statement] = OrderedDict()
        self.unnamed: Statement | None = None
        """What the server has under no name."""

    def __len__(self) -> int:
        return len(self._known)

    def has(self, statement: Statement) -> bool:
        """Whether the server knows it; it counts as used now."""
        if not statement.name:
            return self.unnamed is statement
        if statement.name not in self._known:
            return False
        self._known.move_to_end(statement.name)
        return True

    def add(self, statement: Statement) -> Iterator[Statement]:
        """The server is told of it; yields those that it is to forget."""
        if not statement.name:
            self.unnamed = statement
            return
        self._known[statement.name] = statement
        self._used += statement.cost
        while self._used > self._most and len(self._known) > 1:
            _, forgotten = self._known.popitem(last=False)
            self._used -= forgotten.cost
            yield forgotten

    def restore(self, statement: Statement) -> None:
        """The server has not forgotten it: it is the first to go."""
        if statement.name not in self._known:
            self._known[statement.name] = statement
            self._known.move_to_end(statement.name, last=False)
            self._used += statement.cost

    def drop(self, statement: Statement) -> None:
        """The server refused it."""
        if not statement.name:
            self.unnamed = None
        elif self._known.pop(statement.name, None) is not None:
            self._used -= statement.cost

    def clear(self) -> None:
        """The server has forgotten everything: DISCARD ALL, DEALLOCATE ALL."""
        self._known.clear()
        self._used = 0
        self.unnamed = None
