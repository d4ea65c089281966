"""PushLink: one connection to a server that gets a copy of a stream."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from marchproxy.modules.rtmp.pushing.dialogue import PushDialogue, Refused, State
from marchproxy.modules.rtmp.session.link import Link
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp.message import Message

_DONE: Final = "done"
#: What ends are called that nobody here wanted.
_WORDS: Final = {"client": "the server hung up", "reset": "the server broke the connection", _DONE: ""}


class PushLink(Link):
    """`live` is called once, when the server takes media. `over` is done with why it ended; empty: we ended it."""

    def __init__(self, dialogue: PushDialogue, live: Callable[[], None]) -> None:
        super().__init__()
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.settled = asyncio.Event()
        """It is live, or over."""
        self._dialogue = dialogue
        self._live = live

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
        super().connection_made(transport)
        if self.over.done():
            self.abort(_DONE)
        else:
            self.write(self._dialogue.begin())

    def data_received(self, data: bytes) -> None:
        """Go on."""
        if self.over.done():
            return
        was_live = self.is_live
        try:
            said = self._dialogue.feed(data)
        except (Refused, ProtocolFault) as error:
            self.end(str(error))
            return
        if said:
            self.write(said)
        if self.is_live and not was_live:
            self.settled.set()
            self._live()

    def ended(self, reason: str) -> None:
        """As a Link's."""
        self._say_over(_WORDS.get(reason, reason))

    def send(self, messages: Sequence[Message]) -> None:
        """Media, of a link that is live."""
        self.write(self._dialogue.media(messages))

    def bid_farewell(self) -> None:
        """The stream has ended: say so, and go."""
        if self.is_live:
            self.write(self._dialogue.farewell())
        self._say_over("")
        self.finish(_DONE)

    def end(self, reason: str) -> None:
        """Go at once; `over` says why."""
        self._say_over(reason)
        self.abort(_DONE)

    def _say_over(self, reason: str) -> None:
        if not self.over.done():
            self.over.set_result(reason)
            self.settled.set()
