"""Dialogue: what we say to a server to play a stream, and what it answers. Pure."""

from typing import Final

from marchproxy.wire.rtmp import answers, control, requests
from marchproxy.wire.rtmp.aggregate import split_aggregate
from marchproxy.wire.rtmp.answers import Code, Level
from marchproxy.wire.rtmp.chunking import ChunkWriter
from marchproxy.wire.rtmp.chunks import ChunkReader
from marchproxy.wire.rtmp.commands import Command, read_command
from marchproxy.wire.rtmp.connect import FORWARDING, Connect
from marchproxy.wire.rtmp.control import Event
from marchproxy.wire.rtmp.handshake import ClientHandshake
from marchproxy.wire.rtmp.message import AUDIO, COMMAND_TYPES, DATA_TYPES, VIDEO, Message, Type

_CONNECT, _CREATE, _PLAY = range(1, 4)
_MEDIA: Final = frozenset({AUDIO, VIDEO}) | DATA_TYPES
_ENDS: Final = frozenset({Code.PLAY_STOP, Code.PLAY_UNPUBLISHED, Code.RECONNECT, Code.CONNECT_CLOSED})
_AGENT: Final = "LNX 9,0,124,2 (MarchProxy)"


class Over(Exception):
    """The server has no such stream, or no more of it; in its own words. `media`: what it said before that."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.media: list[Message] = []


class PlayDialogue:
    """One attempt to play `name` of `app`. `noise`: as a ClientHandshake's."""

    def __init__(self, tc_url: str, app: str, name: str, noise: bytes) -> None:
        self._tc_url, self._app, self._name = tc_url, app, name
        self._handshake = ClientHandshake(noise)
        self._shaken = False
        self._reader = ChunkReader()
        self._writer = ChunkWriter()
        self._out: list[bytes] = []
        self._received = self._acked = self._window = 0

    def begin(self) -> bytes:
        """What we say first."""
        return self._handshake.begin()

    def feed(self, data: bytes) -> tuple[bytes, list[Message]]:
        """What we say to that, and the media in it. Raises Over, ProtocolFault."""
        if not self._shaken:
            self._out.append(self._handshake.feed(data))
            if not self._handshake.done:
                return self._take_out(), []
            data, self._shaken = self._handshake.leftover, True
            told = {"flashVer": _AGENT}
            self._say(Connect(self._app, self._tc_url, _CONNECT, told, abilities=FORWARDING).command())
        self._received += len(data)
        media: list[Message] = []
        for message in self._reader.feed(data):
            if message.type in _MEDIA:
                media.append(message)
            elif message.type == Type.AGGREGATE:
                media += split_aggregate(message)
            else:
                try:
                    self._heed(message)
                except Over as over:
                    over.media = media
                    raise
        if self._window and self._received - self._acked >= self._window // 2:
            self._acked = self._received
            self._say(control.ack(self._received))
        return self._take_out(), media

    def _heed(self, message: Message) -> None:
        if message.type in COMMAND_TYPES:
            self._command(read_command(message))
        elif message.type == Type.WINDOW_ACK:
            self._window = control.read_number(message)
        elif message.type == Type.USER_CONTROL:
            told = control.read_user_control(message)
            if told.event == Event.PING:
                self._say(control.user_control(Event.PONG, told.value))

    def _command(self, command: Command) -> None:
        said = answers.read_status(command)
        failed = command.name == answers.ERROR or (
            command.name == answers.ON_STATUS and (said.level == Level.ERROR or said.code in _ENDS)
        )
        if failed:
            raise Over(said.description or said.code or "no")
        if command.name != answers.RESULT:
            return
        if command.transaction == _CONNECT:
            self._say(Command(requests.CREATE_STREAM, _CREATE))
        elif command.transaction == _CREATE:
            stream_id = int(command.number(0, 1)) & 0xFFFF_FFFF
            play = requests.Play(self._name, requests.LIVE_ONLY, _PLAY).command()
            self._out.append(self._writer.write(play.message(stream_id)))

    def _say(self, what: Message | Command) -> None:
        self._out.append(self._writer.write(what.message() if isinstance(what, Command) else what))

    def _take_out(self) -> bytes:
        out, self._out = self._out, []
        return b"".join(out)
