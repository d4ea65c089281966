"""Client: a client's connection, and whether it is read from."""

import asyncio
from typing import cast

from marchproxy.wire.redis.values import error


class Client(asyncio.Protocol):
    """It is read from while it takes its replies, servers take what it sends, and nothing of it waits."""

    def __init__(self) -> None:
        self.transport = cast("asyncio.Transport", None)
        self._full = False  # it does not read
        self._stalled = False  # the server does not
        self._paused = False

    def _busy(self) -> bool:
        """Whether something that it sent waits."""
        return False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once."""
        self.transport = cast("asyncio.Transport", transport)

    def pause_writing(self) -> None:
        """The client is slow."""
        self._full = True
        self._read()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._full = False
        self._read()

    def link_relieved(self) -> None:
        """The server reads again."""
        self._stalled = False
        self._read()

    def end(self, words: str = "") -> None:
        """Close the connection, with an error where there are words."""
        if words and not self.transport.is_closing():
            self.transport.write(error(words))
        self.transport.close()

    def _read(self) -> None:
        if self.transport.is_closing():
            return
        pause = self._full or self._stalled or self._busy()
        if pause is self._paused:
            return
        self._paused = pause
        if pause:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()
