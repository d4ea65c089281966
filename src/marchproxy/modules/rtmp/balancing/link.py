"""OriginLink: one connection to an origin, for one client."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Final

from marchproxy.modules.rtmp.balancing.asking import Asking
from marchproxy.modules.rtmp.session.link import Link
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp import control
from marchproxy.wire.rtmp.chunking import ChunkWriter
from marchproxy.wire.rtmp.commands import Command, read_command
from marchproxy.wire.rtmp.control import Event
from marchproxy.wire.rtmp.handshake import BLOCK, NOISE, ClientHandshake
from marchproxy.wire.rtmp.message import COMMAND_TYPES, Message, Type

#: What an end is counted under that we wanted.
DONE: Final = "done"
#: Before an origin is asked again that took a client and let it go at once; and how soon that is.
PAUSE_SECONDS: Final = 0.25
SOON_SECONDS: Final = 1.0
#: An origin that served so long was none in vain; else the search goes on where it was.
SOUND_SECONDS: Final = 5.0
#: What ends are called that nobody here wanted.
_WORDS: Final = {"client": "the origin hung up", "reset": "the origin broke the connection"}
_UNTOLD: Final = 1 << 62


class OriginLink(Link):
    """Whoever derives from it reads what comes (`take`) and hands over what is for the link itself (`heed`).

    `answered` is done when the origin serves the client, refuses it (`asking` says which), or the connection has ended
    (`fault` says why).
    """

    def __init__(self, address: str, asking: Asking) -> None:
        super().__init__()
        self.address = address
        self.asking = asking
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.fault = ""
        """Why it has ended, if nobody here wanted that."""
        self.encode: Callable[[Message], bytes] = ChunkWriter().write
        """How what we say goes out; empty where it waits for its place."""
        self._handshake: ClientHandshake | None = ClientHandshake(secrets.token_bytes(NOISE))
        self._received = 1 + 2 * BLOCK
        self._acked, self._window = 0, _UNTOLD

    @property
    def hung_up(self) -> bool:
        """Whether it has ended by the origin's doing, who may be well."""
        return self.fault in _WORDS.values()

    @property
    def is_live(self) -> bool:
        """Whether the origin serves the client."""
        return self.asking.is_served and self.transport is not None and not self.reason

    def take(self, data: bytes) -> None:
        """Bytes of chunks. Raises ProtocolFault."""
        raise NotImplementedError

    def told(self, command: Command) -> None:
        """What an origin says that serves the client already."""
        raise NotImplementedError

    def lost(self) -> None:
        """It has ended, after the origin took the client; called once, if nobody here wanted that."""
        raise NotImplementedError

    def begin(self) -> None:
        """The connection is there, TLS and all."""
        assert self._handshake is not None
        self.write(self._handshake.begin())

    def say(self, *messages: Message) -> None:
        """Messages of ours."""
        for message in messages:
            if data := self.encode(message):
                self.write(data)

    def end(self, *farewell: Message) -> None:
        """Go, because we want that."""
        if self.transport is not None and not self.reason:
            if self.is_live:
                self.say(*farewell)
            self.finish(DONE)

    # of asyncio

    def data_received(self, data: bytes) -> None:
        """Go on."""
        if self.reason:
            return
        try:
            if self._handshake is None:
                self._take(data)
            else:
                self._shake(self._handshake, data)
        except ProtocolFault as fault:
            self.abort(f"the origin broke the protocol: {fault}")

    def ended(self, reason: str) -> None:
        """As a Link's."""
        if reason != DONE:
            self.fault = _WORDS.get(reason, reason)
        if not self.answered.done():
            self.answered.set_result(None)
        elif self.fault and self.asking.is_served:
            self.lost()

    # what comes

    def heed(self, message: Message) -> None:
        """A message that is about the connection or a command; others do no harm. Raises ProtocolFault."""
        if message.type in COMMAND_TYPES:
            self._command(read_command(message))
        elif message.type == Type.WINDOW_ACK:
            self._window = max(1, control.read_number(message) // 2)
        elif message.type == Type.USER_CONTROL:
            told = control.read_user_control(message)
            if told.event == Event.PING and not self.is_full:
                self.say(control.user_control(Event.PONG, told.value))

    def _shake(self, handshake: ClientHandshake, data: bytes) -> None:
        self.write(handshake.feed(data))
        if handshake.done:
            self._handshake = None
            self.say(*self.asking.begin())
            if handshake.leftover:
                self._take(handshake.leftover)

    def _take(self, data: bytes) -> None:
        self._received += len(data)
        self.take(data)
        if self._received - self._acked >= self._window:
            self._acked = self._received
            self.say(control.ack(self._received))

    def _command(self, command: Command) -> None:
        asking = self.asking
        if asking.is_served:
            self.told(command)
        elif not self.answered.done():
            self.say(*asking.heed(command))
            self._see()

    def _see(self) -> None:
        if self.asking.is_answered:
            self.answered.set_result(None)
