"""The film of bench.rtmp: 25 frames a second, a keyframe every two seconds, and AAC; a frame ends with when it was sent."""

import struct
import time
from dataclasses import dataclass

from bench.support.rtmp_client import CHUNK_SIZE
from marchproxy.wire.rtmp.chunking import encode
from marchproxy.wire.rtmp.message import AUDIO, VIDEO, Message

FPS = 25
AUDIO_FPS = 43
#: Frames of a GOP, and how much larger a keyframe is than another.
_GOP, _KEY = 50, 6
_AUDIO_BYTES = 186
_AVC = bytes.fromhex(
    "170000000001f4001effe1001b67f4001e919b281405ff1380880000030008000003019078b16cb001000568efb19219fff8f800"
)
_AAC = bytes.fromhex("af001210")
MARK = b"\xfe\xedMARK\xfe\xed"
_NANOSECONDS = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class Film:
    """`rate` in kbit/s, video and audio together."""

    rate: int

    def opening(self) -> bytes:
        """Configurations, in chunks."""
        return encode(Message(VIDEO, 1, 0, _AVC), CHUNK_SIZE) + encode(Message(AUDIO, 1, 0, _AAC), CHUNK_SIZE)

    def video(self, number: int) -> bytes:
        """A frame that is sent now, in chunks."""
        size = (self.rate * 1000 / 8 - AUDIO_FPS * _AUDIO_BYTES) / FPS * _GOP / (_GOP - 1 + _KEY)
        is_key = number % _GOP == 0
        head = b"\x17\x01\0\0\0" if is_key else b"\x27\x01\0\0\0"
        body = bytes(round(size * (_KEY if is_key else 1)) - len(head) - len(MARK) - _NANOSECONDS.size)
        stamp = MARK + _NANOSECONDS.pack(time.monotonic_ns())
        return encode(Message(VIDEO, 1, number * 1000 // FPS, head + body + stamp), CHUNK_SIZE)

    def audio(self, number: int) -> bytes:
        """A frame of audio, in chunks."""
        payload = b"\xaf\x01" + bytes(_AUDIO_BYTES - 2)
        return encode(Message(AUDIO, 1, number * 1000 // AUDIO_FPS, payload), CHUNK_SIZE)


def delays(data: bytes | memoryview) -> list[float]:
    """Seconds since frames whose ends are here were sent; those that a chunk's head cuts in two do not count."""
    now, found, held = time.monotonic_ns(), [], bytes(data)
    at = held.find(MARK)
    while at >= 0:
        stamp = held[at + len(MARK) : at + len(MARK) + _NANOSECONDS.size]
        if len(stamp) == _NANOSECONDS.size:
            delay = (now - _NANOSECONDS.unpack(stamp)[0]) / 1e9
            if 0 <= delay < 60:
                found.append(delay)
        at = held.find(MARK, at + 1)
    return found
