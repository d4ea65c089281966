"""Pipe: two connections, each of which gets what the other one sends; who does not read makes the other wait."""

import asyncio
from collections.abc import Callable
from typing import cast

_HIGH_WATER = 256 * 1024
#: In which the second one may take what was sent before the first one ended.
_LAST_SECONDS = 5.0


class PipeEnd(asyncio.Protocol):
    """One end. It is not read before the other end is there, too."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        """None: it is not there yet, or has ended."""
        self.other: PipeEnd | None = None
        self.over: Callable[[], None] | None = None
        """Called once, when both have ended."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=_HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        """For the other end."""
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        """The other end is not read."""
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """It is again."""
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - however it ended
        """The other end follows, once it has what was sent, or has had its time."""
        self.transport = None
        other = self.other
        if other is not None and other.transport is not None:
            other.transport.resume_reading()  # or its end would never be seen
            other.transport.close()
            asyncio.get_running_loop().call_later(_LAST_SECONDS, other.abort)
        elif self.over is not None:
            self.over()

    def abort(self) -> None:
        """End at once."""
        if self.transport is not None:
            self.transport.abort()


def joined(over: Callable[[], None]) -> tuple[PipeEnd, PipeEnd]:
    """A pipe; `over` is called once, when both its ends have ended."""
    near, far = PipeEnd(), PipeEnd()
    near.other, far.other = far, near
    near.over = far.over = over
    return near, far
