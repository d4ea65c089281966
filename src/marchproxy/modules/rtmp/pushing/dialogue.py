"""Dialogue: what we say to a server to publish there, and what it answers. Pure."""

from collections.abc import Sequence
from enum import Enum
from typing import Final

from marchproxy.modules.rtmp.pushing.target import Target
from marchproxy.wire.rtmp import amf0, answers, control, requests
from marchproxy.wire.rtmp.answers import Code, Level
from marchproxy.wire.rtmp.chunking import ChunkWriter
from marchproxy.wire.rtmp.chunks import ChunkReader
from marchproxy.wire.rtmp.commands import METADATA, SET_DATA_FRAME, Command, read_command
from marchproxy.wire.rtmp.connect import FORWARDING, Connect
from marchproxy.wire.rtmp.control import Event
from marchproxy.wire.rtmp.handshake import ClientHandshake
from marchproxy.wire.rtmp.message import COMMAND_TYPES, DATA_TYPES, Message, Type

#: nginx-rtmp and others take no message larger than a megabyte, but chunks of any size.
CHUNK_SIZE: Final = 60_000
_CONNECT, _RELEASE, _ANNOUNCE, _CREATE, _PUBLISH, _UNPUBLISH, _DELETE = range(1, 8)
_METADATA: Final = amf0.encode(METADATA)
_SET_DATA_FRAME: Final = amf0.encode(SET_DATA_FRAME)
_AGENT: Final = "FMLE/3.0 (compatible; MarchProxy)"


class Refused(Exception):
    """The server does not want the stream, or not any more; in its own words."""


class State(Enum):
    """How far we are."""

    SHAKING = "shaking hands"
    CONNECTING = "connect"
    CREATING = "createStream"
    PUBLISHING = "publish"
    LIVE = "live"


class PushDialogue:
    """One attempt. `noise`: as a ClientHandshake's."""

    def __init__(self, target: Target, noise: bytes) -> None:
        self.state = State.SHAKING
        self._target = target
        self._handshake = ClientHandshake(noise)
        self._reader = ChunkReader()
        self._writer = ChunkWriter()
        self._out: list[bytes] = []
        self._stream_id = 1
        self._received = self._acked = 0
        self._window = 0

    def begin(self) -> bytes:
        """What we say first."""
        return self._handshake.begin()

    def feed(self, data: bytes) -> bytes:
        """What we say to that. Raises Refused, ProtocolFault."""
        if self.state is State.SHAKING:
            self._out.append(self._handshake.feed(data))
            if not self._handshake.done:
                return self._take_out()
            data = self._handshake.leftover
            self.state = State.CONNECTING
            properties = {"type": "nonprivate", "flashVer": _AGENT, "swfUrl": self._target.tc_url}
            self._say(
                Connect(
                    self._target.app, self._target.tc_url, _CONNECT, properties, abilities=FORWARDING
                ).command()
            )
        self._received += len(data)
        for message in self._reader.feed(data):
            self._heed(message)
        if self._window and self._received - self._acked >= self._window // 2:
            self._acked = self._received
            self._say(control.ack(self._received))
        return self._take_out()

    def media(self, messages: Sequence[Message]) -> bytes:
        """Media of a stream that is LIVE, in chunks; metadata as publishers say them."""
        write, stream_id = self._writer.write, self._stream_id
        return b"".join([write(_kept(one)._replace(stream_id=stream_id)) for one in messages])

    def farewell(self) -> bytes:
        """What we say when the stream has ended."""
        for command in requests.farewell(self._target.name, self._stream_id, (_UNPUBLISH, _DELETE)):
            self._say(command)
        return self._take_out()

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
        if command.name == answers.ERROR and command.transaction not in {_RELEASE, _ANNOUNCE}:
            raise Refused(_words(said.description or said.code or "no"))
        if command.name == answers.ON_STATUS and said.level == Level.ERROR:
            raise Refused(_words(said.description or said.code))
        match self.state:
            case State.CONNECTING if _is_answer(command, _CONNECT):
                self.state = State.CREATING
                self._say(control.set_chunk_size(CHUNK_SIZE))
                for one in requests.announce(self._target.name, (_RELEASE, _ANNOUNCE, _CREATE)):
                    self._say(one)
            case State.CREATING if _is_answer(command, _CREATE):
                self.state = State.PUBLISHING
                self._stream_id = int(command.number(0, 1)) & 0xFFFF_FFFF
                publish = requests.Publish(self._target.name, transaction=_PUBLISH).command()
                self._say(publish.message(self._stream_id))
            case State.PUBLISHING if said.code == Code.PUBLISH_START:
                self.state = State.LIVE
            case State.LIVE if said.code in {Code.UNPUBLISHED, Code.RECONNECT, Code.CONNECT_CLOSED}:
                raise Refused(_words(said.description or said.code))
            case _:
                pass

    def _say(self, what: Message | Command) -> None:
        self._out.append(self._writer.write(what.message() if isinstance(what, Command) else what))

    def _take_out(self) -> bytes:
        out, self._out = self._out, []
        return b"".join(out)


def _is_answer(command: Command, transaction: int) -> bool:
    return command.name == answers.RESULT and command.transaction == transaction


def _kept(message: Message) -> Message:
    """Metadata so that the server keeps it for those who come later."""
    if message.type not in DATA_TYPES or not message.payload.startswith(_METADATA):
        return message
    return message._replace(payload=_SET_DATA_FRAME + message.payload)


def _words(said: str) -> str:
    """A server's words, as they may stand in a log and a report."""
    return "".join(letter for letter in said[:200] if letter.isprintable())
