"""Link: the transport of a client: what is written to it, whether it is read, and how it ends."""

import asyncio
from typing import Final, cast

from marchproxy.modules.rtmp.session.turns import Turns

#: Bytes that wait to be written, beyond which a role is told so.
HIGH_WATER: Final = 256 * 1024
#: In which a client may take what it is told last.
FAREWELL_SECONDS: Final = 2.0


class Link(asyncio.Protocol):
    """Whoever derives from it says what becomes of what is read (`data_received`) and of the end (`ended`)."""

    def __init__(self) -> None:
        self.reason = ""
        """What the end is counted under, once somebody has decided it."""
        self.is_full = False
        """Whether more than HIGH_WATER waits to be written."""
        self.is_paused = False
        """Whether nobody is to read it."""
        self.in_turns = False
        """Whether it is read in turns, and not by the event loop."""
        self._turns: Turns | None = None
        self._transport: asyncio.Transport | None = None
        self._sink: asyncio.Transport | None = None  # what may still be written to

    def ended(self, reason: str) -> None:
        """Called once, whoever wanted it."""
        raise NotImplementedError

    # of asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = self._sink = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER)

    def pause_writing(self) -> None:
        """More waits than is good."""
        self.is_full = True

    def resume_writing(self) -> None:
        """It was written."""
        self.is_full = False

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        self._leave_turns()
        if self._transport is not None:
            self._transport = self._sink = None
            self.ended(self.reason or ("reset" if exc else "client"))

    # for everybody

    @property
    def transport(self) -> asyncio.Transport | None:
        """None: it has ended, or is not ours any more."""
        return self._transport

    def write(self, data: bytes) -> None:
        """Bytes as they are; none any more after `finish`."""
        sink = self._sink
        if sink is not None:
            sink.write(data)

    def queued(self) -> int:
        """Bytes that wait."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def pause(self) -> None:
        """Read nothing."""
        self.is_paused = True
        self.read_by_loop()

    def resume(self) -> None:
        """Read again."""
        self.is_paused = False
        self.read_by_loop()

    def read_in_turns(self, turns: Turns, *, echoes: bool = False) -> None:
        """From now on it brings media. What is encrypted, only the event loop can read."""
        transport = self._transport
        if transport is None or self.reason or self._turns is not None:
            return
        if transport.get_extra_info("sslcontext") is not None:
            return
        self._turns = turns
        turns.add(self, transport.get_extra_info("socket").fileno(), echoes=echoes)

    @property
    def is_awaited(self) -> bool:
        """As a Taker's."""
        return True

    def read_by_loop(self) -> None:
        """As a Taker's."""
        if self._transport is None:
            return
        if self.is_paused or self.in_turns:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def abort(self, reason: str) -> None:
        """Go at once."""
        self._leave_turns()
        self.reason = self.reason or reason
        if self._transport is not None:
            self._transport.abort()

    def finish(self, reason: str) -> None:
        """Go when all is written and the other side has seen it, or after FAREWELL_SECONDS."""
        self._leave_turns()
        self.reason = reason
        transport, self._sink = self._transport, None
        if transport is None:
            return
        transport.resume_reading()  # or the end of the other side would never be seen
        if transport.can_write_eof():
            transport.write_eof()  # closing while something comes would be a reset, which may overtake what was said
        else:
            transport.close()
        asyncio.get_running_loop().call_later(FAREWELL_SECONDS, self.abort, reason)

    def part(self, reason: str) -> asyncio.Transport | None:
        """Have the end now; whoever calls this has the transport from now on, if there is one."""
        self._leave_turns()
        transport = self._transport
        self._transport = self._sink = None
        if transport is not None:
            self.reason = reason
            self.ended(reason)
        return transport

    def _leave_turns(self) -> None:
        turns, self._turns = self._turns, None
        if turns is not None:
            turns.remove(self)
