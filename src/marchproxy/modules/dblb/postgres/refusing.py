"""Refusing: what limits and firewall do not let through is answered by an error in its turn, and never reaches a server.

No transaction is aborted by that: what was refused was not part of it. https://www.postgresql.org/docs/current/protocol-flow.html
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from marchproxy.modules.dblb.gate import Pass, Refusal, RefusalKind
from marchproxy.modules.dblb.postgres.requests import REFUSED_REQUEST, REFUSED_STEP
from marchproxy.wire.postgres import encode
from marchproxy.wire.postgres.framing import Event
from marchproxy.wire.postgres.frontend import read_parse, read_query

_QUERY, _CALL, _PARSE, _EXECUTE, _SYNC = b"QFPES"
_REQUESTS = frozenset({_QUERY, _CALL, REFUSED_REQUEST})
_OURS = frozenset({REFUSED_STEP, REFUSED_REQUEST, _SYNC})
_CODES = {RefusalKind.BLOCKED: "42501", RefusalKind.LIMITED: "53400"}
_IDLE = encode.ready(ord("I"))
#: What a rule can say of a function that is called by its number: that this is not SQL.
_CALLED = b"fastpath function call"


@dataclass(frozen=True, slots=True)
class Sifted:
    """What is left of some messages, with errors in the place of others; `discarding`: all is dropped up to the next Sync."""

    data: bytes
    events: Sequence[Event]
    discarding: bool


def _error_of(refusal: Refusal, *, severity: str = "ERROR") -> bytes:
    """What a client is told."""
    hint = f"Ask again in {refusal.retry_after:.3g} s." if refusal.retry_after else ""
    return encode.error(_CODES[refusal.kind], refusal.words, severity=severity, hint=hint)


def sift(data: bytes, events: Sequence[Event], gate: Pass | None, *, discarding: bool) -> Sifted:
    """Ask about each message, where there is somebody to ask. Raises ProtocolFault."""
    pieces, kept = list[bytes](), list[Event]()
    done, length = 0, 0
    for kind, start, end in events:
        if discarding:
            done = start if kind == _SYNC else end
            discarding = kind != _SYNC
        refusal = None if discarding or gate is None else _ask(gate, kind, data[start:end])
        if discarding:
            continue
        if refusal is None:
            kept.append((kind, start - done + length, end - done + length))
            continue
        error = _error_of(refusal)
        before = data[done:start]
        pieces += before, error
        at = length + len(before)
        length, done = at + len(error), end
        whole = kind in _REQUESTS
        kept.append((REFUSED_REQUEST if whole else REFUSED_STEP, at, length))
        discarding = not whole
    if not discarding:
        pieces.append(data[done:])
    return Sifted(b"".join(pieces), kept, discarding)


def own_answer(data: bytes, events: Sequence[Event]) -> bytes | None:
    """The answer to messages that need no server, outside of a transaction; None: one is needed."""
    if not events or any(kind not in _OURS for kind, _, _ in events):
        return None
    pieces = list[bytes]()
    for kind, start, end in events:
        if kind != _SYNC:
            pieces.append(data[start:end])
        if kind != REFUSED_STEP:
            pieces.append(_IDLE)
    return b"".join(pieces)


def fail(kinds: Iterable[int], error: bytes) -> tuple[bytes, bool]:
    """The answer to messages that no server will get, outside of a transaction; and whether more is to be discarded."""
    pieces, failed = list[bytes](), False
    for kind in kinds:
        if kind in _REQUESTS:
            pieces += error, _IDLE
        elif kind == _SYNC:
            pieces.append(_IDLE)
            failed = False
        elif not failed:
            pieces.append(error)
            failed = True
    return b"".join(pieces), failed


def _ask(gate: Pass, kind: int, message: bytes) -> Refusal | None:
    if kind == _QUERY:
        return gate.refuses(read_query(message))
    if kind == _PARSE:
        return gate.forbids(read_parse(message).text)
    if kind == _EXECUTE:
        return gate.limits()
    return gate.refuses(_CALLED) if kind == _CALL else None
