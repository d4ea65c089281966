"""Writing chunks: messages into them (RTMP §5.3). Our own times are always repeated where a message goes on (§5.3.1.3)."""

import struct
from typing import Final

from marchproxy.wire.rtmp.headers import CHUNK_SIZE, EXTENDED
from marchproxy.wire.rtmp.message import AUDIO, COMMAND_TYPES, DATA_TYPES, TIME_MASK, VIDEO, Message, Type

#: Chunk streams of what we say: for the connection itself, commands, audio, data, video.
CONTROL_CSID, COMMAND_CSID, AUDIO_CSID, DATA_CSID, VIDEO_CSID = range(2, 7)
_SET_CHUNK_SIZE: Final = int(Type.SET_CHUNK_SIZE)
_CSIDS: Final = {
    AUDIO: AUDIO_CSID,
    VIDEO: VIDEO_CSID,
    **dict.fromkeys(DATA_TYPES, DATA_CSID),
    **dict.fromkeys(COMMAND_TYPES, COMMAND_CSID),
}
_pack_number = struct.Struct(">I").pack
_pack_two = struct.Struct(">II").pack
_pack_little = struct.Struct("<I").pack


def default_csid(kind: int) -> int:
    """By which chunk stream we send messages of a type."""
    return _CSIDS.get(kind, CONTROL_CSID)


def basic(fmt: int, csid: int) -> bytes:
    """The first part of a chunk's head: one to three bytes."""
    if csid < 64:
        return bytes((fmt << 6 | csid,))
    more = csid - 64
    return bytes((fmt << 6, more)) if more < 256 else bytes((fmt << 6 | 1, more & 0xFF, more >> 8))


def full_head(message: Message, length: int, csid: int) -> bytes:
    """The head that says everything, of a message whose payload has so many bytes; four more if it needs its time there."""
    time = message.timestamp
    short = min(EXTENDED, time)
    fields = _pack_two(short << 8 | length >> 16, (length & 0xFFFF) << 16 | message.type << 8)[:7]
    head = basic(0, csid) + fields + _pack_little(message.stream_id)
    return head if time < EXTENDED else head + _pack_number(time)


def encode(message: Message, chunk_size: int = CHUNK_SIZE, csid: int = 0) -> bytes:
    """A message by itself: right whatever was sent before it, so that one encoding serves all who read it.

    `csid`: 0: that of the message's type.
    """
    csid = csid or default_csid(message.type)
    payload, time = message.payload, message.timestamp
    head = full_head(message, len(payload), csid)
    if len(payload) <= chunk_size:
        return head + payload
    return _cut(head, payload, chunk_size, basic(3, csid) + (b"" if time < EXTENDED else _pack_number(time)))


def _cut(head: bytes, payload: bytes, size: int, between: bytes) -> bytes:
    view = memoryview(payload)
    bodies: list[bytes | memoryview] = [view[at : at + size] for at in range(0, len(payload), size)]
    bodies[0] = head + payload[:size]
    return between.join(bodies)


class _Sent:
    """What was sent last by a chunk stream. `delta` is -1 where none was sent."""

    __slots__ = ("delta", "length", "stream_id", "timestamp", "type")

    def __init__(self, message: Message, delta: int) -> None:
        self.type, self.stream_id, self.timestamp, payload, _ = message
        self.length = len(payload)
        self.delta = delta


class ChunkWriter:
    """One direction of one connection, in the shortest heads that all readers take alike.

    `chunk_size` follows the SetChunkSize messages that are written.
    """

    __slots__ = ("_sent", "chunk_size")

    def __init__(self, chunk_size: int = CHUNK_SIZE) -> None:
        self.chunk_size = chunk_size
        self._sent: dict[int, _Sent] = {}

    def write(self, message: Message, csid: int = 0) -> bytes:
        """The message in chunks. `csid`: 0: that of its type."""
        csid = csid or default_csid(message.type)
        last = self._sent.get(csid)
        delta = (message.timestamp - last.timestamp) & TIME_MASK if last is not None else 0
        if last is None or last.stream_id != message.stream_id or delta >= EXTENDED:
            self._sent[csid] = _Sent(message, -1)
            written = encode(message, self.chunk_size, csid)
        else:
            written = self._after(last, message, delta, csid)
            self._sent[csid] = _Sent(message, delta)
        if message.type == _SET_CHUNK_SIZE:
            self.chunk_size = int.from_bytes(message.payload[:4])
        return written

    def _after(self, last: _Sent, message: Message, delta: int, csid: int) -> bytes:
        payload, size = message.payload, self.chunk_size
        if last.type != message.type or last.length != len(payload):
            described = _pack_two(
                delta << 8 | len(payload) >> 16, (len(payload) & 0xFFFF) << 16 | message.type << 8
            )
            head = basic(1, csid) + described[:7]
        elif delta != last.delta:
            head = basic(2, csid) + _pack_number(delta)[1:]
        else:
            head = basic(3, csid)
        return head + payload if len(payload) <= size else _cut(head, payload, size, basic(3, csid))
