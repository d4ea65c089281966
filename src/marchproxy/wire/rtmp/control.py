"""Control: what both ends tell each other of the connection itself (RTMP §5.4, §7.1.7)."""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp.message import Message, Type

_NUMBER: Final = struct.Struct(">I")
_TOLD = struct.Struct(">HI")


class Event(IntEnum):
    """Events of user control."""

    STREAM_BEGIN = 0
    STREAM_EOF = 1
    STREAM_DRY = 2
    SET_BUFFER = 3
    STREAM_IS_RECORDED = 4
    PING = 6
    PONG = 7


class Bandwidth(IntEnum):
    """How a SetPeerBandwidth is meant."""

    HARD = 0
    SOFT = 1
    DYNAMIC = 2


@dataclass(frozen=True, slots=True)
class UserControl:
    """An event. `value`: the stream's id, or a ping's time. `more`: of SET_BUFFER, milliseconds. `event` may be none of Event."""

    event: int
    value: int
    more: int = 0


def read_user_control(message: Message) -> UserControl:
    """What a USER_CONTROL tells. Raises ProtocolFault."""
    payload = message.payload
    if len(payload) < 2:
        raise ProtocolFault("an event of user control is cut off")
    event = int.from_bytes(payload[:2])
    return UserControl(event, int.from_bytes(payload[2:6]), int.from_bytes(payload[6:10]))


def read_number(message: Message) -> int:
    """What the other control messages say: a size or a number of bytes. Raises ProtocolFault."""
    if len(message.payload) < _NUMBER.size:
        raise ProtocolFault(f"a message of type {message.type} is cut off")
    return int.from_bytes(message.payload[: _NUMBER.size])


def set_chunk_size(size: int) -> Message:
    """Our chunks have so many bytes from now on."""
    return Message(Type.SET_CHUNK_SIZE, 0, 0, _NUMBER.pack(size))


def abort(csid: int) -> Message:
    """The message under way on a chunk stream does not go on."""
    return Message(Type.ABORT, 0, 0, _NUMBER.pack(csid))


def ack(received: int) -> Message:
    """So many bytes have come since the connection began, the handshake's too; they wrap at 2^32."""
    return Message(Type.ACK, 0, 0, _NUMBER.pack(received & 0xFFFF_FFFF))


def window_ack(size: int) -> Message:
    """The peer shall send an acknowledgement each so many bytes."""
    return Message(Type.WINDOW_ACK, 0, 0, _NUMBER.pack(size))


def peer_bandwidth(size: int, kind: Bandwidth = Bandwidth.DYNAMIC) -> Message:
    """The peer shall have no more than so many bytes that are not acknowledged."""
    return Message(Type.PEER_BANDWIDTH, 0, 0, _NUMBER.pack(size) + bytes((kind,)))


def user_control(event: Event, value: int) -> Message:
    """An event of a stream, by its id, or a ping or pong, by its time."""
    return Message(Type.USER_CONTROL, 0, 0, _TOLD.pack(event, value & 0xFFFF_FFFF))


def set_buffer(stream_id: int, milliseconds: int) -> Message:
    """A player's buffer of a stream."""
    return Message(
        Type.USER_CONTROL, 0, 0, _TOLD.pack(Event.SET_BUFFER, stream_id) + _NUMBER.pack(milliseconds)
    )
