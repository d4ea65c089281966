"""Inflow: what a publisher says beside its media, and what shows of these while they pass."""

from collections.abc import Sequence
from typing import Final

from marchproxy.modules.rtmp.balancing.sight import Sight
from marchproxy.modules.rtmp.session.roles import Client
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp import control, requests
from marchproxy.wire.rtmp.commands import read_command
from marchproxy.wire.rtmp.control import Event
from marchproxy.wire.rtmp.handshake import BLOCK
from marchproxy.wire.rtmp.message import COMMAND_TYPES, Message, Type
from marchproxy.wire.rtmp.skimmer import Began, Passed

_LEAVING: Final = frozenset({requests.FC_UNPUBLISH, requests.CLOSE_STREAM, requests.DELETE_STREAM})
_WISHES: Final = frozenset({requests.PUBLISH, requests.PLAY})
#: Half of the window that publishers are told.
_WINDOW: Final = 2_500_000
_MOST_ANSWERS: Final = 64 * 1024


class Inflow:
    """One publisher's."""

    def __init__(self) -> None:
        self.sight = Sight()
        self.received = 1 + 2 * BLOCK
        """Bytes, those of the handshake too."""
        self.has_begun = False
        """What came before was answered already."""
        self.leaves = False
        """It has said farewell."""
        self._acked, self._window = self.received, _WINDOW

    def passed(self, client: Client, events: Sequence[Passed], size: int) -> bool:
        """So many bytes have passed, and in them began or ended what is told; whether there were frames. Raises ProtocolFault."""
        frames = False
        for event in events:
            if isinstance(event, Began):
                frames |= self.sight.began(event)
            else:
                self._heed(client, event)
        self.received += size
        if self.received - self._acked >= self._window:
            self._acked = self.received
            client.send(control.ack(self.received))
        return frames

    def _heed(self, client: Client, message: Message) -> None:
        if message.type in COMMAND_TYPES:
            if self.has_begun:
                self._command(read_command(message).name)
        elif message.type == Type.WINDOW_ACK:
            self._window = max(1, control.read_number(message) // 2)
        elif message.type == Type.USER_CONTROL:
            self._pong(client, message)
        else:
            self.sight.note(message)

    def _command(self, name: str) -> None:
        if name in _WISHES:
            raise ProtocolFault("one stream for each connection: connect again for another one")
        self.leaves |= name in _LEAVING

    def _pong(self, client: Client, message: Message) -> None:
        told = control.read_user_control(message)
        if told.event != Event.PING or not self.has_begun:
            return
        if client.queued() > _MOST_ANSWERS:
            raise ProtocolFault("it reads nothing, and asks on")
        client.send(control.user_control(Event.PONG, told.value))
