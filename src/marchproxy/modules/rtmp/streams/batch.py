"""Batch: what came in one read of a publisher, in chunks that are right for all players."""

from typing import Final, NamedTuple

from marchproxy.modules.rtmp.session.dialogue import CHUNK_SIZE
from marchproxy.wire.rtmp import control
from marchproxy.wire.rtmp.chunking import encode
from marchproxy.wire.rtmp.chunks import ChunkReader
from marchproxy.wire.rtmp.message import Message

#: Of the messages in batches; players that asked for another one get theirs `of_stream`.
STREAM_ID: Final = 1
NO_ENTRY: Final = -1
_TOLD: Final = encode(control.set_chunk_size(CHUNK_SIZE))


class Batch(NamedTuple):
    """`data`: the messages, each right whatever was sent before. `entry`: where in them who was sent nothing so far can begin
    (a keyframe), NO_ENTRY: nowhere; `before`: how many messages stand in front of it; `time`: its timestamp.
    """

    messages: tuple[Message, ...]
    data: bytes
    entry: int = NO_ENTRY
    before: int = 0
    time: int = 0

    @property
    def tail(self) -> bytes:
        """From the entry on."""
        return self.data[self.entry :] if self.entry else self.data


def read_chunks(data: bytes) -> list[Message]:
    """The messages in `data` of batches."""
    reader = ChunkReader()
    reader.feed(_TOLD)
    return reader.feed(data)


def write_chunks(message: Message) -> bytes:
    """A message as it stands in batches."""
    return encode(message, CHUNK_SIZE)


def of_stream(data: bytes, stream_id: int) -> bytes:
    """The same for a player that calls its stream otherwise, which hardly any does."""
    if stream_id == STREAM_ID:
        return data
    return b"".join(write_chunks(one._replace(stream_id=stream_id)) for one in read_chunks(data))
