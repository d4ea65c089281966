"""Answers: what a server says, as the client who has it is to hear it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from marchproxy.modules.dblb.postgres.requests import ServerState
from marchproxy.wire.postgres.backend import read_parameter
from marchproxy.wire.postgres.encode import CLOSE_COMPLETE, PARSE_COMPLETE
from marchproxy.wire.postgres.fault import ProtocolFault
from marchproxy.wire.postgres.flow import Owed
from marchproxy.wire.postgres.framing import Event, Interest

_READY, _PARAMETER, _ERROR, _COMPLETE, _IDLE = b"ZSECI"
_GIVEN = {Owed.GIVEN_PARSE: PARSE_COMPLETE, Owed.GIVEN_CLOSE: CLOSE_COMPLETE}
_FORGETTING = (b"DEALLOCATE ALL\0", b"DISCARD ALL\0")

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
    forgotten: bool = False
    """The server has thrown away all prepared statements, as it was told to."""


def due(server: ServerState) -> bytes:
    """The answers that the client is to have from us now, because nothing that the server owes comes before them."""
    return b"".join(_GIVEN[owed] for owed in server.flow.given())


def hear(data: bytes, events: Sequence[Event], server: ServerState, parameters: dict[str, str]) -> Heard:
    """Note what a server answered; `parameters` is what it reported last. Raises ProtocolFault, Desynchronised."""
    flow, heard, pieces, done = server.flow, Heard(data), list[bytes](), 0
    for kind, start, end in events:
        visible = not flow.silent
        if kind == _READY:
            flow.ready(_status(data, start, end))
            if flow.free:
                heard.free, heard.rest, data = True, data[end:], data[:end]
            heard.transactions += visible and flow.status == _IDLE
        elif kind == _PARAMETER:
            name, value = read_parameter(data[start:end])
            parameters[name] = value
        else:
            visible = flow.received(kind)
            _note(heard, server, kind, data[start:end])
        if not visible:
            pieces.append(data[done:start])
            done = end
        if flow.to_give:
            pieces += data[done:end], due(server)
            done = end
        if heard.free:
            break
    pieces.append(data[done:])
    heard.for_client = b"".join(pieces) if len(pieces) > 1 else pieces[0]
    return heard


def _note(heard: Heard, server: ServerState, kind: int, message: bytes) -> None:
    if kind == _ERROR:
        (heard.own_errors if server.flow.silent else heard.errors).append(message)
    elif kind == _COMPLETE and message.startswith(_FORGETTING, 5):
        server.prepared.clear()
        heard.forgotten = True


def _status(data: bytes, start: int, end: int) -> int:
    if end - start != 6 or data[start + 5] not in b"ITE":
        raise ProtocolFault("a server is ready in no known state")
    return data[start + 5]
