"""Pipe: two connections, each of which gets what the other one sends; who does not read makes the other wait."""

import asyncio
from collections.abc import Callable
from typing import cast

_HIGH_WATER = 256 * 1024


class PipeEnd(asyncio.Protocol):
    """One end; join two with `join`, and call what it returns when the pipe is over."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        """None: it is not there yet, or has ended."""
        self._other: PipeEnd | None = None
        self._over: Callable[[], None] | None = None

    def join(self, other: "PipeEnd", over: Callable[[], None]) -> None:
        """`over` is called once, when both have ended."""
        self._other, other._other = other, self
        self._over = other._over = over

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=_HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        """For the other end."""
        if self._other is not None and self._other.transport is not None:
            self._other.transport.write(data)

    def pause_writing(self) -> None:
        """The other end is not read."""
        if self._other is not None and self._other.transport is not None:
            self._other.transport.pause_reading()

    def resume_writing(self) -> None:
        """It is again."""
        if self._other is not None and self._other.transport is not None:
            self._other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - however it ended
        """The other end, once it has sent what it has."""
        self.transport = None
        other = self._other
        if other is not None and other.transport is not None:
            other.transport.close()
        elif self._over is not None:
            self._over()

    def abort(self) -> None:
        """End both."""
        for end in (self, self._other):
            if end is not None and end.transport is not None:
                end.transport.abort()
