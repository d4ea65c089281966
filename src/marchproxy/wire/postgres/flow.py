"""Flow: what a server still owes for what it was sent, in order, and whether it is free for another client. Pure.

https://www.postgresql.org/docs/current/protocol-flow.html
"""

from collections import deque
from collections.abc import Iterator, Sequence
from enum import IntEnum


class Owed(IntEnum):
    """What a server owes an answer for."""

    QUERY = 1
    CALL = 2
    SYNC = 3
    PARSE = 4
    BIND = 5
    DESCRIBE_STATEMENT = 6
    DESCRIBE_PORTAL = 7
    CLOSE = 8
    EXECUTE = 9
    SILENT_PARSE = 10
    """A Parse of our own: its answer is for nobody."""
    SILENT_CLOSE = 11
    GIVEN_PARSE = 12
    """A Parse that the server was not sent: its answer is ours to give when its turn comes."""
    GIVEN_CLOSE = 13
    SILENT_QUERY = 14
    """A query of our own: nothing that the server answers is for the client."""
    GIVEN_ERROR = 15
    """Something that the server was not sent, and that is refused when its turn comes; up to the next Sync, as always."""
    GIVEN_END = 16
    """A whole query that is refused in its turn, and that the client may go on after."""


#: In the place of the answers to a batch: what one simple query is answered by.
QUERY = b"Q"
#: What ends a request of the extended protocol that was carried out, and is the client's to hear.
_ANSWERS = {
    Owed.PARSE: ord("1"),
    Owed.BIND: ord("2"),
    Owed.CLOSE: ord("3"),
    Owed.DESCRIBE_STATEMENT: ord("T"),
    Owed.DESCRIBE_PORTAL: ord("T"),
    Owed.EXECUTE: ord("C"),
    Owed.SYNC: ord("Z"),
}


class Desynchronised(Exception):
    """The server answers something that nobody asked. Nothing on this connection can be trusted any more."""


#: How an answer that ends a request is called by its type byte, and which requests it may end.
_ENDS = {
    ord("1"): frozenset({Owed.PARSE, Owed.SILENT_PARSE}),
    ord("2"): frozenset({Owed.BIND}),
    ord("3"): frozenset({Owed.CLOSE, Owed.SILENT_CLOSE}),
    ord("n"): frozenset({Owed.DESCRIBE_STATEMENT, Owed.DESCRIBE_PORTAL}),
    ord("T"): frozenset({Owed.DESCRIBE_STATEMENT, Owed.DESCRIBE_PORTAL}),
    ord("C"): frozenset({Owed.EXECUTE}),
    ord("I"): frozenset({Owed.EXECUTE}),
    ord("s"): frozenset({Owed.EXECUTE}),
}
_ENDED_BY_READY = frozenset({Owed.QUERY, Owed.CALL, Owed.SYNC, Owed.SILENT_QUERY})
#: The status of a server without a transaction.
IDLE = ord("I")
_GIVEN = frozenset({Owed.GIVEN_PARSE, Owed.GIVEN_CLOSE, Owed.GIVEN_ERROR, Owed.GIVEN_END})
#: What leaves nothing open that only a Sync ends.
_CLOSED = _ENDED_BY_READY | {Owed.GIVEN_END}
_SILENT = frozenset({Owed.SILENT_PARSE, Owed.SILENT_CLOSE})


