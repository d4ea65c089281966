"""Judging: whether a command may be carried out, by the route and by its limits, and what a client is told if not."""

from marchproxy.modules.dblb.gate import Refusal, RefusalKind
from marchproxy.modules.dblb.redis.reception import Visit
from marchproxy.wire.redis.commands import Kind, keys
from marchproxy.wire.redis.requests import Request
from marchproxy.wire.redis.values import words_of

_READ_ONLY = "READONLY this route has no server that takes writes"
_WRITES = frozenset((Kind.WRITE, Kind.BLOCKING, Kind.TRANSACTION))
_HARMLESS = frozenset(b"PING ECHO TIME INFO COMMAND SCAN ROLE LASTSAVE LOLWUT HSCAN SSCAN ZSCAN".split())


def read_of(name: bytes, kind: Kind) -> bool:
    """Whether a command may go to a server that takes no writes."""
    return kind is Kind.READ or name in _HARMLESS


def refused(visit: Visit, data: bytes, request: Request, kind: Kind) -> str:
    """The words with which a command is refused, or none. What it asks, it counts: to be called once for each."""
    name, start, stop, whole = request
    if visit.only_reads and kind in _WRITES and not read_of(name, kind):
        return _READ_ONLY
    if not visit.permit.looks or kind in (Kind.SESSION, Kind.OPERATOR):
        return ""
    statement = name
    if whole and (found := keys([name, *words_of(data[start:stop])[1:]])):
        statement = name + b" " + found[0]
    refusal = visit.permit.refuses(statement)
    return "" if refusal is None else words(refusal)


def words(refusal: Refusal) -> str:
    """A refusal as an error has it."""
    return f"{'NOPERM' if refusal.kind is RefusalKind.BLOCKED else 'ERR'} {refusal.words}"
