"""Side: one transport of a relayed connection. Here is the path of every byte: one callback and one write per read."""

import asyncio
from typing import Any, Protocol, cast

from marchproxy.nlb.dataplane.relay.messages import (
    ClientFinished,
    ClientLost,
    Event,
    TargetFinished,
    TargetLost,
)


class Sink(Protocol):
    """Where what a side reads goes: a transport, or what stands in for one."""

    def write(self, data: Any, /) -> None:
        """Take the bytes."""
        ...

    def is_closing(self) -> bool:
        """Whether it takes no more."""
        ...


class Nowhere:
    """Takes nothing: the sink of a side whose connection is closed."""

    def write(self, data: Any, /) -> None:
        """Lose them."""

    def is_closing(self) -> bool:
        """Yes, always."""
        return True


NOWHERE = Nowhere()


class Owner(Protocol):
    """The connection that a side belongs to."""

    def opened(self, side: "Side") -> None:
        """Its transport is there."""
        ...

    def happened(self, event: Event) -> None:
        """The peer finished."""
        ...

    def lost(self, event: Event) -> None:
        """Its transport is gone, by our doing or the peer's."""
        ...


class Side(asyncio.Protocol):
    """Hands what it reads to `sink` and counts it; asks its `other` side to wait while its own peer reads slowly."""

    __slots__ = ("_finished", "_lost", "_owner", "moved", "other", "sink", "transport")

    def __init__(self, owner: Owner, sink: Sink, finished: Event, lost: Event) -> None:
        self._owner = owner
        self._finished = finished
        self._lost = lost
        self.sink = sink
        self.moved = 0
        self.other: Side | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop once."""
        self.transport = cast("asyncio.Transport", transport)
        self._owner.opened(self)

    def data_received(self, data: bytes) -> None:
        """Called by the loop for every read."""
        self.moved += len(data)
        try:
            self.sink.write(data)
        except RuntimeError:  # between a reset and `lost` a transport refuses to be written to
            if not self.sink.is_closing():
                raise

    def eof_received(self) -> bool:
        """Called by the loop when the peer sends no more; True keeps the other direction open."""
        self._owner.happened(self._finished)
        return True

    def pause_writing(self) -> None:
        """Called by the loop when more than the high-water mark waits for the peer."""
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """Called by the loop when less than the low-water mark is left."""
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Called by the loop once, last."""
        self.transport = None
        self._owner.lost(self._lost)

    def finish(self) -> None:
        """Send an end of stream behind what waits to be written."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write_eof()

    def forget(self) -> None:
        """Let go of what the connection was made of, so that it is freed at once and not by the cycle collector."""
        self._owner, self.sink, self.other = _NOBODY, NOWHERE, None

    def close(self, *, flush: bool) -> None:
        """End the connection, after what waits to be written or without it."""
        self.sink = NOWHERE
        if self.transport is None:
            return
        if flush:
            self.transport.close()
        else:
            self.transport.abort()


class _Nobody:
    """Owns the sides of connections that are over."""

    def opened(self, side: Side) -> None:
        """An attempt to connect that nobody waits for any more has succeeded."""
        side.close(flush=False)

    def happened(self, event: Event) -> None:
        """Nothing that matters."""

    def lost(self, event: Event) -> None:
        """As expected."""


_NOBODY = _Nobody()


_CLIENT_EVENTS = (ClientFinished(), ClientLost())
_TARGET_EVENTS = (TargetFinished(), TargetLost())


def client_side(owner: Owner, sink: Sink) -> Side:
    """The side of the client that connected to us."""
    return Side(owner, sink, *_CLIENT_EVENTS)


def target_side(owner: Owner) -> Side:
    """The side of the target that we connect to."""
    return Side(owner, NOWHERE, *_TARGET_EVENTS)
