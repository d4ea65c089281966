"""Message: what chunk streams carry, and its types (RTMP §5.4, §7.1)."""

from enum import IntEnum
from typing import Final, NamedTuple

#: Timestamps are of 32 bits, in milliseconds, and wrap.
TIME_MASK: Final = 0xFFFF_FFFF
#: Encoders wrap there, as FLV does (ffmpeg), or at 32 bits.
_WRAP: Final = 0x8000_0000
_HALF: Final = _WRAP // 2


class Type(IntEnum):
    """Types of messages."""

    SET_CHUNK_SIZE = 1
    ABORT = 2
    ACK = 3
    USER_CONTROL = 4
    WINDOW_ACK = 5
    PEER_BANDWIDTH = 6
    AUDIO = 8
    VIDEO = 9
    DATA_AMF3 = 15
    SHARED_OBJECT_AMF3 = 16
    COMMAND_AMF3 = 17
    DATA = 18
    SHARED_OBJECT = 19
    COMMAND = 20
    AGGREGATE = 22


#: Numbers instead of the Enum's members: they are compared with for each message.
AUDIO: Final = int(Type.AUDIO)
VIDEO: Final = int(Type.VIDEO)
#: Messages to a person or a program about the media: onMetaData.
DATA_TYPES: Final = frozenset({int(Type.DATA), int(Type.DATA_AMF3)})
COMMAND_TYPES: Final = frozenset({int(Type.COMMAND), int(Type.COMMAND_AMF3)})


class Message(NamedTuple):
    """A whole message. A tuple, for it is made for each frame of each stream.

    `timestamp`: milliseconds, modulo 2^32. `csid`: the chunk stream that it came by; 0: of our own making.
    """

    type: int
    stream_id: int
    timestamp: int
    payload: bytes
    csid: int = 0


def elapsed(earlier: int, later: int) -> int:
    """Milliseconds from one timestamp to another, wherever they wrap; negative where `later` is the earlier one.

    Differences of more than twelve days cannot be told from others.
    """
    return (later - earlier + _HALF) % _WRAP - _HALF
