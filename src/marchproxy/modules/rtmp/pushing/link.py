"""Link: one connection to a server that gets a copy of a stream."""

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

from marchproxy.modules.rtmp.pushing.dialogue import PushDialogue, Refused, State
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp.message import Message

_HIGH_WATER = 256 * 1024
_FAREWELL_SECONDS = 2.0


class Link(asyncio.Protocol):
    """`live` is called once, when the server takes media. `over` is done with why it ended; empty: we ended it."""

    def __init__(self, dialogue: PushDialogue, live: Callable[[], None]) -> None:
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.settled = asyncio.Event()
        """It is live, or over."""
        self.is_full = False
        """Whether the server does not read as fast as it is written to."""
        self._dialogue = dialogue
        self._live = live
        self._transport: asyncio.Transport | None = None

    @property
    def is_live(self) -> bool:
        """Whether the server takes media."""
        return self._dialogue.state is State.LIVE and not self.over.done()

    @property
    def stage(self) -> str:
        """What it waits for, or `live`."""
        return self._dialogue.state.value

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        if self.over.done():
            self._transport.abort()
        else:
            self._transport.write(self._dialogue.begin())

    def data_received(self, data: bytes) -> None:
        """Go on."""
        if self._transport is None or self.over.done():
            return
        was_live = self._dialogue.state is State.LIVE
        try:
            said = self._dialogue.feed(data)
        except (Refused, ProtocolFault) as error:
            self.end(str(error))
            return
        if said:
            self._transport.write(said)
        if not was_live and self._dialogue.state is State.LIVE:
            self.settled.set()
            self._live()

    def pause_writing(self) -> None:
        """The server reads slowly."""
        self.is_full = True

    def resume_writing(self) -> None:
        """It has caught up."""
        self.is_full = False

    def connection_lost(self, exc: Exception | None) -> None:
        """The end, whoever wanted it."""
        self._transport = None
        self._say_over(str(exc) if exc else "the server hung up")

    def send(self, messages: Sequence[Message]) -> None:
        """Media, of a link that is live."""
        if self._transport is not None:
            self._transport.write(self._dialogue.media(messages))

    def queued(self) -> int:
        """How many bytes wait to be written."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def finish(self) -> None:
        """The stream has ended: say so, and close when that is written, or after 2 s."""
        transport = self._transport
        if transport is not None:
            if self.is_live:
                transport.write(self._dialogue.farewell())
            transport.close()
            asyncio.get_running_loop().call_later(_FAREWELL_SECONDS, transport.abort)
        self._say_over("")

    def end(self, reason: str) -> None:
        """Go at once; `over` says why."""
        self._say_over(reason)
        if self._transport is not None:
            self._transport.abort()

    def _say_over(self, reason: str) -> None:
        if not self.over.done():
            self.over.set_result(reason)
            self.settled.set()