class Flow:
    """One server connection, from the point of view of who shares it."""

    __slots__ = ("_copying_in", "_failed", "_open", "_owed", "skipped", "status", "to_give", "whole")

    def __init__(self) -> None:
        self._owed: deque[tuple[Owed, object]] = deque()
        self.to_give = 0
        """How many of the answers that are owed are ours to give."""
        self.skipped: list[object] = []
        """What the requests were about that the server skipped or refused, until somebody empties it."""
        self._failed = False  # in the extended protocol, until the next Sync
        self._open = False  # requests of the extended protocol were sent, and no Sync behind them
        self._copying_in = False
        self.status = IDLE
        """Of the transaction, as the server said last: I none, T in one, E in a failed one."""
        self.whole = b""
        """See `asked`; empty as soon as something else was sent, or anything received."""

    @property
    def free(self) -> bool:
        """Whether another client may have the server: it owes nothing, and nobody's transaction is open."""
        return not self._owed and not self._open and not self._copying_in and self.status == IDLE

    @property
    def open(self) -> bool:
        """Whether requests of the extended protocol wait for a Sync."""
        return self._open or self._failed

    @property
    def copying_in(self) -> bool:
        """Whether the server waits for rows of COPY FROM STDIN."""
        return self._copying_in

    @property
    def owed(self) -> int:
        """How many answers are outstanding."""
        return len(self._owed)

    def asked(self, request: Sequence[tuple[Owed, object]], whole: bytes) -> bool:
        """Note that the server is sent all of a request; `whole` is its `batch`, or QUERY. False: not so, for it owes
        something, or waits for something."""
        owed = self._owed
        if owed or self._open or self._failed or self._copying_in:
            return False
        owed.extend(request)
        self.whole = whole
        return True

    def sent(self, request: Owed, about: object = None) -> None:
        """Note that the server was sent a request, or that an answer is ours to give in its turn."""
        self.whole = b""
        if self._copying_in and request is Owed.SYNC:
            return  # a server that waits for rows ignores it
        self._open = request not in _CLOSED or (self._failed and request is not Owed.SYNC)
        if self._failed:
            if request is not Owed.SYNC:
                self._skip(about)
                return
            self._failed = False
        self.to_give += request in _GIVEN
        self._owed.append((request, about))

    @property
    def silent(self) -> bool:
        """Whether what the server says now is for us alone."""
        return bool(self._owed) and self._owed[0][0] is Owed.SILENT_QUERY

    @property
    def batch(self) -> bytes:
        """The types of the answers to a batch of the extended protocol, if that is all that is owed; QUERY, if that is one
        query; otherwise something that no answer is. T also stands for n, and C for I."""
        owed = self._owed
        if self._copying_in:
            return b""
        if len(owed) == 1 and owed[0][0] is Owed.QUERY:
            return QUERY
        return bytes([_ANSWERS.get(request, 0) for request, _ in owed])

    def answered(self) -> None:
        """All that is owed, that one query or batch, has its answer, outside of a transaction."""
        self._owed.clear()
        self.status, self.whole = IDLE, b""

    def given(self) -> Iterator[tuple[Owed, object]]:
        """The answers that are ours to give now, taken off the list, and what they are about."""
        owed = self._owed
        while owed and owed[0][0] in _GIVEN:
            self.to_give -= 1
            yield owed.popleft()

    def copy_ended(self) -> None:
        """The client sent CopyDone or CopyFail."""
        self._copying_in = False

    def received(self, kind: int) -> bool:
        """Note an answer by its type byte; whether the client is to see it. Raises Desynchronised."""
        self.whole = b""
        if self.silent:
            return False
        if kind == ord("E"):
            self._fail()
            return True
        head = self._owed[0][0] if self._owed else None
        if head in _ENDED_BY_READY:
            if kind == ord("G"):
                self._begin_copy()
            elif kind in {ord("1"), ord("2"), ord("3"), ord("n"), ord("s")}:
                raise Desynchronised(f"answer {chr(kind)!r} while {head.name if head else 'nothing'} is owed")
            return True
        if kind == ord("G") and head is Owed.EXECUTE:
            self._begin_copy()
            return True
        ends = _ENDS.get(kind)
        if ends is None:
            return True  # says nothing about the order: a parameter description, the begin of COPY TO
        if head not in ends:
            raise Desynchronised(f"answer {chr(kind)!r} while {head.name if head else 'nothing'} is owed")
        self._owed.popleft()
        return head not in _SILENT

    def ready(self, status: int) -> None:
        """The server is ready for a query, with this status of the transaction. Raises Desynchronised."""
        self.whole = b""
        head = self._owed[0][0] if self._owed else None
        if head not in _ENDED_BY_READY:
            raise Desynchronised(f"ready for a query while {head.name if head else 'nothing'} is owed")
        self._owed.popleft()
        self._copying_in = False
        self.status = status

    def _begin_copy(self) -> None:
        """Rows are wanted; a Sync that was sent ahead of them is ignored by the server, the one after them counts."""
        self._copying_in = True
        if self._owed[0][0] is Owed.EXECUTE:
            self._owed = deque(item for item in self._owed if item[0] is not Owed.SYNC)

    def _fail(self) -> None:
        """After an error in the extended protocol the server skips everything up to the next Sync."""
        self._copying_in = False
        owed = self._owed
        if not owed or owed[0][0] in _ENDED_BY_READY:
            return
        while owed and owed[0][0] is not Owed.SYNC:
            request, about = owed.popleft()
            self.to_give -= request in _GIVEN
            self._skip(about)
        self._failed = not owed

    def _skip(self, about: object) -> None:
        if about is not None:
            self.skipped.append(about)
