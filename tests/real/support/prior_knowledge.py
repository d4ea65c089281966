"""A client of HTTP/2 over a Unix socket as an Envoy is one: it goes on behind GOAWAY, and gives up single streams."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hpack import Decoder, Encoder
from hyperframe.frame import DataFrame, HeadersFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame

_DATA, _HEADERS, _RST_STREAM, _GOAWAY = 0, 1, 3, 7
_END_STREAM = 1
_FRAME, _HEAD = 16_384, 9
_PLENTY = 1 << 30


@dataclass
class Answer:
    """What has come so far. `reset`: it was broken off."""

    stream: int
    status: int = 0
    body: bytes = b""
    reset: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Connection:
    """`window`: bytes of each body that are taken, until `widen`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, window: int) -> None:
        self.answers: dict[int, Answer] = {}
        self.left = False
        """Whether the other side takes nothing new."""
        self._reader = reader
        self._writer = writer
        self._encoder, self._decoder = Encoder(), Decoder()
        self._next = 1
        settings = SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: window})
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings.serialize())
        self._widen(0, _PLENTY)

    def ask(self, path: str, fields: dict[str, str], body: bytes) -> Answer:
        """It fills while it comes."""
        answer = self.answers[self._next] = Answer(self._next)
        self._next += 2
        own = {":method": "POST", ":path": path, ":scheme": "http", ":authority": "relay"}
        head = self._encoder.encode([*(own | fields).items()])
        frames = [HeadersFrame(answer.stream, head, flags=["END_HEADERS"])]
        frames.append(DataFrame(answer.stream, body, flags=["END_STREAM"]))
        assert len(body) <= _FRAME
        self._writer.write(b"".join(frame.serialize() for frame in frames))
        return answer

    def give_up(self, answer: Answer) -> None:
        self._writer.write(RstStreamFrame(answer.stream, error_code=8).serialize())

    def widen(self, answer: Answer, size: int) -> None:
        """Take so many bytes more of a body."""
        self._widen(answer.stream, size)

    async def listen(self) -> None:
        """Until the other side closes."""
        try:
            while True:
                head = await self._reader.readexactly(_HEAD)
                payload = await self._reader.readexactly(int.from_bytes(head[:3]))
                self._take(head[3], head[4], int.from_bytes(head[5:]), payload)
        except (asyncio.IncompleteReadError, ConnectionError):
            return

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _GOAWAY:
            self.left = True
        answer = self.answers.get(stream)
        if answer is None:
            return
        if kind == _HEADERS:
            answer.status = int(dict(self._decoder.decode(payload))[":status"])
        elif kind == _DATA:
            answer.body += payload
        elif kind == _RST_STREAM:
            answer.reset = True
        if kind == _RST_STREAM or (kind in {_DATA, _HEADERS} and flags & _END_STREAM):
            answer.ended.set()

    def _widen(self, stream: int, size: int) -> None:
        self._writer.write(WindowUpdateFrame(stream, window_increment=size).serialize())


@asynccontextmanager
async def connected(path: Path, *, window: int = _PLENTY) -> AsyncIterator[Connection]:
    """For the length of the block."""
    reader, writer = await asyncio.open_unix_connection(path)
    connection = Connection(reader, writer, window)
    async with asyncio.TaskGroup() as group:
        listening = group.create_task(connection.listen())
        try:
            yield connection
        finally:
            listening.cancel()
            writer.close()
