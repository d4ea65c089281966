"""Packets: a length of three bytes, a sequence number, and the payload; longer payloads go on in the next packet."""

from marchproxy.wire.fault import ProtocolFault

HEAD = 4
#: A packet with a payload of this many bytes is continued by the next one.
FULL = 0xFF_FFFF


def packet(sequence: int, payload: bytes) -> bytes:
    """A payload as one packet, or as many as it takes."""
    pieces = []
    for start in range(0, len(payload) + 1, FULL):
        piece = payload[start : start + FULL]
        pieces.append(len(piece).to_bytes(3, "little") + bytes((sequence & 0xFF,)) + piece)
        sequence += 1
    return b"".join(pieces)


class Packets:
    """Cuts a stream into whole packets, for the time in which there are few and small ones."""

    __slots__ = ("_held", "_longest")

    def __init__(self, *, longest: int) -> None:
        self._held = b""
        self._longest = min(longest, FULL - 1)

    @property
    def between(self) -> bool:
        """Whether the stream is at the end of a packet."""
        return not self._held

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Sequence number and payload of what is complete. Raises ProtocolFault."""
        data = self._held + data
        found, at = [], 0
        while len(data) - at >= HEAD:
            length = int.from_bytes(data[at : at + 3], "little")
            if length > self._longest:
                raise ProtocolFault(f"a packet has {length} bytes; {self._longest} are allowed now")
            end = at + HEAD + length
            if end > len(data):
                break
            found.append((data[at + 3], data[at + HEAD : end]))
            at = end
        self._held = data[at:]
        return found


class Reader:
    """The fields of a payload, one after the other. Each method raises ProtocolFault where the payload is too short."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self._at = at

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._at

    def peek(self) -> int:
        """The next byte, which is not taken; -1 at the end."""
        return self._data[self._at] if self.left else -1

    def take(self, count: int) -> bytes:
        """So many bytes."""
        if not 0 <= count <= self.left:
            raise ProtocolFault(f"a field of {count} bytes where {self.left} are left")
        start = self._at
        self._at += count
        return self._data[start : self._at]

    def number(self, size: int) -> int:
        """A number of so many bytes."""
        return int.from_bytes(self.take(size), "little")

    def length(self) -> int:
        """A length-encoded number."""
        first = self.number(1)
        if first < 0xFB:
            return first
        if first not in _WIDE:
            raise ProtocolFault(f"byte {first:#x} begins no number")
        return self.number(_WIDE[first])

    def text(self) -> bytes:
        """A length-encoded string."""
        return self.take(self.length())

    def until_zero(self) -> bytes:
        """A string that a zero byte ends."""
        end = self._data.find(b"\0", self._at)
        if end < 0:
            raise ProtocolFault("a string does not end")
        found = self._data[self._at : end]
        self._at = end + 1
        return found

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(self.left)


_WIDE = {0xFC: 2, 0xFD: 3, 0xFE: 8}


def length_encoded(value: int) -> bytes:
    """A length-encoded number."""
    if value < 0xFB:
        return bytes((value,))
    first, size = next((first, size) for first, size in _WIDE.items() if value < 1 << 8 * size)
    return bytes((first,)) + value.to_bytes(size, "little")


def counted(text: bytes) -> bytes:
    """A length-encoded string."""
    return length_encoded(len(text)) + text
