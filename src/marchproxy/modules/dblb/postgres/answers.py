"""Answers: what a server says, as the client who has it is to hear it. Pure."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from marchproxy.modules.dblb.postgres.requests import Requests, ServerState
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.postgres import encode
from marchproxy.wire.postgres.backend import read_parameter
from marchproxy.wire.postgres.encode import CLOSE_COMPLETE, PARSE_COMPLETE
from marchproxy.wire.postgres.flow import QUERY, Owed
from marchproxy.wire.postgres.framing import Event, Interest

_READY, _PARAMETER, _ERROR, _COMPLETE, _IDLE = b"ZSECI"
_PLAIN = frozenset(b"TDCI")
_ROW, _PARAMETERS = b"Dt"
#: Types of answers, with those that end the same request alike; of all that need a second look, one that is never wanted.
_ALIKE = bytes.maketrans(b"nI", b"TC").translate(
    bytes(kind if kind in b"123TCZ" else 255 for kind in range(256))
)
_HEADER = struct.Struct("!BI")
#: How an answer ends after which the server is free.
_FREE = encode.ready(_IDLE)
#: How the answers to the most usual batches begin.
_BOUND = b"2\0\0\0\4"
_BEGINS = {
    **dict.fromkeys((b"12CZ", b"12TCZ"), PARSE_COMPLETE + _BOUND),
    **dict.fromkeys((b"2CZ", b"2TCZ"), _BOUND),
}
_GIVEN = {Owed.GIVEN_PARSE: PARSE_COMPLETE, Owed.GIVEN_CLOSE: CLOSE_COMPLETE}
_DISCARD = b"DISCARD ALL\0"
#: Of what begins like these, DISCARD, DEALLOCATE, and what defines data are of interest.
_TELLING = frozenset(b"ACD")
_DEFINING = (b"CREATE ", b"ALTER ", b"DROP ")
_FORGETTING = (b"DEALLOCATE ALL\0", _DISCARD)
#: The place in PostgreSQL that says "cached plan must not change result type", whichever its language.
_OUTDATED = b"RRevalidateCachedQuery\0"
#: What internal errors say, never translated, of a type that was dropped.
_LOST = b"\0Mcache lookup failed for"
_FATAL, _PANIC = b"\0VFATAL\0", b"\0VPANIC\0"

#: What a proxy makes of the messages of a server that is logged in. Rows are stepped over.
INTERESTS: Mapping[int, Interest] = {
    **{ord(kind): Interest.STEP_OVER for kind in "DdtcVNAH"},
    **{ord(kind): Interest.NOTE for kind in "123nTsIG"},
    **{ord(kind): Interest.WHOLE for kind in "ZSEC"},
}


@dataclass(slots=True)
class Heard:
    """What came of some bytes of a server."""

    for_client: bytes
    rest: bytes = b""
    """What came after the server had become free: nobody asked for it."""
    transactions: int = 0
    free: bool = False
    errors: list[bytes] = field(default_factory=list)
    own_errors: list[bytes] = field(default_factory=list)
    """Those of queries that we sent by ourselves."""
    reported: bool = False
    """The server reported a setting."""
    forgotten: bool = False
    """The server has thrown away all prepared statements, as it was told to."""
    discarded: bool = False
    """The server has thrown away all that was left in the session, and nothing else was asked of it since."""
    outdated: bool = False
    """A statement has another result than when it was prepared, and is of no more use."""
    defined: bool = False
    """Data was defined: what statements that were prepared before give may be another thing now."""
    fatal: bool = False
    """The server has said why it ends the session."""


def due(server: ServerState) -> bytes:
    """The answers that the client is to have from us now, because nothing that the server owes comes before them."""
    return b"".join(_given(owed, about, server) for owed, about in server.flow.given())


def _given(owed: Owed, about: object, server: ServerState) -> bytes:
    if isinstance(about, bytes):  # an error of ours
        return about + encode.ready(server.flow.status) if owed is Owed.GIVEN_END else about
    return _GIVEN[owed]


def is_whole(data: bytes, wanted: bytes) -> bool:
    """Whether these bytes, which begin with a message, are a whole answer to one request and nothing else: see Flow.batch.

    It is what most answers are, and is told in a fraction of the time that `hear` takes.
    """
    if not data.endswith(_FREE):
        return False
    if wanted != QUERY:
        return _is_batch(data, wanted)
    at, last, head = 0, len(data) - len(_FREE), _HEADER.unpack_from
    while at < last:
        kind, length = head(data, at)
        if kind not in _PLAIN or (kind == _COMPLETE and data[at + 5] in _TELLING and _tells(data, at + 5)):
            return False
        at += 1 + length
    return at == last


def _is_batch(data: bytes, wanted: bytes) -> bool:
    begin = _BEGINS.get(wanted, b"")
    if not data.startswith(begin):
        return False
    at, seen = len(begin), len(begin) // len(PARSE_COMPLETE)
    last, head = len(data) - len(_FREE), _HEADER.unpack_from
    more = len(wanted) - 1  # the last is that the server is ready
    while at < last and seen < more:
        kind, length = head(data, at)
        if kind == _ROW:
            if wanted[seen] != _COMPLETE:
                return False
        elif kind != _PARAMETERS:
            if _ALIKE[kind] != wanted[seen]:
                return False
            if kind == _COMPLETE and data[at + 5] in _TELLING and _tells(data, at + 5):
                return False
            seen += 1
        at += 1 + length
    return at == last and seen == more and wanted[seen] == _READY


def _tells(data: bytes, at: int) -> bool:
    return data.startswith((b"DE", b"DI", *_DEFINING), at) and not data.startswith(b"DELETE", at)


def hear(data: bytes, events: Sequence[Event], server: ServerState, parameters: dict[str, str]) -> Heard:
    """Note what a server answered; `parameters` is what it reported last. Raises ProtocolFault, Desynchronised."""
    flow, heard, pieces, done = server.flow, Heard(data), list[bytes](), 0
    for kind, start, end in events:
        silent = flow.silent
        if kind == _READY:
            _ready(heard, server, _status(data, start, end))
            visible = True
        elif kind == _PARAMETER:
            name, value = read_parameter(data[start:end])
            parameters[name], heard.reported, visible = value, True, True
        else:
            visible = flow.received(kind)
            _note(heard, server, kind, data[start:end])
        if silent:
            done = end  # with everything before it that was not told of
        elif not visible:
            pieces.append(data[done:start])
            done = end
        if flow.to_give or flow.silent:
            pieces += data[done:end], b"" if flow.silent else due(server)
            done = end
        if heard.free:
            heard.rest, data = data[end:], data[:end]
            break
    if not flow.silent:
        pieces.append(data[done:])
    heard.for_client = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    return heard


def learn(heard: Heard, requests: Requests, server: ServerState) -> None:
    """Have a client's statements be as its server says they are."""
    if server.flow.skipped:
        requests.refused(server)
    if heard.forgotten:
        requests.forget_all()
    if heard.outdated:
        requests.outdate()
    if heard.defined:
        requests.defined()


def _ready(heard: Heard, server: ServerState, status: int) -> None:
    flow, silent = server.flow, server.flow.silent
    flow.ready(status)
    heard.free = flow.free
    heard.transactions += not silent and status == _IDLE


def _note(heard: Heard, server: ServerState, kind: int, message: bytes) -> None:
    if kind == _ERROR:
        (heard.own_errors if server.flow.silent else heard.errors).append(message)
        heard.outdated |= _OUTDATED in message or _LOST in message
        heard.fatal |= _FATAL in message or _PANIC in message
    elif kind == _COMPLETE and message.startswith(_DEFINING, 5):
        heard.defined = True
    elif kind == _COMPLETE and message.startswith(_FORGETTING, 5):
        server.prepared.clear()
        heard.forgotten = True
        heard.discarded = message.startswith(_DISCARD, 5) and server.flow.owed == 1


def _status(data: bytes, start: int, end: int) -> int:
    if end - start != 6 or data[start + 5] not in b"ITE":
        raise ProtocolFault("a server is ready in no known state")
    return data[start + 5]
