"""What clients say, in chunks, and what they are told."""

import asyncio
from pathlib import Path

from marchproxy.modules.rtmp.session.link import HIGH_WATER
from marchproxy.wire.rtmp import requests
from marchproxy.wire.rtmp.chunking import ChunkWriter
from marchproxy.wire.rtmp.chunks import ChunkReader
from marchproxy.wire.rtmp.commands import Command, read_command
from marchproxy.wire.rtmp.handshake import NOISE, ServerHandshake
from marchproxy.wire.rtmp.message import AUDIO, COMMAND_TYPES, VIDEO, Message

CAPTURES = Path(__file__).parents[3] / "wire" / "rtmp" / "captures"


def captured(name: str) -> bytes:
    """What a real client sent behind the handshake."""
    handshake = ServerHandshake(bytes(NOISE))
    handshake.feed((CAPTURES / f"{name}.bin").read_bytes())
    return handshake.leftover


def connect(app: str = "live", **properties: object) -> Command:
    return Command(
        "connect", 1, {"app": app, "tcUrl": f"rtmp://media.example.com/{app.partition('?')[0]}", **properties}
    )


def create(transaction: float = 4) -> Command:
    return Command(requests.CREATE_STREAM, transaction)


def publish(name: str = "a") -> Message:
    return requests.Publish(name, transaction=5).command().message(1)


def play(name: str = "a") -> Message:
    return requests.Play(name, transaction=5).command().message(1)


def key(time: int = 0, body: bytes = b"key") -> Message:
    return Message(VIDEO, 1, time, b"\x17\x01\0\0\0" + body)


def sound(time: int = 0, body: bytes = b"sound") -> Message:
    return Message(AUDIO, 1, time, b"\xaf\x01" + body)


#: All that a client says until it wants something.
PUBLISHER = (connect(), *requests.announce("a", (2, 3, 4)), publish())
PLAYER = (connect(), create(2), play())


class Speaker:
    """One client's side of the chunks."""

    def __init__(self) -> None:
        self._writer = ChunkWriter()
        self._reader = ChunkReader()

    def says(self, *parts: Message | Command) -> bytes:
        messages = [part.message() if isinstance(part, Command) else part for part in parts]
        return b"".join(map(self._writer.write, messages))

    def hears(self, data: bytes) -> list[Message]:
        return [message._replace(csid=0) for message in self._reader.feed(data)]


def commands(messages: list[Message]) -> list[Command]:
    return [read_command(message) for message in messages if message.type in COMMAND_TYPES]


def statuses(messages: list[Message]) -> list[tuple[int, object]]:
    """By stream, the codes of each onStatus."""
    return [
        (message.stream_id, read_command(message).fields().get("code"))
        for message in messages
        if message.type in COMMAND_TYPES and read_command(message).name == "onStatus"
    ]


class FakeTransport(asyncio.Transport):
    """One that keeps what is written to it; `waiting` bytes of it were not read. It ends when `lose` says so."""

    def __init__(self, connection, *, half_close=True):
        super().__init__()
        self.connection, self.half_close = connection, half_close
        self.written, self.waiting, self.reading, self.did = b"", 0, True, []
        connection.connection_made(self)

    def set_write_buffer_limits(self, high=None, low=None):
        assert high == HIGH_WATER

    def write(self, data):
        assert not self.did
        self.written += data

    def get_write_buffer_size(self):
        return self.waiting

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True

    def can_write_eof(self):
        return self.half_close

    def write_eof(self):
        self.did.append("eof")

    def close(self):
        self.did.append("close")

    def abort(self):
        self.did.append("abort")

    def lose(self, error=None):
        self.connection.connection_lost(error)
