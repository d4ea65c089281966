"""Requests: what a client asks, in the words of whichever server has it. Pure.

Whatever names a statement is put under the name that we gave it, and the server is told of the statement first when it
does not know it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from marchproxy.modules.dblb.postgres.pinning import Residue
from marchproxy.modules.dblb.postgres.statements import Catalogue, Forgotten, Prepared, Statement, Told
from marchproxy.modules.dblb.postgres.unnamed import BATCHES, LONGEST_KEPT, Unnamed
from marchproxy.wire.postgres import encode
from marchproxy.wire.postgres.batch import Batch, name_in, renamed
from marchproxy.wire.postgres.flow import QUERY, Flow, Owed
from marchproxy.wire.postgres.framing import Event, Interest
from marchproxy.wire.postgres.frontend import read_bind, read_parse, read_target

_QUERY, _STATEMENT = ord("Q"), ord("S")
#: A name that no statement has: what a client calls something it never prepared must not meet what another has.
_NOBODYS = b"unknown to this session: "

#: What a proxy makes of the messages of a client that is logged in. A Terminate is noted and not passed on.
INTERESTS: Mapping[int, Interest] = {
    **{ord(kind): Interest.NOTE for kind in "ESXcf"},
    **{ord(kind): Interest.WHOLE for kind in "QFPBDC"},
    **{ord(kind): Interest.STEP_OVER for kind in "dH"},
}
_NOTED = {ord("F"): Owed.CALL, ord("E"): Owed.EXECUTE, ord("S"): Owed.SYNC}
_COPY_ENDS = frozenset(b"cf")
_ONE_QUERY = ((Owed.QUERY, None),)
#: In the place of a message that is refused: our error, which its client gets in its turn. No message has such a type.
REFUSED_STEP, REFUSED_REQUEST = 0, 1


@dataclass(slots=True)
class ServerState:
    """What is known of a server: what it owes, and which statements it has."""

    prepared: Prepared
    flow: Flow = field(default_factory=Flow)

    def query(self) -> None:
        """It is sent a simple query, for which it throws away the statement without a name."""
        self.prepared.unnamed = None
        flow = self.flow
        if not flow.asked(_ONE_QUERY, QUERY):
            flow.sent(Owed.QUERY)


class Requests:
    """The statements of one client, and its requests."""

    __slots__ = ("_catalogue", "_named", "_rewriters", "_unnamed", "left")

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._named: dict[bytes, Statement] = {}
        self._unnamed: Unnamed | None = None
        self.left: list[tuple[Residue, bytes]] = []
        """What statements that were bound may leave in the session, with their texts, until somebody empties it."""
        self._rewriters: dict[int, Callable[[bytes, ServerState], bytes]] = {
            ord("P"): self._parse,
            ord("B"): self._bind,
            ord("D"): self._describe,
            ord("C"): self._close,
            REFUSED_STEP: self._refuse_step,
            REFUSED_REQUEST: self._refuse_request,
        }

    def __len__(self) -> int:
        """How many statements the client has."""
        return len(self._named)

    def text(self, name: bytes) -> bytes | None:
        """The SQL text of a statement that the client has."""
        statement = self._named.get(name)
        return None if statement is None else statement.text

    def whole(self, data: bytes, batch: Batch, server: ServerState) -> bytes | None:
        """What the server is to be sent for a batch, where that may leave nothing, and where the server is quiet and has the
        statement or is told of it by the batch itself; None: it is for `forward`. Raises ProtocolFault."""
        bind, _, _, described = batch
        if bind:
            return self._prepared(data, batch, server)
        statement = self._named.get(name_in(data, batch))
        if statement is None or statement.residue is not None or not server.prepared.has(statement):
            return None
        asked, answers = BATCHES[described]
        if not server.flow.asked(asked, answers):
            return None
        return renamed(data, batch, statement.name) if statement.name else data

    def forward(self, data: bytes, events: Sequence[Event], server: ServerState) -> bytes:
        """What the server is to be sent for these messages of the client. Raises ProtocolFault."""
        flow = server.flow
        if len(events) == 1 and events[0][0] == _QUERY:
            server.query()
            return data
        pieces, done = list[bytes](), 0
        for kind, start, end in events:
            if kind == _QUERY:
                server.query()
            elif (owed := _NOTED.get(kind)) is not None:
                flow.sent(owed)
            elif kind in _COPY_ENDS:
                flow.copy_ended()
            else:
                pieces += data[done:start], self._rewriters[kind](data[start:end], server)
                done = end
        pieces.append(data[done:])
        return b"".join(pieces)

    def refused(self, server: ServerState) -> None:
        """The server refused or skipped something: forget what it would have prepared, and not what it would have closed."""
        for about in reversed(server.flow.skipped):
            if isinstance(about, Forgotten):
                server.prepared.restore(about.statement)
            elif isinstance(about, Told):
                server.prepared.drop(about.statement)
                if about.name is not None and self._named.get(about.name) is about.statement:
                    self._forget(about.name)
        server.flow.skipped.clear()

    def outdate(self) -> None:
        """A statement of the client has another result than when it was prepared: what it prepares is new from now on."""
        for statement in self._named.values():
            self._catalogue.outdate(statement)

    def defined(self) -> None:
        """A server was told to define data."""
        self._catalogue.grow_old()

    def undo(self, names: Iterable[bytes]) -> None:
        """These were prepared on a server that is of no use: the client has them when another one was told."""
        for name in names:
            if name in self._named:
                self._forget(name)

    def forget_all(self) -> None:
        """The client is gone, or has thrown away everything that it prepared."""
        for name in list(self._named):
            self._forget(name)

    def _prepared(self, data: bytes, batch: Batch, server: ServerState) -> bytes | None:
        """The statement without a name is told anew each time, as its client does, and needs no other name."""
        known = self._unnamed
        bind, _, _, described = batch
        if known is None or len(known.parse) != bind or not data.startswith(known.parse):
            known = Unnamed.of(data[:bind], self._catalogue)
            if bind <= LONGEST_KEPT:
                self._unnamed = known
        statement = known.statement
        asked, answers = known.batches[described]
        if statement.residue is not None or not server.flow.asked(asked, answers):
            return None
        self._named[b""] = server.prepared.unnamed = statement
        return data

    def _parse(self, message: bytes, server: ServerState) -> bytes:
        parse = read_parse(message)
        known = self._named.get(parse.name)
        if known is not None and parse.name:
            # the server is to say, in its own words, that the name is taken
            told = self._tell(known, server)
            server.flow.sent(Owed.PARSE)
            return told + encode.parse(known.name, parse.tail)
        statement = self._catalogue.take(parse) if parse.name else self._catalogue.unnamed(parse)
        self._named[parse.name] = statement
        if server.prepared.has(statement):
            server.flow.sent(Owed.GIVEN_PARSE)
            return b""
        return self._tell(statement, server, Owed.PARSE, parse.name)

    def _bind(self, message: bytes, server: ServerState) -> bytes:
        portal, name = read_bind(message)
        told, called = self._called(name, server)
        statement = self._named.get(name)
        if statement is not None and statement.residue is not None:
            self.left.append((statement.residue, statement.text))
        server.flow.sent(Owed.BIND)
        body = portal + b"\0" + called + message[5 + len(portal) + 1 + len(name) :]
        return told + encode.message(b"B", body)

    def _describe(self, message: bytes, server: ServerState) -> bytes:
        kind, name = read_target(message)
        if kind != _STATEMENT:
            server.flow.sent(Owed.DESCRIBE_PORTAL)
            return message
        told, called = self._called(name, server)
        server.flow.sent(Owed.DESCRIBE_STATEMENT)
        return told + encode.message(b"D", b"S" + called + b"\0")

    def _close(self, message: bytes, server: ServerState) -> bytes:
        kind, name = read_target(message)
        if kind != _STATEMENT:
            server.flow.sent(Owed.CLOSE)
            return message
        if name in self._named:
            self._forget(name)
        server.flow.sent(
            Owed.GIVEN_CLOSE
        )  # the server keeps it for others; to close what is not there is no error
        return b""

    def _refuse_step(self, error: bytes, server: ServerState) -> bytes:
        server.flow.sent(Owed.GIVEN_ERROR, error)
        return encode.FLUSH  # as an error is sent at once, with all answers before it

    def _refuse_request(self, error: bytes, server: ServerState) -> bytes:
        server.flow.sent(Owed.GIVEN_END, error)
        return b""

    def _called(self, name: bytes, server: ServerState) -> tuple[bytes, bytes]:
        """What the server must be told before it is asked about a statement, and what it calls it."""
        statement = self._named.get(name)
        if statement is None:
            return b"", _NOBODYS + name
        return self._tell(statement, server), statement.name

    def _tell(
        self,
        statement: Statement,
        server: ServerState,
        owed: Owed = Owed.SILENT_PARSE,
        name: bytes | None = None,
    ) -> bytes:
        """Have the server prepare a statement, unless it has; `name`: what the client who asked for it calls it."""
        if server.prepared.has(statement):
            return b""
        pieces = []
        for forgotten in server.prepared.add(statement):
            server.flow.sent(Owed.SILENT_CLOSE, Forgotten(forgotten))
            pieces.append(encode.close_statement(forgotten.name))
        server.flow.sent(owed, Told(statement, name))
        pieces.append(encode.parse(statement.name, statement.tail))
        return b"".join(pieces)

    def _forget(self, name: bytes) -> None:
        statement = self._named.pop(name)
        if statement.name:
            self._catalogue.give_back(statement)
