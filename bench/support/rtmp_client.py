"""A publisher or player of the load of bench.rtmp: its beginning, by blocking calls; then its socket is all there is."""

import secrets
import socket
from collections.abc import Sequence

from marchproxy.wire.rtmp import answers, control, requests
from marchproxy.wire.rtmp.chunking import ChunkWriter
from marchproxy.wire.rtmp.chunks import ChunkReader
from marchproxy.wire.rtmp.commands import Command, read_command
from marchproxy.wire.rtmp.connect import Connect
from marchproxy.wire.rtmp.handshake import NOISE, ClientHandshake
from marchproxy.wire.rtmp.message import COMMAND_TYPES, Message

_SECONDS = 20.0
_READ = 256 * 1024
#: As OBS sends them.
CHUNK_SIZE = 4096


class Failed(Exception):
    """The server did not do what it was asked for."""


class Joining:
    """One connection until its media begin."""

    def __init__(self, port: int, app: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader, self._writer = ChunkReader(), ChunkWriter()
        self._unread: list[Command] = []
        self._shake()
        self._say(control.set_chunk_size(CHUNK_SIZE))
        self._say(Connect(app, f"rtmp://127.0.0.1:{port}/{app}").command())
        self._await(answers.RESULT)
        self._say(Command(requests.CREATE_STREAM, 2))
        created = self._await(answers.RESULT)
        self._stream = int(created.number(0, 1))

    def publish(self, name: str) -> socket.socket:
        """Publish a stream; what follows is its media."""
        self._say(requests.Publish(name, transaction=3).command(), stream_id=self._stream)
        return self._started(answers.Code.PUBLISH_START)

    def play(self, name: str) -> socket.socket:
        """Play a stream."""
        self._say(requests.Play(name, transaction=3).command(), stream_id=self._stream)
        return self._started(answers.Code.PLAY_START)

    def _started(self, code: str) -> socket.socket:
        while (said := answers.read_status(self._await(answers.ON_STATUS))).code != code:
            if said.level == answers.Level.ERROR:
                raise Failed(f"{said.code}: {said.description}")
        self.socket.setblocking(False)  # noqa: FBT003 - a method of the standard library
        return self.socket

    def _shake(self) -> None:
        handshake = ClientHandshake(secrets.token_bytes(NOISE))
        self.socket.sendall(handshake.begin())
        while not handshake.done:
            self.socket.sendall(handshake.feed(self._read()))
        self._take(self._reader.feed(handshake.leftover))

    def _say(self, what: Message | Command, stream_id: int = 0) -> None:
        message = what.message(stream_id) if isinstance(what, Command) else what
        self.socket.sendall(self._writer.write(message))

    def _await(self, name: str) -> Command:
        while True:
            while self._unread:
                command = self._unread.pop(0)
                if command.name == name:
                    return command
            self._take(self._reader.feed(self._read()))

    def _take(self, messages: Sequence[Message]) -> None:
        self._unread += [read_command(one) for one in messages if one.type in COMMAND_TYPES]

    def _read(self) -> bytes:
        # nginx-rtmp writes an answer in parts and holds the last one back until the first was acknowledged, 40 ms later
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        data = self.socket.recv(_READ)
        if not data:
            raise Failed("the server hung up")
        return data
