"""Events: what a connection brings to who answers it."""

from dataclasses import dataclass, field
from typing import TypeAlias

from marchproxy.wire.http2.heads import Head


@dataclass(slots=True)  # a frozen one takes three times as long to make
class Requested:
    """A request is whole."""

    stream: int
    head: Head
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The peer wants nothing more of a stream, which had been `Requested`."""

    stream: int


@dataclass(frozen=True, slots=True)
class Drained:
    """All that waited for a stream's window has gone out."""

    stream: int


Event: TypeAlias = Requested | Cancelled | Drained
