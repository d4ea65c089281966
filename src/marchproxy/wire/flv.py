"""FLV: a file's or pipe's tags, in which are the messages of RTMP (Video File Format Specification 10.1 §E)."""

from typing import Final

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp.headers import LONGEST
from marchproxy.wire.rtmp.message import AUDIO, VIDEO, Message, Type

_SIGNATURE: Final = b"FLV\x01"
_HEAD: Final = 9
_TAG: Final = 11
#: Behind each tag: its size.
_BACK: Final = 4
_TYPES: Final = frozenset({AUDIO, VIDEO, int(Type.DATA)})
_OF_AUDIO, _OF_VIDEO = 4, 1
_FILTERED = 0x20


def header(*, audio: bool = True, video: bool = True) -> bytes:
    """How a file begins: what is in it, and the size of the tag before the first."""
    flags = _OF_AUDIO * audio | _OF_VIDEO * video
    return _SIGNATURE + bytes((flags,)) + _HEAD.to_bytes(4) + bytes(_BACK)


def tag(message: Message) -> bytes:
    """A message as a tag. Its time wraps at 2^32 milliseconds."""
    payload, time = message.payload, message.timestamp
    size = len(payload).to_bytes(3)
    times = (time & 0xFF_FFFF).to_bytes(3) + bytes((time >> 24 & 0xFF,))
    head = bytes((message.type,)) + size + times + bytes(3)
    return b"".join((head, payload, (_TAG + len(payload)).to_bytes(_BACK)))


class FlvReader:
    """A file or pipe as it comes. `longest`: bytes of a tag."""

    __slots__ = ("_held", "_lacking", "_longest", "_started")

    def __init__(self, *, longest: int = LONGEST) -> None:
        self._longest = longest
        self._held = bytearray()
        self._lacking = _HEAD + _BACK
        self._started = False

    @property
    def between(self) -> bool:
        """Whether it is at the end of a tag."""
        return not self._held

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete now, of stream 1. Raises ProtocolFault."""
        if self._held or len(data) < self._lacking:
            self._held += data
            self._lacking -= len(data)
            if self._lacking > 0:
                return []
            data = bytes(self._held)
            self._held.clear()
        at = 0 if self._started else self._start(data)
        messages: list[Message] = []
        self._lacking = _TAG
        while len(data) - at >= _TAG:
            size = int.from_bytes(data[at + 1 : at + 4])
            self._check(data[at], size)
            end = at + _TAG + size
            if len(data) < end + _BACK:
                self._lacking = _TAG + size + _BACK
                break
            if data[at] in _TYPES:
                time = int.from_bytes(data[at + 4 : at + 7]) | data[at + 7] << 24
                messages.append(Message(data[at], 1, time, data[at + _TAG : end]))
            at = end + _BACK
        self._held += data[at:]
        self._lacking -= len(data) - at
        return messages

    def _start(self, data: bytes) -> int:
        if not data.startswith(_SIGNATURE) or int.from_bytes(data[5:_HEAD]) != _HEAD:
            raise ProtocolFault("no FLV: it does not begin with the signature and size of one")
        self._started = True
        return _HEAD + _BACK

    def _check(self, kind: int, size: int) -> None:
        if kind & _FILTERED:
            raise ProtocolFault("a tag of FLV is encrypted")
        if size > self._longest:
            raise ProtocolFault(f"a tag of {size} bytes; {self._longest} are allowed")
