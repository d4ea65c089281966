"""Batch: what came in one read of a publisher, in chunks that are right for all players."""

from collections.abc import Sequence
from typing import Final

from marchproxy.modules.rtmp.session.dialogue import CHUNK_SIZE
from marchproxy.wire.rtmp import control
from marchproxy.wire.rtmp.chunking import encode
from marchproxy.wire.rtmp.chunks import ChunkReader
from marchproxy.wire.rtmp.message import Message
from marchproxy.wire.rtmp.preface import Preface

#: Of the messages in batches; players that asked for another one get theirs `of_stream`.
STREAM_ID: Final = 1
NO_ENTRY: Final = -1
_TOLD: Final = encode(control.set_chunk_size(CHUNK_SIZE))


class Batch:
    """`messages` as players get them. `entry`: at which of them who was sent nothing so far can begin (a keyframe), NO_ENTRY: at
    none. `preface`: what he must be told before that one; it is not changed any more, so that it may be told from others by `is`.
    """

    __slots__ = ("_data", "_pieces", "entry", "messages", "preface", "size")

    def __init__(self, messages: Sequence[Message], size: int, entry: int, preface: Preface) -> None:
        self.messages = messages
        self.preface = preface
        self.size = size
        """Bytes of all payloads."""
        self.entry = entry
        self._pieces: list[bytes] = []
        self._data = b""

    @property
    def data(self) -> bytes:
        """The messages in chunks, each right whatever was sent before; made when somebody wants it for the first time."""
        if not self._data:
            self._pieces = [write_chunks(message) for message in self.messages]
            self._data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        return self._data

    @property
    def is_written(self) -> bool:
        """Whether somebody wanted the data."""
        return bool(self._data)

    @property
    def tail(self) -> bytes:
        """The data from the entry on."""
        data = self.data
        return data[sum(map(len, self._pieces[: self.entry])) :] if self.entry else data

    @property
    def time(self) -> int:
        """The timestamp of the entry."""
        return self.messages[self.entry].timestamp


def read_chunks(data: bytes) -> list[Message]:
    """The messages in `data` of batches."""
    reader = ChunkReader()
    reader.feed(_TOLD)
    return reader.feed(data)


def write_preface(preface: Preface, timestamp: int) -> bytes:
    """What it says before media of this time, as that stands in batches."""
    return b"".join(write_chunks(one._replace(stream_id=STREAM_ID)) for one in preface.messages(timestamp))


def write_chunks(message: Message) -> bytes:
    """A message as it stands in batches."""
    return encode(message, CHUNK_SIZE)


def of_stream(data: bytes, stream_id: int) -> bytes:
    """The same for a player that calls its stream otherwise, which hardly any does."""
    if stream_id == STREAM_ID:
        return data
    return b"".join(write_chunks(one._replace(stream_id=stream_id)) for one in read_chunks(data))
