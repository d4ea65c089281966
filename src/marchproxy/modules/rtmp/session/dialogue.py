"""Dialogue: what a client and we say to each other until its wish is known, and beside its media afterwards. Pure.

The same bytes give the same answers, so that another worker that is told what a client has said knows what we have said.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from marchproxy.model.streams import key_fault, read_key
from marchproxy.modules.rtmp.session.roles import Action, Wish
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp import answers, control, requests
from marchproxy.wire.rtmp.chunking import ChunkWriter
from marchproxy.wire.rtmp.chunks import ChunkReader
from marchproxy.wire.rtmp.commands import Command, read_command
from marchproxy.wire.rtmp.connect import CONNECT, FORWARDING, Caps, Connect, read_connect
from marchproxy.wire.rtmp.control import Event
from marchproxy.wire.rtmp.handshake import BLOCK
from marchproxy.wire.rtmp.message import AUDIO, COMMAND_TYPES, DATA_TYPES, VIDEO, Message, Type

#: Of our own chunks, in bytes, once we have told it. Most messages fit.
CHUNK_SIZE: Final = 60_000
#: Bytes that a client may send before it has said what it wants.
MOST_BEFORE: Final = 64 * 1024
#: And before that is granted, with what was read at once with it.
MOST_RECORDED: Final = 512 * 1024
#: Bytes that come before there are chunks; acknowledgements count them.
_HANDSHAKE: Final = 1 + 2 * BLOCK
#: Message streams of one connection.
_MOST_STREAMS: Final = 16
_CONTROL: Final = frozenset(
    {Type.SET_CHUNK_SIZE, Type.ABORT, Type.ACK, Type.USER_CONTROL, Type.WINDOW_ACK, Type.PEER_BANDWIDTH}
)
#: What is for roles alone.
_MEDIA: Final = frozenset({AUDIO, VIDEO, *DATA_TYPES, int(Type.AGGREGATE)})
_WISHES: Final = {requests.PUBLISH: Action.PUBLISH, requests.PLAY: Action.PLAY}
_ABILITIES: Final = replace(FORWARDING, caps=FORWARDING.caps | Caps.RECONNECT)


class Dialogue:
    """One client's, from behind the handshake on. `window`: what it may send before it wants an acknowledgement."""

    __slots__ = (
        "_ack_at", "_acked", "_connect", "_held", "_out", "_reader", "_streams", "_window", "_writer", "granted",
        "received", "recorded", "wish",
    )  # fmt: skip

    def __init__(self, *, window: int = 5_000_000) -> None:
        self._reader = ChunkReader()
        self._writer = ChunkWriter()
        self._out: list[bytes] = []
        self._connect: Connect | None = None
        self._streams = 0
        self._held: list[Message] = []
        self._window = window
        self._ack_at = window // 2
        self._acked = 0
        self.received = _HANDSHAKE
        """Bytes, those of the handshake too."""
        self.recorded = bytearray()
        """All of them, until the wish is granted."""
        self.wish: Wish | None = None
        self.granted = False

    @property
    def between(self) -> bool:
        """Whether what was received ends between two messages."""
        return self._reader.between

    @property
    def chunk_size(self) -> int:
        """Of what we write."""
        return self._writer.chunk_size

    @property
    def connected(self) -> bool:
        """Whether it has said which app it wants."""
        return self._connect is not None

    def feed(self, data: bytes) -> Sequence[Message]:
        """Messages for the role; none before `grant`. After the first wish nothing is answered until then.

        Raises ProtocolFault.
        """
        self.received += len(data)
        if not self.granted:
            return self._begin(data)
        messages: Sequence[Message] = self._reader.feed(data)
        for message in messages:
            if message[0] not in _MEDIA:
                messages = self._heed(messages)
                break
        if self.received - self._acked >= self._ack_at:
            self._ack()
        return messages

    def grant(self) -> Sequence[Message]:
        """The wish is granted: what came behind it."""
        self.granted = True
        held, self._held = self._held, []
        return self._heed(held)

    def say(self, *parts: Message | Command, stream_id: int = 0) -> None:
        """Have something written; commands go to the stream that is given."""
        for part in parts:
            message = part.message(stream_id) if isinstance(part, Command) else part
            self._out.append(self._writer.write(message))

    def forget_sent(self) -> None:
        """Others' chunks were written: what we say next is said in full."""
        self._writer = ChunkWriter(self._writer.chunk_size)

    def take_out(self) -> bytes:
        """What is to be written now."""
        out = self._out
        if not out:
            return b""
        self._out = []
        return out[0] if len(out) == 1 else b"".join(out)

    def _begin(self, data: bytes) -> Sequence[Message]:
        """Before the grant: nothing is for a role."""
        self.recorded += data
        if len(self.recorded) > MOST_RECORDED:
            raise ProtocolFault(f"more than {MOST_RECORDED} bytes before it may begin")
        messages = self._reader.feed(data)
        if self.wish is not None:
            self._held += messages
            return ()
        self._heed(messages)
        if self.wish is None and len(self.recorded) > MOST_BEFORE:
            raise ProtocolFault(f"more than {MOST_BEFORE} bytes, and neither publish nor play among them")
        if self.received - self._acked >= self._ack_at:
            self._ack()
        return ()

    def _ack(self) -> None:
        self._acked = self.received
        self.say(control.ack(self.received))

    def _heed(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Obey what is about the connection; the rest, if somebody serves the client already."""
        passed: list[Message] = []
        for number, message in enumerate(messages):
            if message.type in _CONTROL:
                self._control(message)
            elif message.type in COMMAND_TYPES:
                command = read_command(message)
                if not self._command(command, message.stream_id) and self.granted:
                    passed.append(message)
            elif self.granted:
                passed.append(message)
            if self.wish is not None and not self.granted:
                self._held += messages[number + 1 :]
                break
        return passed

    def _control(self, message: Message) -> None:
        match message.type:
            case Type.WINDOW_ACK:
                self._ack_at = max(control.read_number(message) // 2, 1)
            case Type.USER_CONTROL:
                told = control.read_user_control(message)
                if told.event == Event.PING:
                    self.say(control.user_control(Event.PONG, told.value))

    def _command(self, command: Command, stream_id: int) -> bool:
        """Whether that was all about it."""
        if command.name == CONNECT:
            self._connected(command)
            return True
        if self._connect is None:
            raise ProtocolFault(f"{command.name[:40]!r} before connect")
        if (action := _WISHES.get(command.name)) is not None:
            if self.granted:
                return False
            self._wished(action, command, stream_id)
            return True
        match command.name:
            case requests.CREATE_STREAM:
                self._streams += 1
                if self._streams > _MOST_STREAMS:
                    raise ProtocolFault(f"more than {_MOST_STREAMS} streams on one connection")
                self.say(answers.result(command.transaction, float(self._streams)))
            case requests.RELEASE_STREAM | requests.FC_PUBLISH | requests.FC_SUBSCRIBE:
                if command.transaction:
                    self.say(answers.result(command.transaction))
            case requests.GET_STREAM_LENGTH | requests.CHECK_BANDWIDTH:
                self.say(answers.result(command.transaction, 0.0))
            case _:
                return False
        return True

    def _connected(self, command: Command) -> None:
        if self._connect is not None:
            raise ProtocolFault("connect, a second time")
        self._connect = connect = read_connect(command)
        self.say(
            control.window_ack(self._window),
            control.peer_bandwidth(self._window),
            control.set_chunk_size(CHUNK_SIZE),
            answers.connected(connect.transaction, _ABILITIES, amf3=connect.amf3),
        )

    def _wished(self, action: Action, command: Command, stream_id: int) -> None:
        assert self._connect is not None
        name = command.text(0)
        key, query = read_key(self._connect.tc_url, self._connect.app, name)
        self.wish = Wish(action, key, name, query, self._connect, stream_id or 1, command.transaction)
        if fault := key_fault(key):
            raise BadKey(fault)


class BadKey(ProtocolFault):
    """The wish is for a stream that cannot be; `wish` of the dialogue says which."""
