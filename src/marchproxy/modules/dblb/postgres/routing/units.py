"""Units: what a client sends at once, and what a server says, cut where something ends. Pure."""

from collections.abc import Sequence

from marchproxy.modules.dblb.postgres.requests import REFUSED_REQUEST
from marchproxy.wire.postgres.framing import Event

_NOTICE = ord("N")
_ENDS = frozenset((ord("Q"), ord("S"), REFUSED_REQUEST))

#: What a client sent at once.
Unit = tuple[bytes, Sequence[Event]]


def is_whole(unit: Unit) -> bool:
    """Whether it ends with the end of a request."""
    _, events = unit
    return bool(events) and events[-1][0] in _ENDS


def first_of(unit: Unit) -> tuple[Unit, Unit | None]:
    """The first request, and what is behind it."""
    data, events = unit
    for number, (kind, _, end) in enumerate(events, 1):
        if kind in _ENDS and end < len(data):
            rest = [(kind, start - end, stop - end) for kind, start, stop in events[number:]]
            return (data[:end], events[:number]), (data[end:], rest)
    return unit, None


def are_notices(words: bytes) -> bool:
    """Whether these are whole notices and nothing else."""
    at = 0
    while at < len(words) and words[at] == _NOTICE:
        at += 1 + int.from_bytes(words[at + 1 : at + 5])
    return at == len(words)
